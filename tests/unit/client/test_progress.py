"""Progress on a terminal, and nowhere else."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import struct
import sys
import termios

import pytest

from worker_lib.client import progress


class Terminal(io.StringIO):
    """Takes text, and says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return what the standard error is from now on."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def shown(wanted: bool = True, total: int | None = 4) -> None:
    """Show a bar of four calls."""
    bar = progress.bar(wanted, "m:f", total)
    for _ in range(4):
        bar.update(1)
    bar.close()


def test_tqdm_draws_it_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there in this environment."""
    out = terminal(monkeypatch)
    shown()

    assert "m:f: 100%" in out.getvalue()
    assert "4/4" in out.getvalue()


def test_without_it_a_line_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over itself, with a new line at the end."""
    out = terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    shown()

    lines = out.getvalue().split("\r")
    assert lines[-1].startswith("m:f  4/4  100%  ")
    assert lines[-1].endswith("\n")
    assert {79} >= {len(line) for line in lines[1:]} - {78}


@pytest.mark.parametrize("wanted", [True, False])
def test_nothing_is_drawn_where_nobody_looks(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a file or a pipe, without a standard error, or unasked."""
    for out in (Terminal(), None) if not wanted else (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", out)
        shown(wanted)
        assert "" == (out.getvalue() if out else "")


@pytest.mark.parametrize(
    ("total", "done", "took", "text"),
    [
        (1000, 250, 10.0, "m:f  250/1,000  25%  25.0/s  0:10 passed  0:30 left"),
        (1000, 1000, 3723.0, "m:f  1,000/1,000  100%  0.3/s  1:02:03 passed"),
        (None, 12345, 10.0, "m:f  12,345  1,234.5/s  0:10 passed"),
        (0, 0, 0.0, "m:f  0/0  100%  0.0/s  0:00 passed"),
        (5, 0, 0.0, "m:f  0/5  0%  0.0/s  0:00 passed"),
    ],
)
def test_the_line_tells_how_far_it_is(
    total: int | None, done: int, took: float, text: str
) -> None:
    """With rate and time, where they are known."""
    line = progress.Line("m:f", total, Terminal(), clock=lambda: 0.0)
    line.update(done)

    assert text == line.text(took)


def test_the_line_is_drawn_ten_times_a_second_at_most() -> None:
    """Thousands of calls may end in one."""
    out, now = Terminal(), [0.0]
    line = progress.Line("m:f", 1000, out, clock=lambda: now[0])
    for _ in range(1000):
        now[0] += 0.001
        line.update(1)

    assert 12 >= out.getvalue().count("\r")


def test_a_bar_is_drawn_on_a_real_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only on one that says so."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(theirs, "w") as out:
        monkeypatch.setattr(sys, "stderr", out)
        shown()
    drawn = b""
    with contextlib.suppress(OSError):  # as there is nothing left, and nobody writes
        while part := os.read(ours, 10_000):
            drawn += part
    os.close(ours)

    assert b"4/4" in drawn
