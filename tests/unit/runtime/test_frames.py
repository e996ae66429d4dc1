"""What supervisor and child say to each other."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.runtime.frames import Frames, pack

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
    theirs.send(b"progress", b"1")
    theirs.send(b"done")
    theirs.channel.close()

    assert [[b"progress", b"1"], [b"done"], None] == [ours.receive() for _ in range(3)]
