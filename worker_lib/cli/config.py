"""`worker-lib config`: the settings in force, and where each of them comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.cli import exits
from worker_lib.cli.output import complain, print_json, tell
from worker_lib.cli.parsers import noun, verb
from worker_lib.cli.tables import print_table
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from dataclasses import Field

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


class _Shown(NamedTuple):
    """A setting for people.

    Attributes:
        variable: That sets it, or would.
        value: None where it is a secret.
        text: The same for people; of a secret what may be shown.
        origin: `environment` or `default`.
    """

    name: str
    variable: str
    value: Any
    text: str
    origin: str


def _show(args: argparse.Namespace) -> int:
    from dataclasses import fields  # noqa: PLC0415 - not for --help

    from worker_lib.settings import Settings  # noqa: PLC0415 - not for --help

    shown = [_shown(one, os.environ) for one in fields(Settings)]
    problems = _problems(os.environ)
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


def _problems(environ: Mapping[str, str]) -> list[str]:
    from worker_lib.settings import Settings  # noqa: PLC0415 - not for --help

    try:
        Settings.load(environ)
    except ConfigError as error:
        return [str(one) for one in error.problems]
    return []


def _shown(setting: Field[Any], environ: Mapping[str, str]) -> _Shown:
    names = setting.metadata["env"]
    variable = next((name for name in names if environ.get(name)), names[0])
    raw = environ.get(variable)
    origin = "environment" if raw else "default"
    if not setting.repr:
        return _Shown(setting.name, variable, None, _hidden(variable, raw), origin)
    value = raw or setting.default
    return _Shown(setting.name, variable, value, str(value), origin)


def _hidden(variable: str, raw: str | None) -> str:
    """Return what may be shown of a secret: enough to compare two sides by."""
    if not raw:
        return ""
    if variable == "REDIS_URL":
        return _place(raw)
    if variable.startswith("WORKER_LIB_SECRET"):
        from worker_lib.calls.codec import key_id_of  # noqa: PLC0415 - not for --help

        return f"hidden, key id {key_id_of(raw.encode()).hex()}"
    return "hidden"


def _place(url: str) -> str:
    from worker_lib.store.address import parse  # noqa: PLC0415 - not for --help

    try:
        address = parse(url.strip())
    except ConfigError:
        return "hidden, cannot be read"
    login = "password hidden" if address.greeting else "no password"
    return f"{address.scheme}://{address.place} ({login})"


def _token(environ: Mapping[str, str]) -> str:
    return environ.get("FLY_API_TOKEN") or environ.get("FLY_ACCESS_TOKEN") or ""
