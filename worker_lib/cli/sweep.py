"""`worker-lib sweep`: puts right what was lost, once; for an hourly backstop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.output import print_json, tell
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.sweep import SweepReport

__all__ = ["add_parser"]

_LAUNCH_WITHIN = 60.0


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "sweep",
        help="put right what was lost, once",
        description="Look once for jobs whose machine vanished, machines that nobody "
        "asked for and launches that are owed, put them right, and print what was "
        "done. Every process that makes calls does this while it lives; run it hourly "
        "if there may be none.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from worker_lib.client.client import default_client  # noqa: PLC0415 - not for --help

    report = default_client().sweeper.sweep_and_reap(_LAUNCH_WITHIN)
    _show(report, as_json=args.json)
    return exits.TIMEOUT if report.counts["launch_pending"] else exits.OK


def _show(report: SweepReport, *, as_json: bool) -> None:
    if as_json:
        events = [{"event": step.event, **step.facts} for step in report.steps]
        print_json({"events": events, "next_in": report.next_in})
        return
    for step in report.steps:
        facts = (f"{name}={value}" for name, value in step.facts.items())
        print(printable(" ".join((step.event, *facts)), keep=""))
    if not report.steps:
        print("nothing to put right")
    if report.next_in is not None:
        tell(f"the next deadline is in {max(0.0, report.next_in):.0f} s")
