"""What a child prints: passed on to the machine's output, and kept for the job.

Standard output and standard error share one pipe, so what is kept is in the order in
which it was written. Of an attempt that prints more than the limit, the beginning and
the end are kept, half of the limit each, with a line between them that says how much
was cut.

A job may leave processes behind that still have its pipe. The next job then gets a pipe
of its own, and what comes out of the old ones is passed on but belongs to no job.
"""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Kept", "Pipes", "pass_on"]

_READ_BYTES = 1 << 16
# Reads in a row; a pipe holds 16 times as much at most, where a task has enlarged it.
_MOST_READS = 17
_TAIL_BYTES = 4096
# Bytes of a character in UTF-8 after its first.
_MOST_CONTINUED = 3


def pass_on(data: bytes) -> None:
    """Write to the machine's own output; a failure is ignored."""
    with contextlib.suppress(OSError):  # a full disk must not fail the job
        os.write(1, data)


class Kept:
    """The output of one attempt, as far as it is kept.

    Args:
        limit_bytes: How much is kept, the line on what was cut not counted; 0 keeps
            nothing.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._head_limit = limit_bytes // 2
        self._end_limit = limit_bytes - self._head_limit
        self._head = bytearray()
        self._end = bytearray()
        self._cut = 0

    def __bool__(self) -> bool:
        """Whether anything is kept."""
        return bool(self._head or self._end)

    def add(self, data: bytes) -> None:
        """Keep what was printed next."""
        room = self._head_limit - len(self._head)
        self._head += data[:room]
        self._end += data[room:]
        over = len(self._end) - self._end_limit
        if over > 0:
            del self._end[:over]
            self._cut += over

    def text(self) -> bytes:
        """Return what is kept, cut between two characters; b"" if there is nothing."""
        if not self._cut:
            return bytes(self._head + self._end)
        if not self._end_limit:
            return b""
        head, end = _whole_characters(self._head, self._end)
        cut = self._cut + len(self._head) + len(self._end) - len(head) - len(end)
        return b"%b\n\xe2\x80\xa6 %d bytes cut \xe2\x80\xa6\n%b" % (head, cut, end)

    def tail(self) -> str:
        """Return the last lines as text, 4 KB at most."""
        kept = (self._head + self._end if not self._cut else self._end)[-_TAIL_BYTES:]
        return kept.decode("utf-8", "replace")

    def clear(self) -> None:
        """Forget everything."""
        self._head.clear()
        self._end.clear()
        self._cut = 0


class Pipes:
    """The pipe that a child prints to, and older ones that processes still hold.

    Attributes:
        reader: Read end of the present one.
        kept: What came out of it since it was cleared.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.kept = Kept(limit_bytes)
        self.reader, self.writer = _pipe()
        self._older: list[int] = []

    def descriptors(self) -> tuple[int, ...]:
        """Return the read ends."""
        return self.reader, *self._older

    def renew(self) -> int:
        """Replace the present pipe; return the write end, for the child."""
        self._older.append(self.reader)
        self.reader, self.writer = _pipe()
        return self.writer

    def close_writer(self) -> None:
        """Close our copy of the write end; the child has its own."""
        os.close(self.writer)

    def read(self, *, keep: bool = True) -> bool:
        """Pass on what the child printed; False at the end of the pipe.

        Args:
            keep: For the job that runs.
        """
        for data in _chunks(self.reader):
            if not data:
                return False
            pass_on(data)
            if keep:
                self.kept.add(data)
        return True

    def read_older(self, descriptor: int) -> bool:
        """Pass on what a process of an earlier job printed; False at its end."""
        for data in _chunks(descriptor):
            if not data:
                self._older.remove(descriptor)
                os.close(descriptor)
                return False
            pass_on(data)
        return True

    def close(self) -> None:
        """Read what is there, and close all read ends."""
        self.read()
        for descriptor in self.descriptors():
            os.close(descriptor)


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    return reader, writer


def _chunks(descriptor: int) -> Iterator[bytes]:
    """Read what is there at present; b"" at the end of the pipe."""
    for _ in range(_MOST_READS):
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        yield data
        if len(data) < _READ_BYTES:
            return


def _whole_characters(head: bytearray, end: bytearray) -> tuple[bytes, bytes]:
    """Return both without the parts of UTF-8 characters where they were cut."""
    return bytes(head[: _last_start(head)]), bytes(end[_first_start(end) :])


def _last_start(text: bytearray) -> int:
    """Return where an unfinished character at the end begins, or the length."""
    for back in range(1, min(_MOST_CONTINUED, len(text)) + 1):
        byte = text[-back]
        if byte >= 0xC0:
            size = 2 + (byte >= 0xE0) + (byte >= 0xF0)
            return len(text) - back if size > back else len(text)
        if byte < 0x80:
            break
    return len(text)


def _first_start(text: bytearray) -> int:
    """Return where the first whole character begins; 0 if this is no UTF-8."""
    at = 0
    while at < len(text) and text[at] & 0xC0 == 0x80:
        at += 1
        if at > _MOST_CONTINUED:
            return 0
    return at
