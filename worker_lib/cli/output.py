"""Data to stdout, chatter to stderr, colours only where a person looks."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["painted", "print_json", "tell"]

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2"}


def painted(text: str, colour: str, stream: TextIO) -> str:
    """Return `text` in a colour if `stream` is a terminal and `NO_COLOR` is unset."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\033[{_COLOURS[colour]}m{text}\033[0m"


def print_json(value: Any) -> None:
    """Print one JSON document; what JSON has no word for goes as its `repr`."""
    print(json.dumps(value, indent=2, default=repr, ensure_ascii=False))


def tell(text: str) -> None:
    """Say something to the person, apart from the data."""
    print(text, file=sys.stderr, flush=True)
