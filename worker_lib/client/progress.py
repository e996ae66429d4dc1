"""A progress bar: tqdm's if it is installed, else a line; only on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bar", "Line", "bar"]

# Seconds from one drawing of the line to the next.
_REDRAW = 0.1
_WIDTH = 78


class Bar(Protocol):
    """Shows how many calls of a batch are done."""

    def update(self, count: int, /) -> Any:
        """Note that so many more are done."""
        ...

    def close(self) -> Any:
        """Show the last state, and leave it there."""
        ...


class _Nothing:
    """Shows nothing."""

    def update(self, count: int, /) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Line:
    """A line of text that is drawn anew.

    Args:
        title: What is being done.
        total: How many there are; None if that is not known.
        out: A terminal.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        out: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._total = total
        self._out = out
        self._clock = clock
        self._began = clock()
        self._drawn_at = -_REDRAW
        self._done = 0

    def update(self, count: int, /) -> None:
        """Note that so many more are done; drawn ten times a second at most."""
        self._done += count
        now = self._clock()
        if now - self._drawn_at >= _REDRAW:
            self._drawn_at = now
            self._draw(now)

    def close(self) -> None:
        """Draw it for the last time, and begin a new line."""
        self._draw(self._clock())
        self._out.write("\n")
        self._out.flush()

    def text(self, now: float) -> str:
        """Return the line at this time."""
        took = now - self._began
        rate = self._done / took if took > 0 else 0.0
        words = [self._title, f"{self._done:,}"]
        if self._total is not None:
            part = self._done / self._total if self._total else 1.0
            words[1:] = [f"{self._done:,}/{self._total:,}", f"{part:.0%}"]
        words += [f"{rate:,.1f}/s", f"{_minutes(took)} passed"]
        if self._total and rate and self._done < self._total:
            words.append(f"{_minutes((self._total - self._done) / rate)} left")
        return "  ".join(words)

    def _draw(self, now: float) -> None:
        self._out.write("\r" + self.text(now)[:_WIDTH].ljust(_WIDTH))
        self._out.flush()


def bar(wanted: bool, title: str, total: int | None) -> Bar:
    """Return a bar on standard error; one that shows nothing if that is no terminal.

    Args:
        wanted: Whether the caller asked for one.
        title: What is being done.
        total: How many there are; None if that is not known.
    """
    out = sys.stderr
    if not wanted or out is None or not out.isatty():
        return _Nothing()
    try:
        from tqdm import tqdm  # noqa: PLC0415 - it may not be installed
    except ImportError:
        return Line(title, total, out)
    made: Bar = tqdm(desc=title, total=total, file=out)
    return made


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
