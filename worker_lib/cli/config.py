"""`worker-lib config`: the settings in force, and where each of them comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.output import complain, print_json, tell
from worker_lib.cli.parsers import noun, verb
from worker_lib.cli.tables import print_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_HEADER = ("VARIABLE", "FROM", "VALUE")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    verbs = noun(
        subparsers,
        "config",
        "show the settings, and where each comes from",
        "Look at the settings of this process; no secret is shown. Exit code: 0 they "
        "can be used, 2 one of them cannot.",
    )
    verb(verbs, "show", "print each setting, its value and where that is from", _show)


def _show(args: argparse.Namespace) -> int:
    from worker_lib.client.configuration import (  # noqa: PLC0415 - not for --help
        problems_of,
        settings_of,
    )

    shown = settings_of(os.environ)
    problems = problems_of(os.environ)
    if args.json:
        settings = [one._asdict() for one in shown]
        print_json({"settings": settings, "problems": problems})
    else:
        rows = [(one.variable, one.origin, one.text) for one in shown]
        print_table(_HEADER, rows)
    for problem in problems:
        complain(f"worker-lib: {problem}")
    if not os.environ.get("REDIS_URL") and not _token(os.environ):
        tell("no REDIS_URL and no FLY_API_TOKEN: this folder's local stack is used")
    return exits.USAGE if problems else exits.OK


def _token(environ: Mapping[str, str]) -> str:
    return environ.get("FLY_API_TOKEN") or environ.get("FLY_ACCESS_TOKEN") or ""
