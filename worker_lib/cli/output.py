"""Data to stdout, chatter to stderr, colours only where a person looks."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from worker_lib.printable import printable

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["painted", "print_json", "say", "tell"]

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2"}


def painted(text: str, colour: str, stream: TextIO) -> str:
    """Return `text` in a colour if `stream` is a terminal and `NO_COLOR` is unset."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\033[{_COLOURS[colour]}m{text}\033[0m"


def print_json(value: Any) -> None:
    """Print one JSON document; what JSON has no word for goes as its `repr`."""
    text = json.dumps(value, indent=2, default=repr, ensure_ascii=False)
    # What a terminal would obey is escaped so that the document is still JSON.
    print("".join(map(_as_json, text)) if printable(text) != text else text)


def say(text: str) -> None:
    """Print data, whoever wrote it, so that a terminal shows it and obeys nothing."""
    print(printable(text))


def tell(text: str) -> None:
    """Say something to the person, apart from the data, as `say` does."""
    # In one piece, since a thread may be telling of something else.
    print(f"{printable(text)}\n", file=sys.stderr, end="", flush=True)


def _as_json(char: str) -> str:
    return char if printable(char) == char else f"\\u{ord(char):04x}"
