"""Arguments and results as a line of text, for people who look at jobs.

Made by whoever calls, or runs the task, and signed along with the call or the outcome:
so pages show them and unpickle nothing. What could be a secret is left out, by the name
of an argument, by a key of a dict, or by how a text begins. No code of a value is run:
of objects of other classes, only the class is shown.
"""

from __future__ import annotations

from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

__all__ = ["HIDDEN", "call_preview", "is_secret_name", "result_preview"]

HIDDEN = "[hidden]"
_MOST_BYTES = 500
_MOST_TEXT, _MOST_ITEMS, _MOST_DEPTH, _MOST_BITS = 80, 5, 3, 128
_SECRET_NAMES = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "credential"),
    *("apikey", "api_key", "api-key", "access_key", "private_key", "authorization"),
    *("cookie", "session_id", "sessionid", "card_number", "cvv", "iban", "ssn"),
)
# How keys and tokens of well-known services begin.
_SECRET_STARTS = (
    *("sk-", "sk_live", "sk_test", "rk_live", "pk_live", "ghp_", "gho_", "ghs_"),
    *("github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "ASIA", "AIza", "SG."),
    *("FlyV1", "fm1_", "fm2_", "fo1_", "eyJ", "Bearer ", "Basic ", "-----BEGIN"),
)


def call_preview(
    names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bytes:
    """Return the arguments of a call as text, 500 bytes of UTF-8 at most.

    Args:
        names: Of the positional arguments, as far as they are known.
        args: The positional arguments.
        kwargs: The others.
    """
    parts = [_named(name, value) for name, value in zip(names, args)]  # noqa: B905 - defaults have none
    more = args[len(names) :]
    if more:
        parts.append(_items(more, len(more), 0))
    if kwargs:
        parts += [_named(name, value) for name, value in kwargs.items()]
    return _cut(", ".join(parts))


def result_preview(value: Any) -> bytes:
    """Return what a task returned as text, 500 bytes of UTF-8 at most."""
    return _cut(_shown(value))


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Say whether what bears this name is not to be shown."""
    lower = name.lower()
    return any(word in lower for word in _SECRET_NAMES)


def _named(name: str, value: Any) -> str:
    return f"{name}={HIDDEN if is_secret_name(name) else _shown(value)}"


def _shown(value: Any, depth: int = 0) -> str:
    kind = type(value)
    show = _SHOWN.get(kind)
    if show is None:
        return f"<{kind.__qualname__}>"
    return show(value, depth)


def _text(value: str, _depth: int) -> str:
    if value.startswith(_SECRET_STARTS) or _has_password(value):
        return HIDDEN
    if len(value) <= _MOST_TEXT:
        return repr(value)
    return f"{value[:_MOST_TEXT]!r}… {len(value)} characters"


def _has_password(value: str) -> bool:
    """Say whether this may be a URL with a password."""
    start = value if len(value) <= _MOST_BYTES else value[:_MOST_BYTES]
    return "@" in start and "://" in start


def _number(value: int, _depth: int) -> str:
    if value.bit_length() > _MOST_BITS:
        return f"<int of {value.bit_length():,} bits>"
    return repr(value)


def _bytes(value: bytes | bytearray, _depth: int) -> str:
    return f"<{len(value):,} bytes>"


def _plain(value: Any, _depth: int) -> str:
    return repr(value)


def _sequence(ends: str) -> Callable[[Any, int], str]:
    def show(value: Any, depth: int) -> str:
        if depth == _MOST_DEPTH:
            return f"{ends[0]}…{ends[1]}"
        return ends[0] + _items(value, len(value), depth) + ends[1]

    return show


def _items(values: Iterable[Any], count: int, depth: int) -> str:
    shown = [_shown(value, depth + 1) for value, _ in zip(values, range(_MOST_ITEMS))]  # noqa: B905 - the first ones
    if count > _MOST_ITEMS:
        shown.append(f"… {count - _MOST_ITEMS:,} more")
    return ", ".join(shown)


def _dict(value: dict[Any, Any], depth: int) -> str:
    if depth == _MOST_DEPTH:
        return "{…}"
    pairs: list[str] = []
    for name, one in value.items():
        if len(pairs) == _MOST_ITEMS:
            pairs.append(f"… {len(value) - _MOST_ITEMS:,} more")
            break
        hidden = type(name) is str and is_secret_name(name)
        shown = HIDDEN if hidden else _shown(one, depth + 1)
        pairs.append(f"{_shown(name, depth + 1)}: {shown}")
    return "{" + ", ".join(pairs) + "}"


_SHOWN: dict[type, Callable[[Any, int], str]] = {
    str: _text,
    int: _number,
    float: _plain,
    bool: _plain,
    type(None): _plain,
    bytes: _bytes,
    bytearray: _bytes,
    list: _sequence("[]"),
    tuple: _sequence("()"),
    set: _sequence("{}"),
    frozenset: _sequence("{}"),
    dict: _dict,
}


def _cut(text: str) -> bytes:
    whole = text.encode("utf-8", "backslashreplace")
    if len(whole) <= _MOST_BYTES:
        return whole
    return whole[: _MOST_BYTES - 3].decode("utf-8", "ignore").encode() + "…".encode()
