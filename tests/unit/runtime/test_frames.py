"""What supervisor and child say to each other."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.runtime.frames import Frames, Progress, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = st.lists(st.binary(max_size=40), min_size=1, max_size=5)


class Pieces:
    """A channel that gives what it has in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]

    def recv(self, _most: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@given(st.lists(PARTS, min_size=1, max_size=4), st.integers(1, 50))
def test_frames_are_read_whole_in_any_pieces(
    frames: list[list[bytes]], size: int
) -> None:
    """Several in one piece, one in several: each comes out as it was sent."""
    data = b"".join(pack(*parts) for parts in frames)
    channel = Frames(Pieces(data, size))  # type: ignore[arg-type]  # stands in for one

    assert frames == [channel.receive() for _ in frames]
    assert channel.receive() is None


@pytest.fixture
def ends() -> Iterator[tuple[Frames, Frames]]:
    """Yield both ends of a channel."""
    ours, theirs = socket.socketpair()
    yield Frames(ours), Frames(theirs)
    ours.close()
    theirs.close()


def test_half_a_frame_is_none(ends: tuple[Frames, Frames]) -> None:
    """The other side died in the middle of a word."""
    ours, theirs = ends
    theirs.channel.sendall(pack(b"done", b"x" * 100)[:50])
    theirs.channel.close()

    assert ours.receive() is None
    assert ours.take() is None


def test_what_was_said_before_the_end_is_heard(ends: tuple[Frames, Frames]) -> None:
    """The last words of a child count."""
    ours, theirs = ends
    theirs.send(b"job", b"1")
    theirs.send(b"done")
    theirs.channel.close()

    assert [[b"job", b"1"], [b"done"], None] == [ours.receive() for _ in range(3)]


@pytest.fixture
def reports() -> Iterator[tuple[Progress, Progress]]:
    """Yield both ends of the channel for progress."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield Progress(ours), Progress(theirs)
    ours.close()
    theirs.close()


def test_the_last_report_of_an_attempt_counts(
    reports: tuple[Progress, Progress],
) -> None:
    """What a thread of an earlier job or attempt reports is nobody's."""
    ours, theirs = reports
    assert "" == ours.latest("j1", "2")
    theirs.send("j1", "2", "first")
    theirs.send("j1", "2", "second, with blanks")
    theirs.send("j1", "1", "old attempt")
    theirs.send("j0", "2", "old job")

    assert "second, with blanks" == ours.latest("j1", "2")
    assert "" == ours.latest("j1", "2")
    theirs.send("j1", "2", "last")
    theirs.channel.close()
    assert "last" == ours.latest("j1", "2")
    assert ours.latest("j1", "2") is None


def test_reports_of_many_threads_arrive_whole(
    reports: tuple[Progress, Progress],
) -> None:
    """However they interleave, and however slowly they are read."""
    ours, theirs = reports
    texts = {f"{n}" * 3000 for n in range(8)}

    def report(text: str) -> None:
        for _ in range(50):
            theirs.send("j1", "1", text)

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(report, text) for text in texts]
        heard = set()
        while not all(one.done() for one in done):
            heard.add(ours.latest("j1", "1"))
        heard.add(ours.latest("j1", "1"))

    assert heard <= texts | {""}
    assert heard & texts
