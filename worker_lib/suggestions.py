"""The one sentence for a name we do not know: it says which one was likely meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["unknown_name"]


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return a sentence that refuses `name` and offers the nearest known one."""
    import difflib  # noqa: PLC0415 - only on the way to an error

    options = sorted(known)
    nearest = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if nearest:
        return f"unknown {what} {name!r}: did you mean {nearest[0]!r}?"
    return f"unknown {what} {name!r}: known are {', '.join(options)}"
