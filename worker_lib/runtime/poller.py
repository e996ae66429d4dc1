"""Waits for whatever happens first, and says who is to deal with it."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Poller"]

_LONGEST = 3600.0


class Poller:
    """Descriptors, and what is called when one of them is readable."""

    __slots__ = ("_handlers", "_patient", "_poll", "_urgent")

    def __init__(self) -> None:
        self._poll = select.poll()
        # The same without what can wait.
        self._urgent = select.poll()
        self._patient: set[int] = set()
        self._handlers: dict[int, Callable[[], None]] = {}

    def watch(
        self,
        descriptor: int,
        handler: Callable[[], None],
        *,
        to_write: bool = False,
        can_wait: bool = False,
    ) -> None:
        """Have `handler` called whenever there is something to read, or to write.

        Args:
            can_wait: See `wait`; always the same for one descriptor.
        """
        events = select.POLLIN | (select.POLLOUT if to_write else 0)
        self._poll.register(descriptor, events)
        if can_wait:
            self._patient.add(descriptor)
        else:
            self._urgent.register(descriptor, events)
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Watch this one no more; nothing happens if it is not watched."""
        if not self._handlers.pop(descriptor, None):
            return
        self._poll.unregister(descriptor)
        if descriptor in self._patient:
            self._patient.remove(descriptor)
        else:
            self._urgent.unregister(descriptor)

    def wait(self, seconds: float, patience: float = 0.0) -> list[int]:
        """Return what is ready, after so many seconds at most, or an hour.

        Args:
            patience: Seconds for which that counts as not ready which can wait.
        """
        most = min(max(0.0, seconds), _LONGEST)
        if patience > 0.0:
            first = min(patience, most)
            if ready := self._urgent.poll(first * 1000):
                return [one for one, _ in ready]
            most -= first
        return [one for one, _ in self._poll.poll(most * 1000)]

    def handle(self, ready: list[int]) -> None:
        """Call the handlers; one that was forgotten meanwhile is left out."""
        for descriptor in ready:
            handler = self._handlers.get(descriptor)
            if handler is not None:
                handler()
