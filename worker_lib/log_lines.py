r"""Lines of records of `logging`, among all that a job prints.

On a machine where nothing else is configured, a record is a line of this form:

    2026-11-22T02:20:01.123Z WARNING shop.orders: card refused\t{"order": 7}

After the tab are the fields that its `extra` had, as JSON. What follows of its message,
and its traceback, are lines of their own. Every other line is text as it was printed;
a record as `logging.basicConfig` writes it (`WARNING:shop.orders:card refused`) is read
as well.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LogLine", "format_line", "parse_line", "parse_lines"]

_OURS = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([A-Z][\w ]*) ([^\s:]+): "
    r"([^\t]*)(?:\t(.*))?",
    re.DOTALL,
)
_BASIC = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL):([^\s:]+):(.*)", re.DOTALL)


class LogLine(NamedTuple):
    """A line that a job printed.

    Attributes:
        text: The line, or the message of the record that it is.
        at: Seconds since the epoch; None if the line has no time.
        level: As `WARNING`; "" if it is no record, and then so is the next.
        logger: Its name.
        fields: What `extra` had.
    """

    text: str
    at: float | None = None
    level: str = ""
    logger: str = ""
    fields: Mapping[str, Any] = {}


def format_line(
    at: float, level: str, logger: str, message: str, fields: Mapping[str, Any]
) -> str:
    """Return the lines of a record; those after the first are of its message."""
    first, *rest = message.split("\n")
    seconds, milliseconds = divmod(round(at * 1000), 1000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    text = first.replace("\t", " ")
    line = f"{moment}.{milliseconds:03d}Z {level} {logger}: {text}"
    if fields:
        line += f"\t{json.dumps(fields, default=str, ensure_ascii=False)}"
    return "\n".join((line, *rest))


def parse_line(line: str) -> LogLine:
    """Return what one line says; whatever it is, it is a line."""
    line = line.removesuffix("\n")
    found = _OURS.fullmatch(line)
    if found is not None:
        return _ours(found) or LogLine(line)
    found = _BASIC.fullmatch(line)
    if found is not None:
        level, logger, text = found.groups()
        return LogLine(text, None, level, logger)
    return LogLine(line)


def parse_lines(text: str) -> Iterator[LogLine]:
    """Yield what each line of a text says."""
    for line in text.split("\n")[: -1 if text.endswith("\n") else None]:
        yield parse_line(line)


def _ours(found: re.Match[str]) -> LogLine | None:
    """Return a record; None if somebody prints what looks nearly like one."""
    moment, level, logger, text, told = found.groups()
    try:
        at = datetime.fromisoformat(moment).timestamp()
        fields = json.loads(told) if told else {}
    except ValueError:
        return None
    is_record = isinstance(fields, dict)
    return LogLine(text, at, level, logger, fields) if is_record else None
