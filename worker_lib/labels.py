"""What people name calls by: queues with their order, tags, and keys.

Each function returns the checked value, or raises a `ConfigError` that says what to
write instead. Values of tags and keys may be private, so no message repeats them.
"""

from __future__ import annotations

from worker_lib.checks import whole
from worker_lib.errors import ConfigError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "MAX_PRIORITY",
    "QUEUES",
    "job_key",
    "priority",
    "queue_name",
    "queue_order",
    "tag_pairs",
    "tag_text",
]

# In the order in which they are served.
QUEUES = "high,default,low"
MAX_PRIORITY = 100
_MAX_NAME = 64
_MAX_ORDERED = 32
_MAX_WEIGHT = 1000
_MAX_TAGS = 16
_MAX_TAG_VALUE = 128
_MAX_KEY = 200

# Higher is served first.
priority = whole(-MAX_PRIORITY, MAX_PRIORITY)


def queue_name(value: Any, source: str) -> str:
    """Return the name of a queue: 1 to 64 letters, digits, `-`, `_` or `.`."""
    if not isinstance(value, str) or not _is_name(value):
        text = f"{source}={_short(value)} is no name of a queue"
        raise ConfigError(Problem(text, _NAME_HELP, source))
    return value


def queue_order(value: Any, source: str) -> str:
    """Return the order in which machines serve queues, without blanks.

    `high,default,low`: all of one before any of the next. `high=5,default=2,low=1`:
    of eight jobs five are of `high`, as long as each queue has some. Queues that are
    not named come after all that are.
    """
    if not isinstance(value, str):
        raise ConfigError(Problem(f"{source}={_short(value)}", _ORDER_HELP, source))
    parts = [part.strip() for part in value.split(",")]
    pairs = [part.partition("=") for part in parts]
    names = [queue_name(name.strip(), source) for name, _, _ in pairs]
    if len(set(names)) < len(names) or len(names) > _MAX_ORDERED:
        text = f"{source} names a queue twice, or more than {_MAX_ORDERED} queues"
        raise ConfigError(Problem(text, _ORDER_HELP, source))
    if not any(equals for _, equals, _ in pairs):
        return ",".join(names)
    weights = [_weight(weight.strip(), source) for _, _, weight in pairs]
    each = zip(names, weights, strict=True)
    return ",".join(f"{name}={weight}" for name, weight in each)


def tag_pairs(value: Any, source: str) -> tuple[tuple[str, str], ...]:
    """Return tags as sorted pairs of name and value, at most 16."""
    if not hasattr(value, "keys"):
        text, remedy = f"{source}= takes names and texts", "write {'tenant': 'x'}"
        raise ConfigError(Problem(text, remedy, source))
    pairs = dict(value).items()
    if len(pairs) > _MAX_TAGS:
        text = f"{source}= has {len(pairs)} tags and a job may have {_MAX_TAGS}"
        raise ConfigError(Problem(text, "keep those that you look up jobs by", source))
    return tuple(sorted(_tag(name, text, source) for name, text in pairs))


def tag_text(value: Any, source: str) -> str:
    """Return the `name=value` by which jobs are looked up."""
    name, equals, text = str(value).partition("=")
    if not equals:
        raise ConfigError(
            Problem(f"{source}={_short(value)}", "write it as NAME=VALUE", source)
        )
    return "=".join(_tag(name, text, source))


def job_key(value: Any, source: str) -> str:
    """Return what makes a call unique among those of its task; "" for nothing."""
    if value is None:
        return ""
    if not _is_line(value, _MAX_KEY):
        text = (
            f"{source}= is a text of 1 to {_MAX_KEY} characters, all printable, and "
            f"this is {_what(value)}"
        )
        raise ConfigError(Problem(text, "shorten it, or hash what is long", source))
    return str(value)


_NAME_HELP = f"use 1 to {_MAX_NAME} letters, digits, '-', '_' or '.'"
_ORDER_HELP = (
    "write 'high,default,low' to serve all of one before the next, or "
    "'high=5,default=2,low=1' to share"
)


def _tag(name: Any, text: Any, source: str) -> tuple[str, str]:
    if not isinstance(name, str) or not _is_name(name):
        problem = f"{source}= has a tag named {_short(name)}"
        raise ConfigError(Problem(problem, _NAME_HELP, source))
    if not _is_line(text, _MAX_TAG_VALUE):
        problem = (
            f"the value of tag {name!r} is a text of 1 to {_MAX_TAG_VALUE} characters, "
            f"all printable, and this is {_what(text)}"
        )
        raise ConfigError(Problem(problem, "pass an id, as str(user.id)", source))
    return name, str(text)


def _weight(text: str, source: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_WEIGHT))
    weight = int(text) if digits else 0
    if not 1 <= weight <= _MAX_WEIGHT:
        problem = (
            f"{source}: every queue has a weight from 1 to {_MAX_WEIGHT}, or none has"
        )
        raise ConfigError(Problem(problem, _ORDER_HELP, source))
    return weight


def _is_name(text: str) -> bool:
    bare = text.replace("-", "").replace("_", "").replace(".", "")
    return len(text) <= _MAX_NAME and bare.isascii() and bare.isalnum()


def _is_line(value: Any, most: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= most and value.isprintable()


def _what(value: Any) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, str) else f"a {kind}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"
