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

    __slots__ = ("_handlers", "_poll")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}

    def watch(
        self, descriptor: int, handler: Callable[[], None], *, to_write: bool = False
    ) -> None:
        """Have `handler` called whenever there is something to read, or to write."""
        events = select.POLLIN | (select.POLLOUT if to_write else 0)
        self._poll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Watch this one no more; nothing happens if it is not watched."""
        if self._handlers.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def wait(self, seconds: float) -> list[int]:
        """Return what is ready, after so many seconds at most, or an hour."""
        most = min(max(0.0, seconds), _LONGEST)
        return [one for one, _ in self._poll.poll(most * 1000)]

    def handle(self, ready: list[int]) -> None:
        """Call the handlers; one that was forgotten meanwhile is left out."""
        for descriptor in ready:
            handler = self._handlers.get(descriptor)
            if handler is not None:
                handler()
