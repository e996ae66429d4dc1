"""A piece of what an attempt printed, sealed by its machine together with its place.

What an attempt printed is kept as one piece, when it has ended. While somebody follows
the job, its machine sends what is new, a piece at a time; the first one is all that was
kept so far. A piece may have been cut: its beginning and its end are there, and how
much is missing between them. Positions are bytes of what the attempt printed, from 0.
"""

from __future__ import annotations

from worker_lib.calls.codec import OUTPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from worker_lib.calls.codec import Codec
else:
    from worker_lib.records import NamedTuple

__all__ = ["Piece", "line_on_cut", "open_piece", "seal_piece", "whole"]

# Bytes of a character in UTF-8 after its first.
_MOST_CONTINUED = 3
# No place, in decimal digits with colons, begins with the first byte of an envelope.
_PLACE_CHARS = b"0123456789:"


class Piece(NamedTuple):
    """Bytes that an attempt printed.

    Attributes:
        start: How many came before them.
        head: The first of them.
        cut: How many are missing after those.
        tail: The last ones, if some are missing.
    """

    start: int
    head: bytes
    cut: int = 0
    tail: bytes = b""

    @property
    def end(self) -> int:
        """How many bytes were printed up to here."""
        return self.start + len(self.head) + self.cut + len(self.tail)

    @property
    def text(self) -> bytes:
        """The bytes, with a line where some are missing."""
        return self.head + line_on_cut(self.cut) + self.tail

    def after(self, position: int) -> Piece:
        """Return what of it lies beyond a position; all of it if it begins there."""
        skip = position - self.start
        if skip <= 0:
            return self
        if skip < len(self.head):
            return Piece(position, self.head[skip:], self.cut, self.tail)
        skip -= len(self.head)
        if skip < self.cut:
            return Piece(position, b"", self.cut - skip, self.tail)
        return Piece(position, self.tail[skip - self.cut :])

    def in_characters(self) -> Piece:
        """Return it without the parts of UTF-8 characters where it was cut."""
        if not self.cut:
            return self
        head, tail = whole(self.head), self.tail[_first_start(self.tail) :]
        missing = len(self.head) - len(head) + len(self.tail) - len(tail)
        return Piece(self.start, head, self.cut + missing, tail)


def line_on_cut(count: int) -> bytes:
    """Return the line that stands for so many missing bytes; b"" for none."""
    return b"\n\xe2\x80\xa6 %d bytes cut \xe2\x80\xa6\n" % count if count else b""


def seal_piece(
    codec: Codec, piece: Piece, job_id: str, fence: str, *, is_all: bool = False
) -> bytes:
    """Return a piece, sealed for its attempt and place, as it is kept in Redis.

    Args:
        codec: Signs it.
        piece: Goes behind the fence, or under its key.
        job_id: Whose attempt printed it.
        fence: Of that attempt.
        is_all: It is all that the attempt has printed, and ever will.
    """
    place = f"{piece.start}:{len(piece.head)}:{piece.cut}"
    if is_all and not piece.cut:
        place = ""
    context = _context(fence, place, is_all=is_all)
    sealed = codec.seal(piece.text, kind=OUTPUT, job_id=job_id, fence=context)
    return b"%b %b" % (place.encode(), sealed) if place else sealed


def open_piece(
    codec: Codec, told: bytes, job_id: str, fence: str, *, is_all: bool = False
) -> Piece:
    """Return the piece that `seal_piece` made of this attempt.

    Raises:
        SignatureMismatch: a machine of ours did not print that there.
        UnknownVersion: a newer library wrote it.
    """
    place, sealed = _split(told)
    context = _context(fence, place, is_all=is_all)
    body = bytes(codec.open(sealed, kind=OUTPUT, job_id=job_id, fence=context))
    if not place:
        return Piece(0, body)
    start, size, cut = map(int, place.split(":"))
    rest = size + len(line_on_cut(cut))
    return Piece(start, body[:size], cut, body[rest:])


def whole(text: bytes) -> bytes:
    """Return UTF-8 text without an unfinished character at its end."""
    for back in range(1, min(_MOST_CONTINUED, len(text)) + 1):
        byte = text[-back]
        if byte >= 0xC0:
            size = 2 + (byte >= 0xE0) + (byte >= 0xF0)
            return text[:-back] if size > back else text
        if byte < 0x80:
            break
    return text


def _first_start(text: bytes) -> int:
    """Return where the first whole character begins; 0 if this is no UTF-8."""
    at = 0
    while at < len(text) and text[at] & 0xC0 == 0x80:
        at += 1
        if at > _MOST_CONTINUED:
            return 0
    return at


def _context(fence: str, place: str, *, is_all: bool) -> str:
    """Return what is signed along: of all that was printed, the fence is enough."""
    if is_all:
        return f"{fence}:{place}:all" if place else fence
    return f"{fence}:{place}"


def _split(told: bytes) -> tuple[str, bytes]:
    """Return the place, "" if there is none, and the envelope."""
    if told[:1] not in _PLACE_CHARS:
        return "", told
    place, _, sealed = told.partition(b" ")
    return place.decode("ascii", "replace"), sealed
