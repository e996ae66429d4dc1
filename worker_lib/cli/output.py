"""Data to stdout, chatter to stderr, colours only where a person looks."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from worker_lib.printable import printable

if TYPE_CHECKING:
    from typing import TextIO

__all__ = [
    "be_quiet",
    "complain",
    "painted",
    "print_json",
    "print_json_line",
    "print_records",
    "say",
    "tell",
]

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2"}
_quiet = False


def be_quiet(quiet: bool) -> None:
    """Set whether what is neither data nor an error is left out, as `--quiet` asks."""
    global _quiet  # noqa: PLW0603 - one command per process
    _quiet = quiet


def painted(text: str, colour: str, stream: TextIO) -> str:
    """Return `text` in a colour if `stream` is a terminal that has and may have some.

    "" is no colour. `NO_COLOR` forbids them, and `TERM=dumb` says that it has none.
    """
    if not colour or os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    if os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{_COLOURS[colour]}m{text}\033[0m"


def print_json(value: Any) -> None:
    """Print one JSON document; what JSON has no word for goes as its `repr`."""
    _print_json(value, indent=2)


def print_records(value: Any) -> None:
    """Print a JSON document of what `worker_lib.inspection` has, times in ISO 8601."""
    from worker_lib.inspection.documents import as_document  # noqa: PLC0415 - not for --help

    print_json(as_document(value))


def print_json_line(value: Any) -> None:
    """Print a JSON document of a stream: in one line, at once."""
    _print_json(value, indent=None)


def _print_json(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, default=repr, ensure_ascii=False)
    # What a terminal would obey is escaped so that the document is still JSON.
    safe = "".join(map(_as_json, text)) if printable(text) != text else text
    print(safe, flush=indent is None)


def say(text: str) -> None:
    """Print data, whoever wrote it, so that a terminal shows it and obeys nothing."""
    print(printable(text))


def tell(text: str) -> None:
    """Say something to the person, apart from the data, as `say` does; or be quiet."""
    if not _quiet:
        complain(text)


def complain(text: str) -> None:
    """Tell what went wrong, which no `--quiet` hides."""
    # In one piece, since a thread may be telling of something else.
    print(f"{printable(text)}\n", file=sys.stderr, end="", flush=True)


def _as_json(char: str) -> str:
    return char if printable(char) == char else f"\\u{ord(char):04x}"
