"""What an executor has submitted: stored in few commands, awaited by one thread.

The first call is stored at once. What is submitted while that command is under way is
stored by the next one, so that ten thousand calls take some forty commands. All of them
make up one batch: a single blocking command waits for whatever of it ends next.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib import hooks
from worker_lib.client.futures import OpenFutures
from worker_lib.client.news import News
from worker_lib.client.on_demand import OnDemand
from worker_lib.client.outage import Outage
from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.logs import get_logger
from worker_lib.store.connection import ANSWER_TIMEOUT
from worker_lib.store.keys import member_id, new_batch_id, new_slot_id
from worker_lib.store.limits import BULK_BYTES, BULK_JOBS
from worker_lib.store.new_job import BatchPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from worker_lib.client.client import Client
    from worker_lib.client.encoding import Template
    from worker_lib.client.futures import FlyFuture
    from worker_lib.hooks import Event
    from worker_lib.store.replies import Stored

__all__ = ["Submissions", "Submitted"]

log = get_logger("executor")

# For so long calls wait to be stored while Redis cannot be reached.
_PATIENCE = 30.0
_CANCEL_AT_ONCE = 100
# How long the first call after a pause may take to reach the thread that stores it.
_HAND_OVER = 0.005


class Submitted(NamedTuple):
    """A call to store.

    Attributes:
        body: The call, pickled, in pieces.
        preview: Its arguments as text; None if they are not to be shown.
        event: For the hooks that are called once it is stored; None without hooks.
    """

    future: FlyFuture[Any]
    template: Template
    body: list[bytes]
    preview: bytes | None = None
    event: Event | None = None

    @property
    def size_bytes(self) -> int:
        """How long it is, before it is compressed."""
        return sum(map(len, self.body))


class Submissions:
    """The calls that one executor submits in one process.

    Args:
        client: Stores them.
        forget: Keep the jobs that succeeded for ten minutes only, once their results
            were read.

    Attributes:
        batch_id: Of the batch that they make up.
        parts: Of the client.
        error: Why some could not be stored; it takes no more then. None so far.
    """

    def __init__(self, client: Client, *, forget: bool) -> None:
        self.batch_id = new_batch_id()
        self.error: Exception | None = None
        self.parts = client.batches.parts
        self._pid = os.getpid()
        self._open = OpenFutures()
        lock = self._open.lock
        self._gathered: list[Submitted] = []
        self._sending: set[FlyFuture[Any]] = set()
        self._sent = threading.Condition(lock)
        self._is_sending = False
        self._picked_up = threading.Condition(lock)
        self._next = 0
        self._is_closing = self._is_closed = False
        self._news = News(client, self._open, self.batch_id, forget=forget)
        self._sender = OnDemand(
            "worker_lib-executor-send",
            lock,
            has_work=lambda: bool(self._gathered),
            work=self._send,
            at_end=self._close_batch,
        )
        self._waiter = OnDemand(
            "worker_lib-executor-wait",
            lock,
            has_work=lambda: self._open.has_stored,
            work=self._news.step,
            at_end=self._close_batch,
        )

    def add(self, call: Submitted) -> None:
        """Have a call stored; returns at once.

        Raises:
            RuntimeError: the executor was shut down.
        """
        with self._open.lock:
            if self._is_closing and self.error is None:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._open.add(call.future)
            if self.error is not None:
                self._open.fail([call.future], self.error)
                return
            is_first = not (self._gathered or self._is_sending)
            self._gathered.append(call)
            self._sender.wake()
            if is_first:
                # Or what goes on here would keep the sender from it for a while.
                self._picked_up.wait(_HAND_OVER)

    def close(self) -> None:
        """Take no more calls; what was submitted goes on."""
        with self._open.lock:
            self._is_closing = True
        self._sender.close()
        self._waiter.close()

    def join(self) -> None:
        """Wait until everything is settled and no thread is left."""
        self._sender.join()
        self._waiter.join()
        self._close_batch()

    def cancel(self, futures: Iterable[FlyFuture[Any]]) -> int:
        """End those that have not started; say how many these are.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        if self._pid != os.getpid():
            return 0  # it is our parent's to do
        unsent, stored = self._split(futures)
        for future in unsent:
            future.end_cancelled()
        done = len(unsent)
        for at in range(0, len(stored), _CANCEL_AT_ONCE):
            done += self._cancel_stored(stored[at : at + _CANCEL_AT_ONCE])
        return done

    def cancel_all(self, *, running: bool = False) -> None:
        """End all that have not started, or all.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        self.cancel(self._open.all())
        start = 0 if running and self._open else None
        canceller = new_slot_id()
        while start is not None:
            part = self.parts.store.batches.cancel(self.batch_id, start, canceller)
            start = part[1] if part else None

    def is_running(self, future: FlyFuture[Any]) -> bool:
        """Say whether its job runs.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        if self._pid != os.getpid() or not future.job_id:
            return False
        (seen,) = self.parts.store.look(future.job_id)
        return seen is not None and seen.info.status == "running"

    def _send(self) -> None:
        with self._open.lock:
            gathered, self._gathered = self._gathered, []
            self._is_sending = True
            first, *others = _chunks(gathered)
            begun = self._begin(first)
            self._picked_up.notify_all()
        self._store(begun)
        for chunk in others:
            self._store(self._begin(chunk))
        with self._open.lock:
            self._is_sending, self._sending = False, set()
            self._sent.notify_all()

    def _begin(self, calls: Sequence[Submitted]) -> list[Submitted]:
        """Return those that were not cancelled; from now on they are being stored."""
        with self._open.lock:
            calls = [one for one in calls if one.future in self._open]
            self._sending = {one.future for one in calls}
            self._sent.notify_all()
        return calls

    def _store(self, calls: Sequence[Submitted]) -> None:
        """Store calls of one kind, and settle their futures if that fails."""
        started = time.monotonic()
        good, sealed = self._sealed(calls)
        try:
            if good and self.error is None:
                self._keep_storing(good[0].template, sealed)
        except Exception as error:  # noqa: BLE001 - handed to who waits
            self._break(error)
        if self.error is not None:
            self._open.fail([one.future for one in good], self.error)
        _tell(good, started, self.error)

    def _break(self, error: Exception) -> None:
        """Fail what is not known to be stored, and take no more.

        It may be stored all the same, so nothing else can have its ids.
        """
        with self._open.lock:
            self.error = error
            self.close()

    def _sealed(
        self, calls: Sequence[Submitted]
    ) -> tuple[list[Submitted], list[bytes]]:
        """Return the calls that can be stored, and each with its signature."""
        good: list[Submitted] = []
        sealed = []
        for call in calls:
            job_id = member_id(self.batch_id, self._next + len(good))
            try:
                sealed.append(call.template.sealed(job_id, call.body, call.preview))
            except Exception as error:  # noqa: BLE001 - it is this call's alone
                self._open.fail([call.future], error)
                _tell([call], time.monotonic(), error)
            else:
                good.append(call)
                self._open.store(call.future, job_id)
        return good, sealed

    def _keep_storing(self, template: Template, sealed: Sequence[bytes]) -> None:
        """Store calls; try again while Redis is away, as that may be done twice."""
        part = BatchPart(self.batch_id, self._next)
        # Not given again: where storing fails, it may have been done all the same.
        self._next += len(sealed)
        outage = Outage(self.parts.store, time.monotonic() + _PATIENCE)
        while True:
            try:
                stored = self.parts.store.batches.enqueue(template.new, sealed, part)
            except StoreUnavailable as error:
                outage.pause(error)
            else:
                break
        self._follow_up(stored)
        with self._open.lock:
            self._waiter.wake()

    def _follow_up(self, stored: Stored) -> None:
        if self.parts.may_launch:
            for slot in stored.slots:
                self.parts.launcher.launch(slot)
        self.parts.sweeper.attend(
            self.batch_id, min(stored.next_in, self.parts.lease_ttl)
        )

    def _split(
        self, futures: Iterable[FlyFuture[Any]]
    ) -> tuple[list[FlyFuture[Any]], list[FlyFuture[Any]]]:
        """Return those not stored, which are now ours to settle, and those stored."""
        wanted = set(futures)
        with self._open.lock:
            self._sent.wait_for(
                lambda: self._sending.isdisjoint(wanted), timeout=ANSWER_TIMEOUT
            )
            known = [one for one in wanted - self._sending if one in self._open]
            unsent = [one for one in known if not one.job_id and self._open.take(one)]
            return unsent, [one for one in known if one.job_id]

    def _cancel_stored(self, futures: Sequence[FlyFuture[Any]]) -> int:
        verdicts = self.parts.store.batches.cancel_waiting(
            [one.job_id for one in futures]
        )
        done = [one for one, verdict in zip(futures, verdicts, strict=True) if verdict]
        for future in done:
            if self._open.take(future):
                future.end_cancelled()
        return len(done)

    def _close_batch(self) -> None:
        """Note that no further calls come, once all are settled."""
        with self._open.lock:
            if not self._is_closing or self._open or self._is_closed:
                return
            self._is_closed = True
        self.parts.sweeper.forget(self.batch_id)
        if self._next == 0 or self.error is not None:
            return
        try:
            self.parts.store.batches.close(self.batch_id, self._next)
        except StoreError as error:
            log.warning("batch_left_open", extra={"error": str(error)})


def _chunks(calls: Sequence[Submitted]) -> Iterator[list[Submitted]]:
    """Yield calls of one kind each, no more than go into one command."""
    kinds: dict[tuple[Any, ...], list[Submitted]] = {}
    for call in calls:
        kinds.setdefault(_kind(call.template), []).append(call)
    for some in kinds.values():
        yield from _bounded(some)


def _kind(template: Template) -> tuple[Any, ...]:
    new = template.new
    return new.of("task"), new.of("code"), new.of("pool")


def _bounded(calls: Sequence[Submitted]) -> Iterator[list[Submitted]]:
    chunk: list[Submitted] = []
    size = 0
    for call in calls:
        if chunk and (len(chunk) >= BULK_JOBS or size + call.size_bytes > BULK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(call)
        size += call.size_bytes
    if chunk:
        yield chunk


def _tell(
    calls: Sequence[Submitted], started: float, error: Exception | None = None
) -> None:
    """Call the hooks for calls that were stored, or could not be."""
    for call in calls:
        if call.event is None:
            continue
        call.event.job_id = call.future.job_id
        call.event.duration = time.monotonic() - started
        if error is not None:
            call.event.fail(error)
        hooks.after_enqueue.fire(call.event)
