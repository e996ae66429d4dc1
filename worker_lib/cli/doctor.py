"""`worker-lib doctor`: checks everything that jobs need."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.output import painted, print_json
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.doctor import Finding, Verdict

__all__ = ["add_parser"]

_MARKS: dict[Verdict, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
    "unknown": ("?", "dim"),
}


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the settings against the real Redis and the real Fly",
        description="Check each setting against the real Redis and the real Fly; one "
        "line each: ✓ well, ! a warning, ✗ jobs will not run or may be lost, ? could "
        "not be checked. The exit code is 1 if there is a ✗.",
    )
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object")
    add("--probe", action="store_true", help="boot a machine and run a tiny task on it")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Return 1 if a check failed; a warning is no failure."""
    from worker_lib.doctor import examine, passed  # noqa: PLC0415 - not for --help

    found = examine(os.environ, probing=args.probe)
    findings = list(found if args.json else _printed(found))
    is_well = passed(findings)
    if args.json:
        shown = [dataclasses.asdict(finding) for finding in findings]
        print_json({"ok": is_well, "findings": shown})
    return exits.OK if is_well else exits.FAILED


def _printed(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print each finding at once, and yield it."""
    for finding in findings:
        print(_line(finding), flush=True)
        yield finding


def _line(finding: Finding) -> str:
    mark, colour = _MARKS[finding.verdict]
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    shown = painted(mark, colour, sys.stdout)
    text = printable(f"{finding.name}: {finding.text}{remedy}", keep="")
    return f"{shown} {text}"
