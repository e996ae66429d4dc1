"""The control channel: on it a machine is told of work, and of cancelled jobs."""

from __future__ import annotations

import time

from worker_lib.errors import StoreError
from worker_lib.store.backoff import Backoff
from worker_lib.store.claims import Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.runtime.poller import Poller
    from worker_lib.store.machine import MachineStore

__all__ = ["ControlChannel"]

_NEVER = float("inf")


class ControlChannel:
    """Listens for words to this machine.

    Args:
        store: Whose channel it is.
        poller: Tells when there is a word.
        hear: Is called with each; with a word of no kind after a break, in which words
            may have been lost.
    """

    def __init__(
        self, store: MachineStore, poller: Poller, hear: Callable[[Word], None]
    ) -> None:
        self._store = store
        self._poller = poller
        self._hear = hear
        self._backoff = Backoff()
        self._descriptor = -1
        self._again_at = _NEVER

    def listen_from(self, first_at: float, again_at: float) -> float:
        """Return when `act` has something to do.

        Args:
            first_at: When to begin to listen; it takes a connection.
            again_at: When to go on, once there was a word.
        """
        if self._again_at < _NEVER:
            return self._again_at
        if self._descriptor < 0:
            return first_at
        return _NEVER if self._store.listens else again_at

    def act(self) -> None:
        """Begin to listen, or go on after a word."""
        was_broken = self._again_at < _NEVER
        try:
            descriptor = self._store.listen()
        except StoreError:
            self.forget()
            self._pause()
            return
        self._again_at = _NEVER
        if descriptor != self._descriptor:
            self._descriptor = descriptor
            self._poller.watch(descriptor, self._receive)
        if was_broken:
            self._hear(Word())

    def forget(self) -> None:
        """Listen no more: the connection is closed."""
        if self._descriptor >= 0:
            self._poller.forget(self._descriptor)
            self._descriptor = -1

    def _receive(self) -> None:
        try:
            word = self._store.heard()
        except StoreError:
            self.forget()
            self._pause()
            return
        if word.kind:
            self._backoff = Backoff()
            self._hear(word)

    def _pause(self) -> None:
        self._again_at = time.monotonic() + self._backoff.pause()
