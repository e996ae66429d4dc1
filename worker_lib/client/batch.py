"""`Batch`: the caller's handle on many calls, in this process or any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from worker_lib.checks import choice
from worker_lib.client.handle import Job
from worker_lib.client.reading import Limit, Reader, Watcher
from worker_lib.errors import WaitTimeout
from worker_lib.store.keys import member_id
from worker_lib.store.replies import STATUSES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from worker_lib.client.client import Client

__all__ = ["Batch", "is_collecting"]

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Batch(Generic[R_co]):
    """Calls of one task that were stored together, in their order.

    Cheap: holds an id; all else is asked of Redis. A batch is open while its program
    may store further calls; its end can be waited for once it is not.

    Attributes:
        id: 16 hexadecimal digits; `Batch.get(id)` opens it again anywhere.
    """

    def __init__(
        self,
        batch_id: str,
        client: Client,
        *,
        is_fresh: bool = False,
        is_partial: bool = False,
    ) -> None:
        self.id = batch_id
        self._client = client
        self._batches = client.batches
        # Stored a moment ago without trouble: no need to look before waiting.
        self._is_fresh = is_fresh
        # Its program failed to store the rest, and could not say so to Redis.
        self._is_partial = is_partial

    @classmethod
    def get(cls, batch_id: str) -> Batch[Any]:
        """Return the batch of this id, stored by any process.

        Raises:
            BatchNotFound: Redis has none, or no longer has it.
            StoreUnavailable: Redis cannot be reached.
        """
        from worker_lib.client.client import default_client  # noqa: PLC0415 - it imports us

        client = default_client()
        client.batches.look(batch_id)
        return cls(batch_id, client)

    def __repr__(self) -> str:
        """Name the batch."""
        return f"<Batch {self.id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the id alone."""
        return _reopen, (self.id,)

    def __eq__(self, other: object) -> bool:
        """Two handles on one batch are equal."""
        return isinstance(other, Batch) and other.id == self.id

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.id)

    def __len__(self) -> int:
        """Return how many calls are stored; asks Redis."""
        return self.stored

    def __bool__(self) -> bool:
        """A batch is true, however many calls it has."""
        return True

    @property
    def stored(self) -> int:
        """How many calls are stored so far: always the first ones."""
        return self._batches.look(self.id).stored

    @property
    def total(self) -> int | None:
        """How many calls it has in all; None while its program may store more."""
        return self._batches.look(self.id).total

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs are in each status now, 0 included.

        Raises:
            BatchNotFound: Redis no longer has the batch.
        """
        counts = self._batches.look(self.id).counts
        return {status: counts.get(status, 0) for status in STATUSES}

    @property
    def done(self) -> bool:
        """Whether every job has ended, and no further one comes."""
        seen = self._batches.look(self.id)
        return seen.ended == seen.stored if self._is_partial else seen.is_over

    def jobs(self) -> Iterator[Job[R_co]]:
        """Yield the job of each call that is stored, in their order."""
        for index in range(self.stored):
            yield Job(member_id(self.id, index), self._client)

    @overload
    def results(
        self,
        *,
        ordered: bool = True,
        errors: Literal["raise"] = "raise",
        timeout: float | None = None,
        progress: bool = False,
    ) -> Iterator[R_co]: ...

    @overload
    def results(
        self,
        *,
        ordered: bool = True,
        errors: Literal["collect"],
        timeout: float | None = None,
        progress: bool = False,
    ) -> Iterator[R_co | BaseException]: ...

    def results(
        self,
        *,
        ordered: bool = True,
        errors: Literal["raise", "collect"] = "raise",
        timeout: float | None = None,
        progress: bool = False,
    ) -> Iterator[Any]:
        """Yield the value of each call, as soon as it is there.

        Args:
            ordered: In the order of the calls; else in that of their ends.
            errors: `raise` raises the first error that is met, and leaves the other
                jobs alone; `collect` yields errors in the place of values.
            timeout: Seconds in all; None waits as long as it takes.
            progress: Show a bar on the terminal, tqdm's if that is installed, with
                failures, machines and their cost so far; the latter take two commands
                to Redis every other second. Nothing where the output is no terminal.

        Raises:
            Exception: what `Job.result` raises, of the first call that failed.
            WaitTimeout: not all have ended; the others go on.
            BatchNotFound: Redis has no such batch; `JobLost` if it had it before.
            StoreUnavailable: Redis refuses us, or was away when time was over; until
                then it retries.
            MachineError: no machine can be had until a person acts; the jobs wait.
            ConfigError: `errors` is neither.
        """
        collects = is_collecting(errors)
        reader, limit = self._read(Reader, ordered=ordered), Limit.of(timeout)
        return self._batches.results(reader, limit, collects=collects, bar=progress)

    @overload
    def aresults(
        self,
        *,
        ordered: bool = True,
        errors: Literal["raise"] = "raise",
        timeout: float | None = None,
        progress: bool = False,
    ) -> AsyncIterator[R_co]: ...

    @overload
    def aresults(
        self,
        *,
        ordered: bool = True,
        errors: Literal["collect"],
        timeout: float | None = None,
        progress: bool = False,
    ) -> AsyncIterator[R_co | BaseException]: ...

    def aresults(
        self,
        *,
        ordered: bool = True,
        errors: Literal["raise", "collect"] = "raise",
        timeout: float | None = None,
        progress: bool = False,
    ) -> AsyncIterator[Any]:
        """Do as `results` does, without blocking the event loop.

        However many batches a program awaits, they take one thread and one connection.
        """
        collects = is_collecting(errors)
        reader, limit = self._read(Reader, ordered=ordered), Limit.of(timeout)
        return self._batches.aresults(reader, limit, collects=collects, bar=progress)

    def __await__(self) -> Generator[Any, None, list[R_co]]:
        """Wait for all values, in order, without blocking the event loop.

        Raises what `results` raises. A task that is cancelled while it awaits stops
        waiting at once; the jobs go on.
        """
        return self._awaited().__await__()

    async def _awaited(self) -> list[R_co]:
        return [value async for value in self.aresults()]

    def wait(self, timeout: float | None = None) -> bool:
        """Block until every job has ended; False if `timeout` seconds were not enough.

        Costs a few commands, however many jobs there are. Raises what `results` raises
        but for the errors of calls.
        """
        try:
            self._batches.wait(self._read(Watcher), Limit.of(timeout))
        except WaitTimeout:
            return False
        return True

    def cancel(self) -> int:
        """End every job that has not ended; return how many that were.

        Each ends as by `Job.cancel`. What the program of an open batch stores
        afterwards is not cancelled.

        Raises:
            BatchNotFound: Redis has no such batch.
        """
        return self._batches.cancel(self.id)

    def retry_failed(self) -> Batch[R_co]:
        """Run the jobs that failed or expired again, as a new batch.

        The calls and their options are the same; they keep their order.

        Raises:
            JobError: there are none, or they are of several tasks.
            BatchNotFound: Redis has no such batch.
            SignatureMismatch: a call is not signed with our secret.
            PartlyStored: only the first of them were stored.
        """
        return self._batches.retry_failed(self.id)

    def close(self) -> None:
        """Have an open batch be complete with the calls that it has.

        For one whose program ended while it stored calls: those who wait for the
        batch wait for its stored jobs alone.

        Raises:
            BatchNotFound: Redis has no such batch.
        """
        self._batches.close(self.id)

    def _read(self, kind: Callable[..., T], **how: bool) -> T:
        return kind(
            self._batches.sources,
            self.id,
            is_fresh=self._is_fresh,
            is_partial=self._is_partial,
            **how,
        )


def is_collecting(errors: str) -> bool:
    """Return whether errors are to stand in the place of values.

    Raises:
        ConfigError: it is neither `raise` nor `collect`.
    """
    return choice("raise", "collect")(errors, "errors") == "collect"


def _reopen(batch_id: str) -> Batch[Any]:
    from worker_lib.client.client import default_client  # noqa: PLC0415 - it imports us

    return Batch(batch_id, default_client())
