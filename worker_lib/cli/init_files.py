"""Writes the files that a deploy on Fly needs, and shows where they differ."""

from __future__ import annotations

import dataclasses
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib.checks import unknown_name
from worker_lib.cli import exits
from worker_lib.cli.fly_app import APP_NAME
from worker_lib.cli.installing import dependencies
from worker_lib.cli.output import complain, painted, tell
from worker_lib.cli.scaffold import Plan, next_commands, planned_files
from worker_lib.cli.wsgi import check_wsgi, find_wsgi, module_file
from worker_lib.errors import ConfigError
from worker_lib.fly.regions import REGIONS
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

_COLOURS = {"+": "green", "-": "red"}


def run(args: argparse.Namespace) -> int:
    """Write the files; return 1 if one was left alone or the image lacks something."""
    folder = Path.cwd()
    plan = _plan(args, folder)
    with tempfile.TemporaryDirectory(prefix="worker-lib-") as scratch:
        needed = dependencies(folder, plan.wsgi, args.requirements or "", Path(scratch))
        plan = dataclasses.replace(plan, install=needed.install)
        files = {**planned_files(plan, folder), **needed.files}
        left = [
            path
            for path, content in files.items()
            if not _write(folder, path, content, may_replace=args.yes)
        ]
    if left:
        complain(f"left as they are: {', '.join(left)}; --yes replaces them")
    for problem in needed.problems:
        complain(problem)
    for name in _not_ignored(folder):
        tell(f"git does not ignore {name}, which holds secrets: add it to .gitignore")
    tell("Next:")
    for command in next_commands(plan):
        tell(f"  {command}")
    return exits.FAILED if left or needed.is_incomplete else exits.OK


def _not_ignored(folder: Path) -> list[str]:
    """Return the files with secrets that git does not ignore, in a repository."""
    names = [".env", ".secret"]
    try:
        ran = subprocess.run(
            ["git", "check-ignore", "--no-index", *names],  # noqa: S607 - the user's
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return []
    if ran.returncode not in (0, 1):  # 128: no repository
        return []
    return [name for name in names if name not in ran.stdout.split()]


def _plan(args: argparse.Namespace, folder: Path) -> Plan:
    web_app = args.web_app or _slug(folder.name)
    tasks_app = args.tasks_app or f"{web_app}-tasks"
    for option, name in (("--web-app", web_app), ("--tasks-app", tasks_app)):
        if not APP_NAME.fullmatch(name):
            raise ConfigError(
                f"{option} {name!r}: use at most 62 of a-z, 0-9 and - for an app's name"
            )
    if web_app == tasks_app:
        raise ConfigError(
            f"--tasks-app is {web_app!r} too: machines need an app of their own, so "
            "that fly deploy leaves them alone"
        )
    _check_region(args.region)
    if args.wsgi:
        check_wsgi(folder, args.wsgi)
    wsgi = args.wsgi or find_wsgi(folder)
    file = module_file(folder, wsgi.partition(":")[0])
    return Plan(
        web_app=web_app,
        tasks_app=tasks_app,
        region=args.region,
        wsgi=wsgi,
        src=file is not None and file.is_relative_to(folder / "src"),
        org=args.org,
        github=args.github,
    )


def _check_region(region: str) -> None:
    """Refuse an unknown region: fly deploy would do so only after the build."""
    if region not in REGIONS:
        raise ConfigError(
            f"--region: {unknown_name('region', region, REGIONS)} "
            "(fly platform regions lists them; write a newer one into fly.toml)"
        )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50] or "my-web"


def _write(folder: Path, path: str, content: str | bytes, *, may_replace: bool) -> bool:
    """Write one file; False if it exists, differs, and may not be replaced.

    The wheel of this library is always replaced.
    """
    target = folder / path
    data = content.encode() if isinstance(content, str) else content
    before = target.read_bytes() if target.exists() else None
    if before == data:
        tell(f"unchanged {path}")
        return True
    if before is not None and isinstance(content, str):
        _show_difference(path, before.decode("utf-8", "replace"), content)
        if not may_replace:
            return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
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
