"""The hooks of the calling side: around storing a call, and at the end of a job."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from worker_lib import hooks
from worker_lib.errors import JobFailed, StoreError
from worker_lib.hooks import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from worker_lib.client.handle import Job
    from worker_lib.store.replies import Seen
    from worker_lib.store.store import Store

__all__ = ["Ends", "enqueue"]

R = TypeVar("R")

_MOST_REMEMBERED = 10_000
# For one look at a job that is over; a server that hangs must not hold up its reader.
_PATIENCE = 2.0


def enqueue(
    task: str,
    queue: str,
    job_id: str,
    store: Callable[[str, dict[str, str] | None], Job[R]],
) -> Job[R]:
    """Store a call between the hooks before and after it; raise what that raises.

    Args:
        task: Name of what is called.
        queue: In which the job is to wait.
        job_id: Under which the call is stored, unless another job stands for it.
        store: Takes that id and the headers that hooks have set.
    """
    event = Event("caller", job_id, task=task, queue=queue)
    hooks.before_enqueue.fire(event)
    headers = hooks.checked_headers(event)
    began = time.monotonic()
    try:
        job = store(job_id, headers)
    except BaseException as error:
        event.fail(error)
        raise
    else:
        event.job_id = job.id
        return job
    finally:
        event.duration = time.monotonic() - began
        hooks.after_enqueue.fire(event)


class Ends:
    """Tells hooks once of the end of each job that this process hears of.

    Args:
        store: To look up what is known of the job.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._told: dict[str, None] = {}

    def tell(self, job_id: str, status: str, error: BaseException | None) -> None:
        """Call the hooks of `on_end`; costs nothing where there are none.

        Args:
            job_id: Of a job that is final.
            status: As its outcome says.
            error: What its reader gets instead of a value.
        """
        if not hooks.on_end or not self._is_first(job_id):
            return
        _fire(self._look([job_id])[0], status, error)

    def tell_many(self, ends: Iterable[tuple[str, str, BaseException | None]]) -> None:
        """Do as `tell` does, for several jobs with one look at them."""
        if not hooks.on_end:
            return
        first = [one for one in ends if self._is_first(one[0])]
        for event, end in zip(
            self._look([one[0] for one in first]), first, strict=True
        ):
            _fire(event, *end[1:])

    def _is_first(self, job_id: str) -> bool:
        with self._lock:
            if job_id in self._told:
                return False
            if len(self._told) >= _MOST_REMEMBERED:
                del self._told[next(iter(self._told))]
            self._told[job_id] = None
            return True

    def _look(self, job_ids: Sequence[str]) -> list[Event]:
        found: Sequence[Seen | None] = [None] * len(job_ids)
        if job_ids:
            with contextlib.suppress(StoreError):
                found = self._store.look(*job_ids, patience=_PATIENCE)
        return [
            _event(job_id, seen) for job_id, seen in zip(job_ids, found, strict=True)
        ]


def _event(job_id: str, seen: Seen | None) -> Event:
    if seen is None or not seen.info.final:
        return Event("caller", job_id)
    attempts = seen.info.attempts
    return Event.of_job(seen.info, attempts[-1] if attempts else None)


def _fire(event: Event, status: str, error: BaseException | None) -> None:
    event.status = event.status or status
    failed = error.__cause__ if isinstance(error, BaseException) else None
    failed = error if isinstance(error, JobFailed) else failed
    remote_type = failed.remote_type if isinstance(failed, JobFailed) else ""
    event.fail(error, remote_type)
    hooks.on_end.fire(event)
