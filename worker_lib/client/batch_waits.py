"""Awaiting batches: one thread and one connection, however many batches are awaited.

Whoever awaits is registered under one name for the whole process, so one blocking
command hears of them all. A wake-up that concerns another batch costs who awaits one
command.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from worker_lib.client.outage import Outage
from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.connection import MAX_BLOCK
from worker_lib.store.keys import new_slot_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.store.store import Store

__all__ = ["Listener", "Waits"]

_PAUSE = 1.0
# The thread outlives the last who awaits by one wait: short after a short time.
_FIRST_BLOCK = 1.0


class Listener:
    """One task that awaits one batch.

    Args:
        waiter: The name under which Redis is to wake it.
    """

    def __init__(self, waiter: str) -> None:
        self.waiter = waiter
        self._loop = asyncio.get_running_loop()
        self._heard = asyncio.Event()

    def clear(self) -> None:
        """Forget what was heard: it is looked for now."""
        self._heard.clear()

    async def wait(
        self,
        timeout: float,  # noqa: ASYNC109 - what is not heard in time is no error
        other: asyncio.Task[Any] | None = None,
    ) -> None:
        """Return once something was heard since `clear`, or after so many seconds.

        Args:
            timeout: Seconds.
            other: Return when this is done, too.
        """
        heard = asyncio.ensure_future(self._heard.wait())
        try:
            await asyncio.wait(
                {heard, other} if other else {heard},
                timeout=timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            heard.cancel()

    def tell(self) -> None:
        """Wake it, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._heard.set)


class Waits:
    """Everyone in this process who awaits a batch.

    Args:
        store: To wait in.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._runs = False
        self._waiter = new_slot_id()

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listener]:
        """Yield what hears of wake-ups as long as the block lasts."""
        if self._pid != os.getpid():
            self.__init__(self.store)  # type: ignore[misc]  # no thread survives a fork
        listener = Listener(self._waiter)
        with self._lock:
            self._listeners.add(listener)
            starts, self._runs = not self._runs, True
        if starts:
            name = "worker_lib-await-batches"
            threading.Thread(target=self._run, name=name, daemon=True).start()
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def _run(self) -> None:
        outage, block = Outage(self.store, None), _FIRST_BLOCK
        while not self._may_end():
            try:
                self.store.batches.wait(self._waiter, block)
                block = min(MAX_BLOCK, 2 * block)
                outage.is_over()
            except StoreError as error:
                _pause(outage, error)
            for listener in self._present():
                listener.tell()

    def _present(self) -> list[Listener]:
        with self._lock:
            return list(self._listeners)

    def _may_end(self) -> bool:
        with self._lock:
            self._runs = bool(self._listeners)
            return not self._runs


def _pause(outage: Outage, error: StoreError) -> None:
    """Wait until the next try; those who await find out by themselves what is wrong."""
    try:
        if not isinstance(error, StoreUnavailable):
            raise error
        outage.pause(error)
    except StoreError:
        time.sleep(_PAUSE)
