"""`worker-lib emulator`: serve Fly's Machines API on this computer until stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_RUNTIMES = ("process", "docker")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "emulator",
        help="serve Fly's Machines API here, with machines of this computer",
        description=__doc__,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add(
        "--allow-host",
        action="append",
        help="a further host for requests; repeatable",
    )
    add("--port", type=int, default=4280, help="0 takes a free one (%(default)s)")
    add("--app", action="append", help="an app that exists; repeatable (demo)")
    add("--token", action="append", help="a valid token; repeatable (random)")
    add("--secrets-file", type=Path, help="NAME=VALUE lines: secrets of each app")
    add("--state-dir", type=Path, help="for logs and files (.worker_lib/emulator)")
    add("--project-dir", type=Path, help="where machines run (here)")
    add("--region", default="iad", help="where machines go by default (%(default)s)")
    add(
        "--latencies",
        default="",
        metavar="fly|NAME=SECONDS,...",
        help="what create, pull, boot, start, resume, suspend and settle take (0)",
    )
    add("--faults", type=Path, metavar="FILE", help="JSON: fault rules")
    add("--runtime", choices=_RUNTIMES, default="process", help="what machines are")
    add("--docker-image", default="", help="an image that the engine must have")
    add("--docker-mount", type=Path, action="append", help="a folder containers read")
    add("--docker-user", default="", help="who runs in containers (as the image says)")
    add("--no-rate-limits", action="store_true", help="never answer 429")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from worker_lib.cli import serving  # noqa: PLC0415 - not for --help

    return serving.run(args)
