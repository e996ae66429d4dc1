"""Storing many calls: sealed one by one, stored many a command."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib import hooks
from worker_lib.calls import pickling
from worker_lib.errors import (
    ArgumentsNotEncodable,
    ConfigError,
    PayloadTooLarge,
    Problem,
)
from worker_lib.hooks import Event
from worker_lib.store.keys import member_id, new_batch_id
from worker_lib.store.limits import BULK_BYTES, BULK_JOBS
from worker_lib.store.new_job import BatchPart
from worker_lib.store.resp import Packed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker_lib.client.encoding import Encoder
    from worker_lib.client.nesting import Nesting
    from worker_lib.launcher import Launcher
    from worker_lib.store.new_job import NewJob
    from worker_lib.store.replies import Stored
    from worker_lib.store.store import Store
    from worker_lib.sweeper import Sweeper
    from worker_lib.task import Task

    Headers = dict[str, str] | None

__all__ = ["Calls", "Parts", "Writer", "length_of"]


class Parts(NamedTuple):
    """What storing calls needs of a client.

    Attributes:
        env_digest: Returns the digest of this process's environment.
        may_launch: Whether this process can ask for machines.
        lease_ttl: Seconds after which something may be overdue.
    """

    store: Store
    encoder: Encoder
    nesting: Nesting
    launcher: Launcher
    sweeper: Sweeper
    env_digest: Callable[[], str]
    may_launch: bool
    lease_ttl: float


class Calls:
    """Seals calls of one task, one by one.

    Args:
        parts: Of the client.
        task: With the options of the calls.

    Attributes:
        task: Its name.
        shared: What all jobs have.

    Raises:
        ConfigError: an option of the task belongs to a single call.
        CallRefused: too many generations of jobs have made jobs.
        ArgumentsNotEncodable: the function cannot be pickled.
        PayloadTooLarge: the function is over `WORKER_LIB_MAX_PAYLOAD`.
    """

    def __init__(self, parts: Parts, task: Task[..., Any]) -> None:
        _refuse_what_is_of_one_call(task)
        self.task = task.name
        self._template = parts.encoder.template(task, parts.env_digest())
        self.shared: NewJob = self._template.new
        retry = task.spec.retry
        self._retry = retry if retry.max_attempts > 1 else None
        self._queue = task.spec.queue
        self._generation = parts.nesting.admit(task.name, 0)
        self._sealed = 0

    def seal(
        self, job_id: str, args: Sequence[Any], headers: Headers, items: int = 0
    ) -> bytes:
        """Return a call, or a chunk of calls, signed for its job.

        Args:
            args: Of the call, or of each of the `items` calls of a chunk.

        Raises:
            ArgumentsNotEncodable: an argument cannot be pickled; the message has the
                index of the call, counted from the first that was sealed.
            PayloadTooLarge: it is too large; the message has the index, too.
        """
        call = pickling.Call(
            args, {}, self._retry, self._generation, self._queue, headers, items
        )
        try:
            sealed = self._template.seal(job_id, call)
        except PayloadTooLarge as error:
            raise error.of(self._which(items)) from None
        except ArgumentsNotEncodable as error:
            text = f"{self._which(items)}: {error}"
            raise ArgumentsNotEncodable(text) from error.__cause__
        self._sealed += max(1, items)
        return sealed

    def _which(self, items: int) -> str:
        first = self._sealed
        return f"calls {first} to {first + items - 1}" if items > 1 else f"call {first}"


class Writer:
    """Adds jobs to a new batch.

    Args:
        parts: Of the client.
        shared: What all jobs have.

    Attributes:
        id: Of the batch.
        stored: How many jobs are known to be stored.
        has_trouble: Redis knows already why they can have no machine.
    """

    def __init__(self, parts: Parts, shared: NewJob) -> None:
        self.id = new_batch_id()
        self.stored = 0
        self.has_trouble = False
        self._parts = parts
        self._shared = shared
        self._task, self._queue = str(shared.of("task")), str(shared.of("queue"))
        self._calls: list[bytes] = []
        self._bytes = 0
        self._admitted = 0
        self._events: list[Event] = []
        self._began = 0.0
        self._sent = 0
        self._sent_events: list[Event] = []
        self._wait: Callable[[], Stored] | None = None

    @property
    def count(self) -> int:
        """How many jobs were added, which is the index of the next one."""
        return self.stored + self._sent + len(self._calls)

    @property
    def is_full(self) -> bool:
        """Whether those that are not stored yet fill a command."""
        return len(self._calls) >= BULK_JOBS or self._bytes >= BULK_BYTES

    def add(self, seal: Callable[[str, Headers], bytes]) -> int:
        """Add a job, to be stored with the next command; return its size in bytes.

        Args:
            seal: Returns its signed call, given its id and the headers that hooks have
                set. What it raises is raised, and the job is not added.
        """
        job_id = member_id(self.id, self.count)
        event, headers = self._before(job_id)
        try:
            sealed = seal(job_id, headers)
        except BaseException as error:
            self._after([event] if event else [], error)
            raise
        if event:
            self._events.append(event)
        self._calls.append(sealed)
        self._bytes += len(sealed)
        return len(sealed)

    def store(self, total: int | None = None) -> None:
        """Store what was added; if that failed it may be done again.

        Args:
            total: How many jobs the batch has, if no further ones come.

        Raises:
            StoreUnavailable: nothing is known to be stored of it.
        """
        self.wait()
        self._admit()
        events, part = self._events, BatchPart(self.id, self.stored, total)
        told = self._parts.store.batches.enqueue(self._shared, self._calls, part)
        self._note(told, len(self._calls), events)
        self._clear()

    def begin(self) -> None:
        """Store what was added while further jobs are; not to be done again.

        Raises:
            StoreUnavailable: what was begun before is not known to be stored.
        """
        calls = Packed(self._calls)  # while Redis is busy with the ones before
        self.wait()
        self._admit()
        part = BatchPart(self.id, self.stored)
        self._wait = self._parts.store.batches.begin(self._shared, calls, part)
        self._sent, self._sent_events = len(self._calls), self._events
        self._clear()

    def wait(self) -> None:
        """Wait for what was begun.

        Raises:
            StoreUnavailable: it is not known to be stored.
        """
        wait, self._wait = self._wait, None
        if wait is None:
            return
        try:
            self._note(wait(), self._sent, self._sent_events)
        except BaseException as error:
            self._after(self._sent_events, error)
            raise
        finally:
            self._sent, self._sent_events = 0, []

    def _admit(self) -> None:
        self._parts.nesting.admit(self._task, len(self._calls) - self._admitted)
        self._admitted = len(self._calls)

    def _clear(self) -> None:
        self._calls, self._bytes, self._admitted, self._events = [], 0, 0, []

    def _note(self, told: Stored, count: int, events: Sequence[Event]) -> None:
        parts = self._parts
        self.stored += count
        self.has_trouble = bool(told.trouble)
        if parts.may_launch:
            for slot in told.slots:
                parts.launcher.launch(slot)
        parts.sweeper.attend(self.id, min(told.next_in, parts.lease_ttl))
        self._after(events, None)

    def abandon(self, error: BaseException) -> None:
        """Note that what was added is not going to be stored."""
        events, self._events = self._events, []
        self._after(events, error)

    def _before(self, job_id: str) -> tuple[Event | None, Headers]:
        if not (hooks.before_enqueue or hooks.after_enqueue):
            return None, None
        if not self._events:
            self._began = time.monotonic()
        event = Event("caller", job_id, task=self._task, queue=self._queue)
        hooks.before_enqueue.fire(event)
        return event, hooks.checked_headers(event)

    def _after(self, events: Sequence[Event], error: BaseException | None) -> None:
        took = time.monotonic() - self._began
        for event in events:
            event.duration = took
            if error is not None:
                event.fail(error)
            hooks.after_enqueue.fire(event)


def length_of(things: Any) -> int | None:
    """Return how many there are; None if they do not tell."""
    try:
        return len(things)
    except TypeError:
        return None


def _refuse_what_is_of_one_call(task: Task[..., Any]) -> None:
    for name in ("key", "unique_for"):
        if getattr(task.spec, name):
            raise ConfigError(
                Problem(
                    f"{task.name}: {name}= belongs to one call, not to many",
                    f"leave it out, or make each call by .options({name}=...).delay()",
                    name,
                )
            )
