"""Types of JSON values, and a notation for objects with many fields.

A check takes a value and the name of its field, returns the value as the API keeps it,
and refuses what Go's decoder refuses: a string is not a boolean, a number not a string.
`null` is the same as an absent field; unknown fields are left out. An error names the
field, never the value: it may be a secret.

`tables` builds checks of objects from text, one object a line (a line that begins with
a space continues the one before):

    header name:string values:[string]
    probe  &check port!:port headers:[header] env:{string} kind:http|tcp

`name:type` is a field, `name!:type` a required one. A type is the name of a check or of
an earlier line, a list `[type]`, an object of any names `{type}`, or some words with
bars between them. `&name` includes all fields of an earlier line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from worker_lib.emulator.messages import ApiError, invalid_argument
from worker_lib.emulator.values import go_duration, nanoseconds, signal_number

Check = Callable[[Any, str], Any]

_INT64_MAX = 2**63 - 1
_KINDS = {
    bool: "a boolean",
    str: "a string",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def invalid(where: str, problem: str) -> ApiError:
    """The error for one field."""
    return invalid_argument(f"{where} {problem}")


def _check_type(value: Any, where: str, wanted: str, *types: type) -> None:
    if type(value) not in types:
        kind = _KINDS.get(type(value), "null")
        raise invalid(where, f"must be {wanted}, not {kind}")


def string(value: Any, where: str) -> str:
    """A string that can be part of an environment, a command or a path."""
    _check_type(value, where, "a string", str)
    if "\0" in value:
        raise invalid(where, "must not contain NUL")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise invalid(where, "must be valid Unicode") from exc
    return str(value)


def boolean(value: Any, where: str) -> bool:
    """True or false."""
    _check_type(value, where, "a boolean", bool)
    return bool(value)


def number(value: Any, where: str) -> Any:
    """Any number."""
    _check_type(value, where, "a number", int, float)
    return value


def integer(low: int = 0, high: int = _INT64_MAX) -> Check:
    """Whole numbers from `low` to `high`."""

    def check(value: Any, where: str) -> int:
        _check_type(value, where, "a whole number", int)
        if not low <= value <= high:
            limits = (
                f"{low} or more" if high == _INT64_MAX > value else f"{low} to {high}"
            )
            raise invalid(where, f"must be {limits}")
        return int(value)

    return check


def one_of(*words: str) -> Check:
    """One of some words; "", which Go sends for an absent one, is left out."""

    def check(value: Any, where: str) -> str | None:
        word = string(value, where)
        if word and word not in words:
            raise invalid(where, f"must be one of {', '.join(words)}")
        return word or None

    return check


def duration(value: Any, where: str) -> str:
    """A duration that is not negative, as Go prints it."""
    return go_duration(_nanoseconds(value, where))


def grace(value: Any, where: str) -> float | None:
    """A duration in seconds; None for zero, which Go's clients send for none."""
    return _nanoseconds(value, where) / 1e9 or None


def signal_name(value: Any, where: str) -> Any:
    """A signal by name or number, kept as it was written."""
    if value != "":
        _named(signal_number, value, where)
    return value or None


def variable(value: Any, where: str) -> str:
    """The name of an environment variable."""
    name = string(value, where)
    if not name or "=" in name:
        raise invalid(where, "must not be empty or contain =")
    return name


def list_of(check: Check) -> Check:
    """Lists whose members pass a check."""

    def checked(value: Any, where: str) -> list[Any]:
        _check_type(value, where, "a list", list)
        return [check(one, f"{where}[{at}]") for at, one in enumerate(value)]

    return checked


def map_of(check: Check, *, name: Check = string) -> Check:
    """Objects of any names whose values pass a check."""

    def checked(value: Any, where: str) -> dict[str, Any]:
        _check_type(value, where, "an object", dict)
        for key in value:
            name(key, f"a name in {where}")
        return {
            key: check(one, f"{where}.{key}")
            for key, one in value.items()
            if one is not None
        }

    return checked


def tables(text: str, **checks: Check) -> dict[str, Check]:
    """The checks that a text in the notation of this module names, by name.

    Args:
        text: One object a line.
        checks: Types of fields beside the standard ones.
    """
    known: dict[str, Check] = {**_STANDARD, **checks}
    fields_of: dict[str, dict[str, Check]] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        name, *words = block.split()
        fields: dict[str, Check] = {}
        required = []
        for word in words:
            if word.startswith("&"):
                fields |= fields_of[word[1:]]
                continue
            field, _, kind = word.partition(":")
            if field.endswith("!"):
                required.append(field[:-1])
            fields[field.removesuffix("!")] = _type(kind, known)
        fields_of[name], known[name] = fields, _table(fields, required)
    return {name: known[name] for name in fields_of}


def _type(kind: str, known: Mapping[str, Check]) -> Check:
    if "|" in kind:
        return one_of(*kind.split("|"))
    if kind[0] in "[{":
        check = _type(kind[1:-1], known)
        return list_of(check) if kind[0] == "[" else map_of(check)
    return known[kind]


def _table(fields: Mapping[str, Check], required: list[str]) -> Check:
    def checked(value: Any, where: str) -> dict[str, Any]:
        _check_type(value, where or "the body", "an object", dict)
        prefix = f"{where}." if where else ""
        for name in required:
            if value.get(name) in (None, ""):
                raise invalid(prefix + name, "is required")
        found = {
            name: check(value[name], prefix + name)
            for name, check in fields.items()
            if value.get(name) is not None
        }
        return {name: one for name, one in found.items() if one is not None}

    return checked


def _nanoseconds(value: Any, where: str) -> int:
    found = _named(nanoseconds, value, where)
    if found < 0:
        raise invalid(where, "must not be negative")
    return found


def _named(read: Callable[[Any], int], value: Any, where: str) -> int:
    """Read a value; an error gets the name of the field."""
    try:
        return read(value)
    except ApiError as exc:
        text = str(exc).removeprefix("invalid_argument: ")
        join = " " if text.startswith("must") else ": "
        raise invalid_argument(f"{where}{join}{text}") from exc


_STANDARD: dict[str, Check] = {
    "any": lambda value, _: value,
    "string": string,
    "boolean": boolean,
    "number": number,
    "count": integer(),
    "port": integer(0, 65535),
    "duration": duration,
    "grace": grace,
    "signal": signal_name,
    "variable": variable,
    "variables": map_of(string, name=variable),
}
