"""What a child prints: passed on to the machine's output, and kept for the job.

Standard output and standard error share one pipe, so what is kept is in the order in
which it was written. Of an attempt that prints more than the limit, the beginning and
the end are kept, half of the limit each, with a line between them that says how much
was cut.

The child may run several jobs before the pipe is read. After each it writes a marker,
so many random bytes that no task prints them. It tells which job printed what, and is
not passed on.

A job may leave processes behind that still have its pipe. The next job then gets a pipe
of its own, and what comes out of the old ones is passed on but belongs to no job.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from contextlib import suppress

    from worker_lib.calls.pieces import Piece
else:
    from worker_lib.records import deque, suppress

__all__ = ["Kept", "Pipes", "pass_on"]

_READ_BYTES = 1 << 16
# Reads in a row; a pipe holds 16 times as much at most, where a task has enlarged it.
_MOST_READS = 17
_TAIL_BYTES = 4096
# A byte that is rare in text, so that few ends look like the beginning of a marker, and
# that comes nowhere else in it.
_MARKER_START = b"\0"
_MARKER_BYTES = 16


def pass_on(data: bytes) -> None:
    """Write to the machine's own output; a failure is ignored."""
    with suppress(OSError):  # a full disk must not fail the job
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

    def __len__(self) -> int:
        """Return how many bytes were printed."""
        return len(self._head) + self._cut + len(self._end)

    def text(self) -> bytes:
        """Return what is kept, with a line on what was cut; b"" if there is nothing."""
        if not self._cut:
            return bytes(self._head + self._end)
        return self.after(0).text if self else b""

    @property
    def is_cut(self) -> bool:
        """Whether something is missing."""
        return self._cut > 0

    def after(self, position: int) -> Piece:
        """Return what is kept of what was printed beyond a position, in bytes."""
        from worker_lib.calls.pieces import Piece  # noqa: PLC0415 - many print nothing

        whole = Piece(0, bytes(self._head), self._cut, bytes(self._end))
        return whole.after(position).in_characters()

    def tail(self) -> str:
        """Return the last lines as text, 4 KB at most."""
        kept = (self._head + self._end if not self._cut else self._end)[-_TAIL_BYTES:]
        return kept.decode("utf-8", "replace")


_NOTHING = Kept(0)


class Pipes:
    """The pipe that a child prints to, and older ones that processes still hold.

    Attributes:
        reader: Read end of the present one.
        writer: Write end of the first one, for the child.
        marker: What the child writes after each job.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept = Kept(limit_bytes)
        self._ended: deque[Kept] = deque()
        # What may be the beginning of a marker.
        self._uncertain = b""
        self._older: list[int] = []
        self.marker = _MARKER_START + os.urandom(_MARKER_BYTES).hex().encode()
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def descriptors(self) -> tuple[int, ...]:
        """Return the read ends."""
        return self.reader, *self._older

    def follow(self, reader: int) -> None:
        """Read from another pipe from now on; what came last belongs to no job."""
        self._rest()
        os.set_blocking(reader, False)
        self._older.append(self.reader)
        self.reader = reader

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
            self._take(data, keep=keep)
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

    def so_far(self) -> Kept:
        """Return what the job that runs has printed, as far as it was read.

        Nothing while it is not known to run: the one before it has ended unheard.
        """
        return _NOTHING if self._ended else self._kept

    def of_next_job(self) -> Kept:
        """Return what the next job printed that has ended.

        To be called once the child has said that it has ended.
        """
        while not self._ended and self.read():
            if not self._ended and not _has_more(self.reader):
                break
        return self.taken()

    def taken(self) -> Kept:
        """Return the same of what was read already."""
        return self._ended.popleft() if self._ended else self._rest()

    def close(self) -> None:
        """Read what is there, and close all read ends."""
        self.read()
        for descriptor in self.descriptors():
            os.close(descriptor)

    def _take(self, data: bytes, *, keep: bool) -> None:
        *ended, rest = (self._uncertain + data).split(self.marker)
        for printed in ended:
            self._pass(printed, keep=keep)
            self._ended.append(self._kept or _NOTHING)
            if self._kept:
                self._kept = Kept(self._limit_bytes)
        at = _marker_at(rest, self.marker)
        self._uncertain = rest[at:]
        self._pass(rest[:at], keep=keep)

    def _rest(self) -> Kept:
        self._pass(self._uncertain, keep=True)
        self._uncertain = b""
        kept, self._kept = self._kept, Kept(self._limit_bytes)
        return kept

    def _pass(self, data: bytes, *, keep: bool) -> None:
        if data:
            pass_on(data)
            if keep:
                self._kept.add(data)


def _marker_at(data: bytes, marker: bytes) -> int:
    """Return where a marker begins that was not read whole, or the length."""
    at = data.rfind(_MARKER_START, max(0, len(data) - len(marker)))
    return at if at >= 0 and marker.startswith(data[at:]) else len(data)


def _has_more(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))


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
