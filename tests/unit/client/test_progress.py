"""Progress on a terminal, and nowhere else."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import struct
import sys
import termios
import threading

import pytest
from waiting import until

from worker_lib.client import progress
from worker_lib.client.fleet import Fleet
from worker_lib.errors import StoreUnavailable


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
    assert lines[-1].startswith(f"m:f  [{'#' * 20}]  4/4  100%  ")
    assert lines[-1].endswith("\n")
    assert {80} >= {len(line) for line in lines[1:]} - {79}


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
        (
            1000,
            250,
            10.0,
            "m:f  [#####...............]  250/1,000  25%  25.0/s  0:30 left",
        ),
        (
            1000,
            1000,
            3723.0,
            f"m:f  [{'#' * 20}]  1,000/1,000  100%  0.3/s  1:02:03 passed",
        ),
        (None, 12345, 10.0, "m:f  12,345  1,234.5/s  0:10 passed"),
        (0, 0, 0.0, f"m:f  [{'#' * 20}]  0/0  100%  0.0/s  0:00 passed"),
        (5, 0, 0.0, f"m:f  [{'.' * 20}]  0/5  0%  0.0/s  0:00 passed"),
    ],
)
def test_the_line_tells_how_far_it_is(
    total: int | None, done: int, took: float, text: str
) -> None:
    """With rate and time, where they are known."""
    line = progress.Line("m:f", total, Terminal(), clock=lambda: 0.0)
    line.update(done)

    assert text == line.text(took)


def test_the_line_tells_of_failures_and_machines() -> None:
    """What is too much for the width is left out, machines and costs last."""
    line = progress.Line("shop.tasks:render", 100, Terminal(), clock=lambda: 0.0)
    line.update(10, 2)
    line.tell(Fleet(0.0, 12, 0.01234))
    told = "10/100  10%  1.0/s  1:30 left  2 failed  12 machines  $0.0123"

    assert f"shop.tasks:render  [##..................]  {told}" == line.text(10.0)
    assert f"shop.tasks:rende  {told}" == line.text(10.0, 79)
    assert f"  {told}"[:50] == line.text(10.0, 50)
    line.tell(Fleet(0.0, 1, 0.0))
    assert line.text(10.0).endswith("1 machine  $0.000000")


def test_a_look_that_fails_leaves_what_was_known() -> None:
    """Redis may be away for a while."""
    line = progress.Line("m:f", 100, Terminal(), clock=lambda: 0.0)
    line.tell(Fleet(0.0, 3, 0.5))
    line.tell(None)

    assert line.text(10.0).endswith("3 machines  $0.5000")


def test_machines_are_looked_at_while_a_bar_is_shown_and_not_afterwards() -> None:
    """Also when no call ends; errors are told elsewhere."""
    out, looks = Terminal(), list[int]()

    def look() -> Fleet:
        looks.append(1)
        if len(looks) == 2:
            raise StoreUnavailable("away")
        return Fleet(0.0, 3, 0.5)

    line = progress.Line("m:f", 100, out)
    live = progress.Live(line, look, first=0.001, every=0.001)
    until(lambda: len(looks) >= 5)
    assert "3 machines  $0.5000" in out.getvalue()
    live.update(7, 1)
    live.close()
    live._thread.join(5)

    assert not live._thread.is_alive()
    assert "7/100" in out.getvalue()
    assert "1 failed" in out.getvalue().splitlines()[-1]
    assert out.getvalue().endswith("\n"), "nothing is drawn after the last state"


def test_a_look_that_hangs_does_not_hold_up_the_end() -> None:
    """As while Redis does not answer."""
    hanging, going_on = threading.Event(), threading.Event()

    def look() -> Fleet:
        hanging.set()
        going_on.wait(30)
        return Fleet(0.0, 9, 9.0)

    out = Terminal()
    live = progress.Live(progress.Line("m:f", 1, out), look, first=0.0)
    assert hanging.wait(5)
    live.update(1)
    live.close()
    assert out.getvalue().endswith("\n")
    going_on.set()
    live._thread.join(5)

    assert "9 machines" not in out.getvalue()


def test_tqdm_tells_of_failures_and_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind its own figures."""
    out = terminal(monkeypatch)
    bar = progress.bar(True, "m:f", 4, lambda: Fleet(0.0, 3, 0.5))
    bar.update(2, 1)
    until(lambda: "1 failed, 3 machines, $0.5000" in out.getvalue())
    bar.close()


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
