"""Signals that ask the machine to stop, at any moment, also in a blocking call."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")
else:
    import _signal as signal  # see `process`
    import _socket as socket

__all__ = ["Stop", "Stopped"]


class Stopped(Exception):
    """Raised in what `Stop.may_interrupt` runs, by the first signal to stop."""


class Stop:
    """Whether this machine was asked to stop; wakes what waits when it is.

    Attributes:
        asked_at: Monotonic seconds of the first such signal; None before it.
        wakeup: Becomes readable at every signal to this process.
    """

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.wakeup, self._writer = socket.socketpair()
        self._interruptible = False

    def catch_signals(self) -> None:
        """Take SIGTERM and SIGINT as requests to stop from now on."""
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @property
    def asked(self) -> bool:
        """Whether this machine must stop."""
        return self.asked_at is not None

    def may_interrupt(self, step: Callable[[], T]) -> T:
        """Return what `step` returns.

        Raises:
            Stopped: a signal came meanwhile; how far `step` came is not known.
        """
        self._interruptible = not self.asked
        try:
            return step()
        finally:
            self._interruptible = False

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal comes."""
        poller = select.poll()
        poller.register(self.wakeup, select.POLLIN)
        if poller.poll(max(0.0, seconds) * 1000):
            self.heard()

    def heard(self) -> None:
        """Take note that `wakeup` was readable."""
        self.wakeup.recv(4096)

    def descriptors(self) -> tuple[int, ...]:
        """Return the open descriptors, which a child must not keep."""
        return self.wakeup.fileno(), self._writer.fileno()

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self.asked_at is None:
            self.asked_at = time.monotonic()
        if self._interruptible:
            self._interruptible = False
            raise Stopped
