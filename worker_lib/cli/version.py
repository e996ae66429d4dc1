"""`worker-lib version`: what is installed, for bug reports and for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib import __version__
from worker_lib.cli import exits
from worker_lib.cli.output import print_json

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_LIBRARIES = ("requests", "cloudpickle")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    about = "print the versions of what is installed"
    parser = subparsers.add_parser("version", help=about, description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    import platform  # noqa: PLC0415 - not for --help
    from importlib import metadata  # noqa: PLC0415 - as above

    found = {"worker_lib": __version__, "python": platform.python_version()}
    found |= {name: metadata.version(name) for name in _LIBRARIES}
    if args.json:
        print_json(found)
    else:
        print("\n".join(f"{name} {version}" for name, version in found.items()))
    return exits.OK
