"""Draws text over the whole terminal, and gives the terminal back as it was.

Whatever ends it (q, Ctrl-C, SIGTERM, an error) and while it is stopped by Ctrl-Z, the
terminal is as before. What is drawn goes to the descriptor in one piece, not through
`sys.stdout`: a signal's handler may draw, too.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from worker_lib.cli import exits
from worker_lib.cli.frames import Line, overview_lines
from worker_lib.cli.output import painted
from worker_lib.errors import StoreUnavailable
from worker_lib.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from worker_lib.inspection import Overview

__all__ = ["Screen", "is_screen", "watch"]

# The other screen, no cursor, no line breaks of the terminal's own; and back again.
_ENTER = "\033[?1049h\033[?25l\033[?7l"
_LEAVE = "\033[?7h\033[?25h\033[?1049l"
_LFLAG = 3


class _Terminated(Exception):
    """SIGTERM came."""


def is_screen(stream: TextIO) -> bool:
    """Say whether this is a terminal that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """A terminal that is drawn on as a whole.

    Args:
        out: Descriptor of the terminal.
        keys: Descriptor that its keys come from; None if they are not wanted.
    """

    def __init__(self, out: int, keys: int | None) -> None:
        self._out = out
        self._keys = keys
        self._before: list[Any] | None = None
        self._lines: Sequence[Line] = ()

    def enter(self) -> None:
        """Take the terminal."""
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
            mode = termios.tcgetattr(self._keys)
            mode[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._keys, termios.TCSANOW, mode)
        self._write(_ENTER)

    def leave(self) -> None:
        """Give the terminal back as it was."""
        self._write(_LEAVE)
        if self._keys is not None and self._before is not None:
            termios.tcsetattr(self._keys, termios.TCSANOW, self._before)
            self._before = None

    def draw(self, lines: Sequence[Line] | None = None) -> None:
        """Show these lines, or those of before, as far as there is room."""
        self._lines = self._lines if lines is None else lines
        columns, rows = shutil.get_terminal_size()
        shown = [*self._lines[:rows]]
        if len(self._lines) > rows:
            left = len(self._lines) - rows + 1
            shown[-1] = Line(f"… {left} more lines: make the window taller", "dim")
        text = "\033[K\r\n".join(
            painted(one.text[:columns], one.colour, sys.stdout) for one in shown
        )
        self._write(f"\033[H{text}\033[K\033[J")

    def key(self, seconds: float) -> str:
        """Return the key that was pressed within this time, or ""."""
        wanted = [] if self._keys is None else [self._keys]
        ready, _, _ = select.select(wanted, [], [], max(0.0, seconds))
        return os.read(ready[0], 1).decode("latin-1") if ready else ""

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._out, data) :]


def watch(overview: Callable[[], Overview], interval: float) -> int:
    """Draw what there is every so many seconds, until q, Ctrl-C or SIGTERM."""
    keys = sys.stdin.fileno() if sys.stdin.isatty() else None
    screen = Screen(sys.stdout.fileno(), keys)
    frames = _frames(overview)
    first = next(frames)  # what is wrong with the settings is told as ever
    try:
        with _taken(screen):
            screen.draw(first)
            while not _is_over(screen, interval):
                screen.draw(next(frames))
    except _Terminated:
        return 128 + signal.SIGTERM
    return exits.OK


def _is_over(screen: Screen, interval: float) -> bool:
    """Wait for the time of the next frame; True if q was pressed meanwhile."""
    deadline = time.monotonic() + interval
    while (left := deadline - time.monotonic()) > 0:
        if screen.key(left) in {"q", "Q"}:
            return True
    return False


def _frames(overview: Callable[[], Overview]) -> Iterator[list[Line]]:
    """Yield frames; while Redis is away the last one, under a line that says so."""
    lines = [*overview_lines(overview())]
    while True:
        yield [Line(f"worker-lib top   {_clock()}   q quits", "dim"), Line(""), *lines]
        try:
            lines = [*overview_lines(overview())]
        except StoreUnavailable as error:
            told = Line(printable(f"as of before: {error}", keep=""), "red")
            lines = [told, *(line for line in lines if line.colour != "red")]


def _clock() -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime())


@contextmanager
def _taken(screen: Screen) -> Iterator[None]:
    """Have the terminal for a while, and hear of its size and of requests to end."""

    def end(_number: int, _frame: object) -> None:
        raise _Terminated

    def pause(number: int, _frame: object) -> None:
        screen.leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stands still here, until SIGCONT
        signal.signal(number, pause)
        screen.enter()
        screen.draw()

    handlers: dict[signal.Signals, Any] = {
        signal.SIGTERM: end,
        signal.SIGTSTP: pause,
        signal.SIGWINCH: lambda *_: screen.draw(),
    }
    before = {number: signal.signal(number, one) for number, one in handlers.items()}
    try:
        screen.enter()
        yield
    finally:
        screen.leave()
        for number, handler in before.items():
            signal.signal(number, handler)
