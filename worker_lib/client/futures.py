"""The futures of an executor, and which of them are settled by whom."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any, TypeVar

from worker_lib.store.keys import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker_lib.client.submissions import Submissions

__all__ = ["FlyFuture", "OpenFutures", "cancel_many"]

T = TypeVar("T")


class FlyFuture(Future[T]):
    """A call that was submitted.

    `result` and `exception` raise `CancelledError` if it was cancelled. An exception of
    the call has a `JobFailed` as its cause, which holds the remote traceback; where
    there is no outcome, the exception is a `JobError`.

    Attributes:
        job_id: Of its job, for `Job.get`; "" until it is being stored.
    """

    def __init__(self, submissions: Submissions) -> None:
        super().__init__()
        self._submissions = submissions
        self.job_id = ""

    def cancel(self) -> bool:
        """End the job if it has not started; False if it runs, or is done.

        Redis decides, unless the job is not stored yet. A job counts as running once a
        machine has it, which may be some hundredths of a second before it begins.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        return self._submissions.cancel([self]) == 1 or self.cancelled()

    def running(self) -> bool:
        """Say whether the job runs now; looks at Redis each time.

        A job whose machine is lost, or has handed it back, does not run any more: it
        can be cancelled until another one takes it.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        return not self.done() and self._submissions.is_running(self)

    def end(self, *, good: bool, value: Any) -> None:
        """Settle it. Only who has taken it (`OpenFutures.take`) may do that."""
        with contextlib.suppress(InvalidStateError):  # somebody has set it by hand
            self.set_running_or_notify_cancel()
            if good:
                self.set_result(value)
            else:
                self.set_exception(value)

    def end_cancelled(self) -> None:
        """Settle it as cancelled; as with `end`."""
        if super().cancel():
            self.set_running_or_notify_cancel()


def cancel_many(futures: Iterable[FlyFuture[Any]]) -> None:
    """Cancel those that have not started, in few commands.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    by_owner: dict[Submissions, list[FlyFuture[Any]]] = {}
    for future in futures:
        if not future.done():
            by_owner.setdefault(future._submissions, []).append(future)  # noqa: SLF001
    for owner, some in by_owner.items():
        owner.cancel(some)


class OpenFutures:
    """Those that are not settled: each is taken once, by who then settles it.

    Attributes:
        lock: Guards this and what was submitted.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._open: set[FlyFuture[Any]] = set()
        # Those whose jobs are stored, or being stored, by their indexes.
        self._stored: dict[int, FlyFuture[Any]] = {}

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._open)

    def __contains__(self, future: FlyFuture[Any]) -> bool:
        """Say whether it is not settled yet."""
        return future in self._open

    def add(self, future: FlyFuture[Any]) -> None:
        """Take up one that was just made."""
        with self.lock:
            self._open.add(future)

    def store(self, future: FlyFuture[Any], job_id: str) -> None:
        """Note that its job is being stored."""
        with self.lock:
            future.job_id = job_id
            if future in self._open:
                self._stored[index_of(job_id)] = future

    def all(self) -> list[FlyFuture[Any]]:
        """Return all of them."""
        with self.lock:
            return list(self._open)

    def stored(self, most: int | None = None) -> list[FlyFuture[Any]]:
        """Return those whose jobs are stored, the oldest first."""
        with self.lock:
            return list(self._stored.values())[:most]

    def of(self, indexes: Iterable[int]) -> list[FlyFuture[Any]]:
        """Return those of these jobs that are open."""
        with self.lock:
            found = map(self._stored.get, indexes)
            return [one for one in found if one is not None]

    @property
    def has_stored(self) -> bool:
        """Whether there are jobs to wait for."""
        return bool(self._stored)

    def take(self, future: FlyFuture[Any]) -> bool:
        """Say whether the caller, and nobody else, is to settle it now."""
        with self.lock:
            if future not in self._open:
                return False
            self._open.discard(future)
            if future.job_id:
                self._stored.pop(index_of(future.job_id), None)
            return True

    def fail(self, futures: Sequence[FlyFuture[Any]], error: BaseException) -> None:
        """Settle those that are open with an error."""
        for future in futures:
            if self.take(future):
                future.end(good=False, value=error)
