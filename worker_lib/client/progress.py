"""A progress bar: tqdm's if it is installed, else a line; only on a terminal.

While it is shown, a thread reads every other second how many machines work at it and
what they have cost; otherwise nobody does.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.client.fleet import Fleet

__all__ = ["Bar", "Line", "Live", "bar"]

# Seconds from one drawing of the line to the next, and from one look at machines.
_REDRAW, _LOOK, _FIRST_LOOK = 0.1, 2.0, 0.5
_WIDTH, _BAR_WIDTH = 110, 20


class Bar(Protocol):
    """Shows how many calls of a batch are done."""

    def update(self, count: int, failed: int = 0, /) -> Any:
        """Note that so many more are done, and how many of these failed."""
        ...

    def close(self) -> Any:
        """Show the last state, and leave it there."""
        ...


class Drawn(Bar, Protocol):
    """A bar that is drawn, of which machines may be told."""

    def tell(self, fleet: Fleet | None, /) -> Any:
        """Note what machines do, if that is known, and draw it anew."""
        ...


class _Nothing:
    """Shows nothing."""

    def update(self, count: int, failed: int = 0, /) -> None:
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
        self._done = self._failed = 0
        self._fleet: Fleet | None = None

    def update(self, count: int, failed: int = 0, /) -> None:
        """Note that so many more are done; drawn ten times a second at most."""
        self._done += count
        self._failed += failed
        now = self._clock()
        if now - self._drawn_at >= _REDRAW:
            self._draw(now)

    def tell(self, fleet: Fleet | None, /) -> None:
        """Draw it with what machines do."""
        self._fleet = fleet or self._fleet
        self._draw(self._clock())

    def close(self) -> None:
        """Draw it for the last time, and begin a new line."""
        self._draw(self._clock())
        self._out.write("\n")
        self._out.flush()

    def text(self, now: float, width: int = _WIDTH) -> str:
        """Return the line at this time; without what is too much for this width."""
        text = self._title + self._facts(now, with_bar=True)
        if len(text) > width:
            facts = self._facts(now, with_bar=False)
            text = self._title[: max(0, width - len(facts))] + facts
        return text[:width]

    def _facts(self, now: float, *, with_bar: bool) -> str:
        took = now - self._began
        rate = self._done / took if took > 0 else 0.0
        words = ["", f"{self._done:,}"]
        if self._total is not None:
            part = self._done / self._total if self._total else 1.0
            words[1:] = [f"{self._done:,}/{self._total:,}", f"{part:.0%}"]
            if with_bar:
                words.insert(1, _bar_of(part))
        words.append(f"{rate:,.1f}/s")
        if self._total and rate and self._done < self._total:
            words.append(f"{_minutes((self._total - self._done) / rate)} left")
        else:
            words.append(f"{_minutes(took)} passed")
        return "  ".join([*words, *_notes(self._failed, self._fleet)])

    def _draw(self, now: float) -> None:
        self._drawn_at = now
        width = min(_WIDTH, shutil.get_terminal_size().columns - 1)
        self._out.write("\r" + self.text(now, width).ljust(width))
        self._out.flush()


class _Tqdm:
    """The bar of tqdm.

    Args:
        drawn: It.
    """

    def __init__(self, drawn: Any) -> None:
        self._drawn = drawn
        self._failed = 0
        self._fleet: Fleet | None = None

    def update(self, count: int, failed: int = 0, /) -> None:
        """Note that so many more are done."""
        if failed:
            self._failed += failed
            self._note(refresh=False)
        self._drawn.update(count)

    def tell(self, fleet: Fleet | None, /) -> None:
        """Draw it with what machines do."""
        self._fleet = fleet or self._fleet
        self._note(refresh=True)

    def close(self) -> None:
        """Leave it there."""
        self._drawn.close()

    def _note(self, *, refresh: bool) -> None:
        words = _notes(self._failed, self._fleet)
        self._drawn.set_postfix_str(", ".join(words), refresh=refresh)


class Live:
    """A bar that a thread draws anew, too, with what machines do.

    Args:
        drawn: The bar.
        look: Returns what machines do; may take long, and may fail.
        first: Seconds until the first look.
        every: Seconds from one to the next.
    """

    def __init__(
        self,
        drawn: Drawn,
        look: Callable[[], Fleet],
        *,
        first: float = _FIRST_LOOK,
        every: float = _LOOK,
    ) -> None:
        self._drawn = drawn
        self._look = look
        self._pauses = first, every
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="worker-lib-progress", daemon=True
        )
        self._thread.start()

    def update(self, count: int, failed: int = 0, /) -> None:
        """Note that so many more are done."""
        with self._lock:
            self._drawn.update(count, failed)

    def close(self) -> None:
        """Show the last state; a look that is under way is not waited for."""
        self._closed.set()
        with self._lock:
            self._drawn.close()

    def _watch(self) -> None:
        pause, every = self._pauses
        while not self._closed.wait(pause):
            pause, fleet = every, None
            # Who reads the outcomes tells of errors.
            with contextlib.suppress(WorkerLibError):
                fleet = self._look()
            with self._lock:
                if not self._closed.is_set():
                    self._drawn.tell(fleet)


def bar(
    wanted: bool,
    title: str,
    total: int | None,
    look: Callable[[], Fleet] | None = None,
) -> Bar:
    """Return a bar on standard error; one that shows nothing if that is no terminal.

    Args:
        wanted: Whether the caller asked for one.
        title: What is being done.
        total: How many there are; None if that is not known.
        look: Returns what machines do, if that is to be shown.
    """
    out = sys.stderr
    if not wanted or out is None or not out.isatty():
        return _Nothing()
    drawn = _drawn(title, total, out)
    return Live(drawn, look) if look else drawn


def _drawn(title: str, total: int | None, out: TextIO) -> Drawn:
    try:
        from tqdm import tqdm  # noqa: PLC0415 - it may not be installed
    except ImportError:
        return Line(title, total, out)
    return _Tqdm(tqdm(desc=title, total=total, file=out, dynamic_ncols=True))


def _notes(failed: int, fleet: Fleet | None) -> list[str]:
    notes = [f"{failed:,} failed"] if failed else []
    if fleet is not None:
        noun = "machine" if fleet.machines == 1 else "machines"
        digits = 6 if fleet.cost_usd < 0.01 else 4
        notes += [f"{fleet.machines} {noun}", f"${fleet.cost_usd:.{digits}f}"]
    return notes


def _bar_of(part: float) -> str:
    full = int(min(1.0, part) * _BAR_WIDTH)
    return f"[{'#' * full}{'.' * (_BAR_WIDTH - full)}]"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
