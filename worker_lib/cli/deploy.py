"""`worker-lib deploy`: one image, built once, tried and promoted (docs/deploy.md)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.cli import exits
from worker_lib.cli.fly_app import web_app
from worker_lib.cli.output import complain, print_json, say, tell
from worker_lib.cli.parsers import verb
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_LIBRARY = "/venv/bin/worker-lib"
_DOCTOR = "doctor --json"
_PING = "run worker_lib.ping:ping --timeout 3m --json"
_IS_WELL, _SUCCEEDED = '"ok": true', '"outcome": "succeeded"'


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "deploy",
        "build, try and promote one image with fly",
        _run,
        description="Build the image of this folder once and put it on an app, check "
        "there what jobs need, and run a task on a machine of this very image. With "
        "--staging that is done there, and only then the same image is promoted. Each "
        "command is printed before it runs. Exit code: 0 done, 1 a command failed, 2 "
        "wrong call.",
    )
    add = parser.add_argument
    add("--web-app", metavar="NAME", help="app of the website (fly.toml's)")
    add("--staging", metavar="NAME", help="app that is tried first")
    add("--label", help="of the image (the commit, as git has it)")
    add("--dry-run", action="store_true", help="only print the commands")


class _Step(NamedTuple):
    """A command of a deploy.

    Attributes:
        about: What it does.
        words: The command.
        expected: What it has to print; "" if its exit code tells all.
    """

    about: str
    words: tuple[str, ...]
    expected: str = ""


def _run(args: argparse.Namespace) -> int:
    web = web_app(args.web_app)
    staging = web_app(args.staging, "--staging") if args.staging else ""
    if staging == web:
        raise ConfigError(f"--staging is {web!r} too: it is to be another app")
    label = _label(args.label)
    image = f"registry.fly.io/{staging or web}:{label}"
    steps = _steps(_fly(needed=not args.dry_run), web, staging, label, image)
    if args.dry_run:
        return _show(steps, image, as_json=args.json)
    for number, step in enumerate(steps):
        if not _done(step):
            return _stopped(steps[number:])
    if args.json:
        print_json({"image": image, "commands": [_line(step) for step in steps]})
    else:
        say(image)
    return exits.OK


def _steps(fly: str, web: str, staging: str, label: str, image: str) -> list[_Step]:
    first = staging or web
    build = (fly, "deploy", "-a", first, "--image-label", label)
    steps = [
        _Step(f"build the image, put it on {first}", (*build, *_revision(label))),
        _waking(first),
        _Step("check what jobs need", _remote(fly, first, image, _DOCTOR), _IS_WELL),
        _trial(fly, first, image),
    ]
    if staging:
        promote = (fly, "deploy", "-a", web, "--image", image)
        steps += [_Step("promote the same image", promote), _waking(web)]
        steps.append(_trial(fly, web, image))
    return steps


def _revision(label: str) -> tuple[str, ...]:
    return ("--build-arg", f"REVISION={label}")


def _waking(app: str) -> _Step:
    url = f"https://{app}.fly.dev/"
    options = ("--fail", "--silent", "--show-error", "--retry", "5")
    return _Step(f"wake {app} up", ("curl", *options, "--output", "/dev/null", url))


def _trial(fly: str, app: str, image: str) -> _Step:
    about = "run a task on a machine of this image"
    return _Step(about, _remote(fly, app, image, _PING), _SUCCEEDED)


def _remote(fly: str, app: str, image: str, words: str) -> tuple[str, ...]:
    """Return a command that runs in a machine of the app.

    What it prints is looked at, not its exit code alone: whether Fly's ssh server tells
    that is not documented.
    """
    command = f"env WORKER_IMAGE={image} {_LIBRARY} {words}"
    return (fly, "ssh", "console", "-a", app, "-C", command)


def _fly(*, needed: bool) -> str:
    import shutil  # noqa: PLC0415 - not for --help

    found = next((name for name in ("fly", "flyctl") if shutil.which(name)), "")
    if needed and not found:
        raise ConfigError(
            "neither fly nor flyctl is on the PATH: get it from "
            "https://fly.io/docs/flyctl/install/, or see the commands with --dry-run"
        )
    return found or "fly"


def _label(given: str | None) -> str:
    import re  # noqa: PLC0415 - not for --help

    label = given or _commit()
    # Source: the OCI distribution specification, "Pulling manifests", on tags.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", label):
        raise ConfigError(
            f"--label {label!r}: use at most 128 letters, digits, '_', '-' and '.'"
        )
    return label


def _commit() -> str:
    head = _git("rev-parse", "HEAD")
    if not head:
        raise ConfigError("this folder has no commit of git: give --label NAME")
    if _git("status", "--porcelain"):
        tell(f"the image will hold what is not committed, too, under commit {head}")
    return head


def _git(*words: str) -> str:
    import subprocess  # noqa: PLC0415 - not for --help

    try:
        ran = subprocess.run(
            ["git", *words],  # noqa: S607 - the user's
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def _show(steps: Sequence[_Step], image: str, *, as_json: bool) -> int:
    if as_json:
        print_json({"image": image, "commands": [_line(step) for step in steps]})
        return exits.OK
    for step in steps:
        say(f"# {step.about}\n{_line(step)}")
    return exits.OK


def _line(step: _Step) -> str:
    import shlex  # noqa: PLC0415 - not for --help

    return shlex.join(step.words)


def _done(step: _Step) -> bool:
    """Run a command; its output goes to stderr, as ours is on stdout."""
    import subprocess  # noqa: PLC0415 - not for --help

    tell(f"# {step.about}\n$ {_line(step)}")
    where = subprocess.PIPE if step.expected else sys.stderr
    printed = []
    try:
        with subprocess.Popen(
            step.words, stdout=where, text=True, errors="replace"
        ) as program:
            for line in program.stdout or ():
                printed.append(line)
                complain(line.rstrip("\n"))
    except OSError as error:
        complain(f"{step.words[0]}: {error.strerror}")
        return False
    if program.returncode != 0:
        complain(f"it ended with {program.returncode}")
        return False
    if step.expected not in "".join(printed):
        complain(f"it did not print {step.expected}")
        return False
    return True


def _stopped(left: Sequence[_Step]) -> int:
    complain(f"worker-lib deploy: stopped, as this failed: {left[0].about}")
    for step in left[1:]:
        complain(f"not done: {_line(step)}")
    return exits.FAILED
