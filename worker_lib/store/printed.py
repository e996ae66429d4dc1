"""What a job has printed, as Redis has it: sealed pieces of its attempts."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.errors import StoreUnavailable
from worker_lib.store.keys import job_channel, printed_channel
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker_lib.job import JobStatus
    from worker_lib.store.changes import Wakeup
    from worker_lib.store.connection import Connection
    from worker_lib.store.wire import Wire

__all__ = ["Output", "Printed", "PrintingChannel", "SentPiece"]


class Printed(NamedTuple):
    """What was printed beyond a position.

    Attributes:
        status: Of the job.
        fence: Its own now.
        attempt: Number of its latest attempt; 0 before the first.
        past: Fence and number of each attempt that has ended, if any has since then;
            without one that was cancelled.
        is_late: Whether more of a cancelled attempt may come soon.
        sent: Fence and piece: what machines sent while somebody followed.
        kept: The same of attempts that have ended: all that is kept of each.
    """

    status: JobStatus
    fence: int
    attempt: int
    past: tuple[tuple[int, int], ...]
    is_late: bool
    sent: tuple[tuple[int, bytes], ...]
    kept: tuple[tuple[int, bytes], ...]


class SentPiece(NamedTuple):
    """What a machine has sent just now.

    Attributes:
        fence: Of the attempt.
        piece: Sealed.
    """

    fence: int
    piece: bytes

    @property
    def start(self) -> int:
        """Where it begins, as it says itself; 0 if it says nothing."""
        start = self.piece.partition(b":")[0]
        return int(start) if start.isdigit() else 0


class PrintingChannel:
    """Hears what one job prints, and of its changes.

    Args:
        wire: Used by nobody else.
        changed: The channel of its changes.
        printed: That of what it prints.
    """

    def __init__(self, wire: Wire, changed: str, printed: str) -> None:
        self._wire = wire
        self._channels = changed, printed
        self._is_asked = False

    def subscribe(self, patience: float) -> None:
        """Begin to hear; nothing that is told after it returns is missed.

        Raises:
            StoreUnavailable: there was no answer within `patience` seconds.
        """
        self._wire.send("SUBSCRIBE", *self._channels)
        for _ in self._channels:
            self._await(patience)
            self._wire.receive()

    def wait(self, wakeup: Wakeup, timeout: float) -> list[str | SentPiece]:
        """Return what was told: names of statuses, and pieces.

        Returns early when notified; after `timeout` seconds with nothing.
        """
        if not self._wire.has_reply():
            wakeup.wait(timeout, self._wire.fileno())
        told = []
        while self._wire.has_reply():
            told += self._read()
        return told

    def check(self, patience: float) -> list[str | SentPiece]:
        """See that the connection lives; return what was told meanwhile.

        Raises:
            StoreUnavailable: there was no answer within `patience` seconds.
        """
        self._wire.send("PING")
        self._is_asked, told = True, []
        while self._is_asked:
            self._await(patience)
            told += self._read()
        return told

    def _await(self, patience: float) -> None:
        if not self._wire.wait(patience):
            raise StoreUnavailable("Redis is silent: the connection is dead")

    def _read(self) -> list[str | SentPiece]:
        message: Any = self._wire.receive()
        if message[0] == b"pong":
            self._is_asked = False
        if message[0] != b"message":
            return []
        if message[1].decode() == self._channels[0]:
            return [message[2].decode()]
        return [SentPiece(*_entry(message[2]))]


class Output:
    """What the jobs of one namespace print.

    Args:
        connection: Runs the script, and makes connections to hear.
        namespace: First part of every key.
    """

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    def read(
        self, job_id: str, fence: int = 0, after: int | None = 0, *, hold: float = 0
    ) -> Printed | None:
        """Return what a job printed beyond a position; None if there is no such job.

        Args:
            job_id: The job.
            fence: Of the attempt that was read last; 0 for none.
            after: So many bytes of it were read; None: all that is wanted.
            hold: Seconds for which the job counts as followed; 0: it does not.
        """
        reply = self._connection.run(
            script("printed"),
            job=job_id,
            fence=fence,
            after="all" if after is None else after,
            hold=hold,
        )
        return _printed(*reply) if reply else None

    @contextmanager
    def heard(self, job_id: str) -> Iterator[PrintingChannel]:
        """Yield a way to hear what a job prints, on a connection of its own.

        Raises:
            StoreUnavailable: the connection broke, or could not be opened.
        """
        changed = job_channel(self._namespace, job_id)
        printed = printed_channel(self._namespace, job_id)
        with self._connection.own() as wire:
            yield PrintingChannel(wire, changed, printed)


def _printed(
    status: bytes, fence: bytes, attempt: bytes, past: bytes, *more: Any
) -> Printed:
    is_late, sent, kept = more
    fences = map(int, sent[::2])
    return Printed(
        status.decode(),  # type: ignore[arg-type]  # the scripts write no other
        int(fence),
        int(attempt),
        tuple(_attempts(past)),
        bool(is_late),
        tuple(zip(fences, sent[1::2], strict=True)),
        tuple(map(_entry, kept)),
    )


def _attempts(past: bytes) -> Sequence[tuple[int, int]]:
    lines = map(json.loads, past.split(b"\n")[:-1])
    return [(int(one.get("fence") or 0), int(one["attempt"])) for one in lines]


def _entry(entry: bytes) -> tuple[int, bytes]:
    fence, _, piece = entry.partition(b" ")
    return int(fence), piece
