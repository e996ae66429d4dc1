"""`worker-lib keys`: a new signing key, and the commands that change one safely."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.fly_app import web_app
from worker_lib.cli.output import print_json, say, tell
from worker_lib.cli.parsers import noun, verb
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_BYTES = 32


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    verbs = noun(
        subparsers,
        "keys",
        "make a signing key, or change the one in use",
        "Make a value for WORKER_LIB_SECRET, or print the commands that change it.",
    )
    verb(verbs, "new", "print a new random key", _new)
    rotate = verb(
        verbs,
        "rotate",
        "print the commands that change the key while jobs run",
        _rotate,
        description="Print a shell script that changes WORKER_LIB_SECRET of both apps "
        "in three steps, so that each side always accepts what the other signs. It "
        "holds no key: it makes the new one as it runs, and reads the present one "
        "from the variable WORKER_LIB_SECRET.",
    )
    rotate.add_argument("--web-app", metavar="NAME", help="of the website (fly.toml's)")
    rotate.add_argument("--tasks-app", metavar="NAME", help="(FLY_TASKS_APP)")


def _new(args: argparse.Namespace) -> int:
    key = secrets.token_hex(_BYTES)
    if args.json:
        print_json({"key": key})
    else:
        print(key)
    return exits.OK


def _rotate(args: argparse.Namespace) -> int:
    web = web_app(args.web_app)
    tasks = args.tasks_app or os.environ.get("FLY_TASKS_APP", "")
    if not tasks:
        raise ConfigError("the app of the machines is not known: give --tasks-app NAME")
    apps = tuple(dict.fromkeys((tasks, web)))
    steps = [_step(*one, apps=apps, web=web) for one in _STEPS]
    if args.json:
        print_json({"commands": [line for step in steps for line in step[1]]})
        return exits.OK
    say("#!/usr/bin/env bash\nset -eu")
    say(
        "old=${WORKER_LIB_SECRET:?set it to the present key} new=$(worker-lib keys new)"
    )
    for about, commands in steps:
        say(f"\n# {about}")
        say("\n".join(commands))
    tell("read it, then run it in a shell that has the present key")
    return exits.OK


# What each step is for, and what both sides have from then on. A machine has the
# secrets of its start: a step is done when the machines of before have ended.
_ACCEPTED = """\
1. Both sides accept the new key. Wait until no machine is left that started
# before: worker-lib machines list"""
_SIGNED = """\
2. Both sides sign with the new key, and accept the old one. Wait until no job and
# no result is left from before: WORKER_LIB_PENDING_TTL and WORKER_LIB_RESULT_TTL"""
_STEPS = (
    (_ACCEPTED, 'WORKER_LIB_SECRET_OLD="$new"'),
    (_SIGNED, 'WORKER_LIB_SECRET="$new" WORKER_LIB_SECRET_OLD="$old"'),
    ("3. Nobody accepts the old key any more.", ""),
)


def _step(
    about: str, values: str, *, apps: tuple[str, ...], web: str
) -> tuple[str, list[str]]:
    verb_, what = ("set", values) if values else ("unset", "WORKER_LIB_SECRET_OLD")
    staged = [f"fly secrets {verb_} --stage -a {app} {what}" for app in apps]
    wait = f'read -r -p "{about[0]} is done; Enter for the next " _' if values else ""
    return about, [*staged, f"fly secrets deploy -a {web}", *([wait] if wait else ())]
