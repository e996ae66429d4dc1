"""`worker-lib init`: writes the files that a deploy on Fly needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "init",
        help="write the files that a deploy on Fly needs",
        description="Write Dockerfile, fly.toml, .dockerignore, Procfile and "
        ".env.example for the app in this folder. A file that exists and differs is "
        "shown as a diff and left alone without --yes. What is installed is what the "
        "project declares; a project that declares nothing gets a requirements.txt of "
        "what the app imports. The exit code is 1 if a file was left alone or the "
        "image would lack something.",
    )
    add = parser.add_argument
    add("--web-app", metavar="NAME", help="Fly app of the website (this folder's name)")
    add("--tasks-app", metavar="NAME", help="Fly app of the machines (NAME-tasks)")
    add("--region", default="ams", help="Fly region (%(default)s)")
    add("--org", default="personal", help="Fly organization (%(default)s)")
    add("--requirements", metavar="FILE", help="what to install (looked for)")
    add("--wsgi", metavar="MODULE:NAME", help="what gunicorn serves (looked for)")
    add("--github", action="store_true", help="also .github/workflows/deploy.yml")
    add("--yes", action="store_true", help="replace files that exist and differ")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from worker_lib.cli import init_files  # noqa: PLC0415 - not for --help

    return init_files.run(args)
