"""What supervisor and child say to each other."""

from __future__ import annotations

import os
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
    found = {("j1", "2"): ""}
    assert ours.hear(found)
    theirs.send("j1", "2", "first")
    theirs.send("j1", "2", "second, with blanks")
    theirs.send("j1", "1", "old attempt")
    theirs.send("j0", "2", "old job")

    assert ours.hear(found)
    assert {("j1", "2"): "second, with blanks"} == found
    theirs.send("j1", "2", "last")
    theirs.channel.close()
    assert not ours.hear(found)
    assert {("j1", "2"): "last"} == found


def test_files_come_in_the_order_in_which_they_were_sent(
    reports: tuple[Progress, Progress],
) -> None:
    """One for each pipe that the child prints to from then on."""
    ours, theirs = reports
    pipes = [os.pipe() for _ in range(2)]
    for number, (reader, writer) in enumerate(pipes):
        os.write(writer, b"%d" % number)
        theirs.send_file(reader)
    ours.hear({})

    assert [b"0", b"1"] == [os.read(file, 10) for file in ours.files]
    for descriptor in (*ours.files, *pipes[0], *pipes[1]):
        os.close(descriptor)


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
        heard: set[str] = set()
        found = {("j1", "1"): ""}
        while not all(one.done() for one in done):
            ours.hear(found)
            heard.update(found.values())
        ours.hear(found)
        heard.update(found.values())

    assert heard <= texts | {""}
    assert heard & texts


def test_what_does_not_fit_is_sent_later(ends: tuple[Frames, Frames]) -> None:
    """The supervisor waits for no child."""
    ours, theirs = ends
    large = b"x" * 3_000_000
    ours.post(pack(large) + pack(b"next"))
    assert ours.unsent()
    with ThreadPoolExecutor(1) as threads:
        heard = threads.submit(lambda: [theirs.receive(), theirs.receive()])
        while ours.unsent():
            ours.flush()
        assert [[large], [b"next"]] == heard.result(20)


def test_what_is_there_is_read_without_waiting(ends: tuple[Frames, Frames]) -> None:
    """And the end is told once there is nothing more."""
    ours, theirs = ends
    assert ours.drain()
    theirs.send(b"done")
    assert ours.drain()
    assert [b"done"] == ours.take()
    theirs.channel.close()
    assert not ours.drain()
