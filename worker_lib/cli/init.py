"""`worker-lib init`: writes the files that a deploy on Fly needs."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.output import painted, tell
from worker_lib.cli.scaffold import (
    Plan,
    missing_requirements,
    next_commands,
    planned_files,
)
from worker_lib.cli.wsgi import find_wsgi
from worker_lib.errors import ConfigError
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser"]

# Source: Fly's rule for the names of apps: shorter than 63, a-z, 0-9 and -.
_APP_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?")
_COLOURS = {"+": "green", "-": "red"}


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "init",
        help="write the files that a deploy on Fly needs",
        description="Write Dockerfile, fly.toml, .dockerignore, Procfile and "
        ".env.example for the app in this folder. A file that exists and differs is "
        "shown as a diff and left alone without --yes; the exit code is then 1.",
    )
    add = parser.add_argument
    add("--web-app", metavar="NAME", help="Fly app of the website (this folder's name)")
    add("--tasks-app", metavar="NAME", help="Fly app of the machines (NAME-tasks)")
    add("--region", default="ams", help="Fly region (%(default)s)")
    add("--wsgi", metavar="MODULE:NAME", help="what gunicorn serves (looked for)")
    add("--github", action="store_true", help="also .github/workflows/deploy.yml")
    add("--yes", action="store_true", help="replace files that exist and differ")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Write what is missing; return 1 if a file that differs was left alone."""
    folder = Path.cwd()
    plan = _plan(args, folder)
    files = planned_files(plan, folder)
    left = [
        path
        for path, text in files.items()
        if not _write(folder, path, text, may_replace=args.yes)
    ]
    if left:
        tell(f"left as they are: {', '.join(left)}; --yes replaces them")
    missing = missing_requirements(folder)
    if missing:
        tell(f"the image lacks {' and '.join(missing)}: add to its dependencies")
    tell("Next:")
    for command in next_commands(plan):
        tell(f"  {command}")
    return exits.FAILED if left else exits.OK


def _plan(args: argparse.Namespace, folder: Path) -> Plan:
    web_app = args.web_app or _slug(folder.name)
    tasks_app = args.tasks_app or f"{web_app}-tasks"
    for option, name in (("--web-app", web_app), ("--tasks-app", tasks_app)):
        if not _APP_NAME.fullmatch(name):
            raise ConfigError(
                f"{option} {name!r}: use at most 62 of a-z, 0-9 and - for an app's name"
            )
    if web_app == tasks_app:
        raise ConfigError(
            f"--tasks-app is {web_app!r} too: machines need an app of their own, so "
            "that fly deploy leaves them alone"
        )
    return Plan(
        web_app=web_app,
        tasks_app=tasks_app,
        region=args.region,
        wsgi=args.wsgi or find_wsgi(folder),
        github=args.github,
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50] or "my-web"


def _write(folder: Path, path: str, text: str, *, may_replace: bool) -> bool:
    """Write one file; False if it exists, differs, and may not be replaced."""
    target = folder / path
    before = target.read_text() if target.exists() else None
    if before == text:
        tell(f"unchanged {path}")
        return True
    if before is not None:
        _show_difference(path, before, text)
        if not may_replace:
            return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    tell(f"{'replaced' if before is not None else 'wrote'} {path}")
    return True


def _show_difference(path: str, before: str, after: str) -> None:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), path, f"{path} (new)", lineterm=""
    )
    for line in lines:
        colour = _COLOURS.get(line[:1])
        shown = printable(line)
        print(painted(shown, colour, sys.stdout) if colour else shown)
