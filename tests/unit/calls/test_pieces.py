"""Pieces of what an attempt printed: where they belong, and that they are genuine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.calls.codec import Codec
from worker_lib.calls.pieces import Piece, open_piece, seal_piece, whole
from worker_lib.errors import SignatureMismatch

CODEC = Codec("s" * 32, "tests", max_bytes=1 << 20)
PIECES = [Piece(0, b""), Piece(7, b"plain"), Piece(3, b"head", 900, b"tail")]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("is_all", [True, False])
def test_a_piece_is_opened_as_it_was_sealed(piece: Piece, is_all: bool) -> None:
    """Also if its text holds what looks like a line on a cut."""
    if is_all and not piece.cut:
        piece = piece._replace(start=0)
    odd = piece._replace(head="\n… 900 bytes cut …\n".encode())

    for one in (piece, odd):
        told = seal_piece(CODEC, one, "j1", "3", is_all=is_all)
        assert one == open_piece(CODEC, told, "j1", "3", is_all=is_all)


def test_a_piece_belongs_to_its_place_alone() -> None:
    """Nor does a part of what an attempt printed pass for all of it."""
    piece = Piece(0, b"head", 900, b"tail")
    told = seal_piece(CODEC, piece, "j1", "3")
    moved = told.replace(b"0:4:900 ", b"9:4:900 ")
    bare = told.partition(b" ")[2]

    for job, fence, forged, is_all in [
        ("j2", "3", told, False),
        ("j1", "4", told, False),
        ("j1", "3", moved, False),
        ("j1", "3", told, True),
        ("j1", "3", bare, True),
        ("j1", "3", bare, False),
        ("j1", "3", b"", False),
        ("j1", "3", b"0:x:y z", False),
    ]:
        with pytest.raises(SignatureMismatch):
            open_piece(CODEC, forged, job, fence, is_all=is_all)


@given(text=st.binary(min_size=1, max_size=60), data=st.data(), start=st.integers(0, 9))
def test_what_lies_beyond_a_position_is_the_rest(
    text: bytes, data: st.DataObject, start: int
) -> None:
    """Wherever the position is: before, in the head, in the cut, in the tail, after."""
    first = data.draw(st.integers(0, len(text)))
    second = data.draw(st.integers(first, len(text)))
    piece = Piece(start, text[:first], second - first, text[second:])
    at = data.draw(st.integers(0, start + len(text) + 3))
    rest = piece.after(at)
    known = dict(enumerate(text[:first], start))
    known |= dict(enumerate(text[second:], start + second))
    found = dict(enumerate(rest.head, rest.start))
    found |= dict(enumerate(rest.tail, rest.end - len(rest.tail)))

    assert {place: byte for place, byte in known.items() if place >= at} == found
    if at <= piece.end:
        assert piece.end == rest.end


@given(st.text(max_size=20), st.integers(0, 80))
def test_what_is_cut_is_cut_between_characters(text: str, at: int) -> None:
    """And no more than an unfinished character is left out."""
    data = text.encode()[:at]

    assert text.startswith(whole(data).decode())
    assert len(data) - len(whole(data)) <= 3
