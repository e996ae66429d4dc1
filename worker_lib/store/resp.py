"""RESP2, Redis's protocol: commands as bytes, and replies out of bytes.

Nothing is read twice: a reply that has not come whole is gone on with where it stopped,
and a large value is received into its place.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from worker_lib.store.scripts import Word

    Reply: TypeAlias = "bytes | int | list[Reply] | None"

__all__ = ["PENDING", "Packed", "Reader", "Refused", "pack"]

# From here on, a word is sent and a value received without copying it together with
# what stands around it.
_LARGE = 1 << 15
# What stands between two short words: to format it for each takes half of a call's time
# in Python.
_MANY = 64
_HEADS = [b"\r\n$%d\r\n" % size for size in range(_MANY)]
_DOLLAR, _STAR, _COLON, _MINUS = b"$*:-"


class Refused(bytes):
    """An error reply."""


class _Pending:
    """Says that there is no whole reply yet."""


PENDING = _Pending()
_OPENED = _Pending()


class Packed:
    """Words that many commands have in a row, packed once for all of them.

    Args:
        words: As `pack` takes them.
        arguments: How many of them are arguments that a script names.
    """

    __slots__ = ("arguments", "count", "data")

    def __init__(self, words: Sequence[Word], arguments: int = 0) -> None:
        self.arguments = arguments
        self.count, pieces = _pieces(words)
        self.data = b"".join(pieces)


def pack(command: Sequence[Word | Packed]) -> list[bytes]:
    """Return a command as pieces to be sent one after the other; mostly one."""
    count, pieces = _pieces(command)
    pieces[0] = b"*%d" % count + pieces[0]
    pieces[-1] += b"\r\n"
    return pieces


def _pieces(words: Sequence[Word | Packed]) -> tuple[int, list[bytes]]:
    """Return how many words there are, and each with its length before it."""
    count = len(words)
    pieces: list[bytes] = []
    parts: list[bytes] = []
    for word in words:
        if isinstance(word, bytes):
            raw = word
        elif isinstance(word, Packed):
            parts.append(word.data)
            count += word.count - 1
            continue
        else:
            raw = str(word).encode()
        size = len(raw)
        if size < _MANY:
            parts.append(_HEADS[size])
        else:
            parts.append(b"\r\n$%d\r\n" % size)
            if size >= _LARGE:
                pieces += (b"".join(parts), raw)
                parts = []
                continue
        parts.append(raw)
    pieces.append(b"".join(parts))
    return count, pieces


class Reader:
    """Takes bytes as they come, and gives replies.

    Attributes:
        room: Where the next bytes belong, if they are of a large value; else None.
    """

    __slots__ = ("_at", "_data", "_filled", "_large", "_open", "room")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget what has come, as after the end of its connection."""
        self._data = b""
        self._at = 0
        # Arrays that are not whole: their items, and how many those will be.
        self._open: list[tuple[list[Reply], int]] = []
        self._large = bytearray()
        self._filled = 0
        self.room: memoryview | None = None

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        rest = self._data[self._at :]
        self._data = rest + data if rest else data
        self._at = 0

    def fill(self, size: int) -> None:
        """Note that so many bytes were written to `room`."""
        if self.room is not None:
            self._filled += size
            self.room = self.room[size:]

    def next(self) -> Reply | _Pending:
        """Return the next reply, a `Refused` among them; PENDING if it is not whole."""
        while True:
            if self._open and self._fill_array():
                value: Reply | _Pending = self._open.pop()[0]
            else:
                value = self._value()
            if value is PENDING:
                return PENDING
            if value is _OPENED:
                continue
            if not self._open:
                return value
            self._open[-1][0].append(value)  # type: ignore[arg-type]  # a whole reply

    def _fill_array(self) -> bool:
        """Read strings of the innermost array; say whether that is whole.

        Nearly all replies are made of such, so they are read in a loop of their own.
        """
        items, size = self._open[-1]
        data, at = self._data, self._at
        while len(items) < size and data.startswith(b"$", at):
            end = data.find(b"\r\n", at)
            start = end + 2
            stop = start + int(data[at + 1 : end]) if end > 0 else 0
            if stop < start or stop + 2 > len(data):
                break
            items.append(data[start:stop])
            at = stop + 2
        self._at = at
        return len(items) == size

    def _value(self) -> Reply | _Pending:
        """Return the next value; _OPENED for an array, which is then to be filled."""
        if self.room is not None:
            return self._large_value()
        data, at = self._data, self._at
        end = data.find(b"\r\n", at)
        if end < 0:
            return PENDING
        mark, start = data[at], end + 2
        if mark == _DOLLAR:
            return self._bulk(int(data[at + 1 : end]), start)
        self._at = start
        if mark != _STAR:
            return _simple(mark, data[at + 1 : end])
        size = int(data[at + 1 : end])
        if size < 1:
            return None if size else []
        self._open.append(([], size))
        return _OPENED

    def _bulk(self, size: int, start: int) -> Reply | _Pending:
        if size < 0:
            self._at = start
            return None
        data, end = self._data, start + size
        if end + 2 <= len(data):
            self._at = end + 2
            return data[start:end]
        if size < _LARGE:
            return PENDING
        self._large = bytearray(size + 2)
        self._filled = len(data) - start
        self._large[: self._filled] = data[start:]
        self.room = memoryview(self._large)[self._filled :]
        self._data, self._at = b"", 0
        return PENDING

    def _large_value(self) -> Reply | _Pending:
        if self._filled < len(self._large):
            return PENDING
        self.room = None
        value = bytes(memoryview(self._large)[:-2])
        self._large = bytearray()
        return value


def _simple(mark: int, text: bytes) -> Reply:
    if mark == _COLON:
        return int(text)
    return Refused(text) if mark == _MINUS else text
