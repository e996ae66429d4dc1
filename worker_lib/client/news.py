"""Settles the futures of an executor as its jobs end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.client.outage import Outage
from worker_lib.client.reading import Reader
from worker_lib.errors import (
    ConfigError,
    JobCancelled,
    JobLost,
    MachineError,
    StoreUnavailable,
)
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from worker_lib.client.client import Client
    from worker_lib.client.futures import FlyFuture, OpenFutures
    from worker_lib.client.reading import Item

__all__ = ["News"]

log = get_logger("executor")

_LONGEST_WAIT = 20.0
_CANCEL_AT_ONCE = 100


class News:
    """Hears which jobs of a batch have ended, by one blocking command for all.

    Args:
        client: Reads outcomes.
        futures: Those to settle.
        batch_id: Of their jobs.
        forget: Keep the jobs that succeeded for ten minutes only, once they are read.
    """

    def __init__(
        self, client: Client, futures: OpenFutures, batch_id: str, *, forget: bool
    ) -> None:
        self._store = client.store
        self._open = futures
        self._reader = Reader(
            client.batches.sources,
            batch_id,
            ordered=False,
            forget=forget,
            is_fresh=True,
        )
        self._outage = Outage(client.store, None)

    def step(self) -> None:
        """Settle what has ended, or wait until something has; never raises."""
        try:
            if not self._settle_ended():
                self._store.batches.wait(
                    self._reader.waiter, min(_LONGEST_WAIT, self._reader.pause)
                )
            self._outage.is_over()
        except StoreUnavailable as error:
            self._pause(error)
        except (MachineError, ConfigError) as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001 - handed to who waits
            self._fail(error)

    def _settle_ended(self) -> bool:
        """Settle what has ended; say whether anything has."""
        items = self._reader.take()
        has_any = bool(items)
        items.reverse()
        while items:  # a value is its caller's, and not kept here
            self._settle(items.pop())
        return has_any

    def _settle(self, item: Item) -> None:
        for future in self._open.of([item.at]):
            if not self._open.take(future):
                continue
            try:
                if isinstance(item.value, JobCancelled) and not item.good:
                    future.end_cancelled()
                else:
                    future.end(good=item.good, value=item.value)
            except BaseException:  # a callback may do anything, and others wait for us
                log.exception("callback_failed")

    def _pause(self, error: StoreUnavailable) -> None:
        try:
            self._outage.pause(error)
        except StoreUnavailable:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Settle all, or the one whose job is lost."""
        futures = self._open.stored()
        lost = [one for one in futures if one.job_id == getattr(error, "job_id", None)]
        if isinstance(error, JobLost) and lost:
            futures = lost
        self._open.fail(futures, error)

    def _give_up(self, error: Exception) -> None:
        """Settle those that can have no machine, and cancel their jobs.

        Nobody will read what these return.
        """
        futures = self._open.stored()
        for at in range(0, len(futures), _CANCEL_AT_ONCE):
            some = futures[at : at + _CANCEL_AT_ONCE]
            try:
                self._open.fail(self._cancelled(some), error)
            except StoreUnavailable as away:
                self._pause(away)
                return

    def _cancelled(self, futures: list[FlyFuture[Any]]) -> list[FlyFuture[Any]]:
        verdicts = self._store.batches.cancel_waiting([one.job_id for one in futures])
        return [one for one, done in zip(futures, verdicts, strict=True) if done]
