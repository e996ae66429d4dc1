"""Types of JSON values: each check returns the value as the API keeps it.

A check is given a value and the name of its field, and refuses what Go's decoder
would refuse: a string is no boolean, a number no string. `null` is the same as an
absent field and unknown fields are left out, as by that decoder. A refusal names the
field, and never repeats a value: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.values import go_duration, nanoseconds, signal_number

if TYPE_CHECKING:
    from collections.abc import Mapping

Check = Callable[[Any, str], Any]

_INT64 = 2**63 - 1


def invalid(where: str, problem: str) -> ApiError:
    """The refusal of one field."""
    return ApiError(400, f"invalid_argument: {where} {problem}")


def text(value: Any, where: str) -> str:
    """A string that an environment, a command or a path can hold."""
    if not isinstance(value, str):
        raise _wrong_type(value, where, "a string")
    if "\0" in value:
        raise invalid(where, "must not contain NUL")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise invalid(where, "must be valid Unicode") from exc
    return value


def flag(value: Any, where: str) -> bool:
    """True or false, nothing that merely looks like it."""
    if not isinstance(value, bool):
        raise _wrong_type(value, where, "a boolean")
    return value


def number(value: Any, where: str) -> float:
    """Any number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(value, where, "a number")
    return value


def whole(least: int = 0, most: int = _INT64) -> Check:
    """Whole numbers within bounds."""

    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(value, where, "a whole number")
        if value < least and most == _INT64:
            raise invalid(where, f"must be {least} or more")
        if not least <= value <= most:
            raise invalid(where, f"must be {least} to {most}")
        return value

    return check


def one_of(*names: str) -> Check:
    """One of some words; the empty one, which Go sends for none, is left out."""

    def check(value: Any, where: str) -> str | None:
        word = text(value, where)
        if word and word not in names:
            raise invalid(where, f"must be one of {', '.join(names)}")
        return word or None

    return check


def duration(value: Any, where: str) -> str:
    """A duration that is not negative, as Go prints it."""
    return go_duration(_nanoseconds(value, where))


def grace(value: Any, where: str) -> float | None:
    """The seconds of a duration; None for zero, which Go's clients send for none."""
    return _nanoseconds(value, where) / 1e9 or None


def signal_name(value: Any, where: str) -> Any:
    """A signal by name or number, kept as it was written."""
    if value != "":
        try:
            signal_number(value)
        except ApiError as exc:
            raise _within(where, exc) from exc
    return value or None


def anything(value: Any, where: str) -> Any:  # noqa: ARG001 - one form
    """Whatever it is."""
    return value


def list_of(check: Check) -> Check:
    """Lists whose members pass a check."""

    def checked(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise _wrong_type(value, where, "a list")
        return [check(one, f"{where}[{at}]") for at, one in enumerate(value)]

    return checked


texts = list_of(text)


def map_of(check: Check, *, name: Check = text) -> Check:
    """Objects of any names whose values pass a check."""

    def checked(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong_type(value, where, "an object")
        for key in value:
            name(key, f"a name in {where}")
        return {
            key: check(one, f"{where}.{key}")
            for key, one in value.items()
            if one is not None
        }

    return checked


def table(required: str = "", /, **fields: Check) -> Check:
    """Objects with some fields.

    Args:
        required: Names of those that must be there, in one string.
        fields: By name.
    """

    def checked(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong_type(value, where, "an object")
        prefix = f"{where}." if where else ""
        for name in required.split():
            if value.get(name) in (None, ""):
                raise invalid(prefix + name, "is required")
        return _fields(value, fields, prefix)

    return checked


def variable(value: Any, where: str) -> str:
    """The name of an environment variable."""
    name = text(value, where)
    if not name or "=" in name:
        raise invalid(where, "must not be empty or contain =")
    return name


variables = map_of(text, name=variable)


def _fields(
    value: Mapping[str, Any], fields: Mapping[str, Check], prefix: str
) -> dict[str, Any]:
    found = {
        name: check(value[name], prefix + name)
        for name, check in fields.items()
        if value.get(name) is not None
    }
    return {name: one for name, one in found.items() if one is not None}


def _nanoseconds(value: Any, where: str) -> int:
    try:
        found = nanoseconds(value)
    except ApiError as exc:
        raise _within(where, exc) from exc
    if found < 0:
        raise invalid(where, "must not be negative")
    return found


def _within(where: str, refusal: ApiError) -> ApiError:
    """Return a refusal with the name of the field that it is about."""
    told = str(refusal).removeprefix("invalid_argument: ")
    join = " " if told.startswith("must") else ": "
    return ApiError(refusal.status, f"invalid_argument: {where}{join}{told}")


def _wrong_type(value: Any, where: str, wanted: str) -> ApiError:
    return invalid(where, f"must be {wanted}, not {_kind(value)}")


def _kind(value: Any) -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "a boolean"),
        (str, "a string"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), "null")
