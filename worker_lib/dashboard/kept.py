"""What pages read a while ago, for so long as it is good enough."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from worker_lib.client.client import Client, default_client

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["expire", "kept"]

T = TypeVar("T")


class _Kept:
    """What was read for one client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, Any]] = {}

    def get(self, name: str, seconds: float, read: Callable[[], T]) -> T:
        """Return what `read` returned, not longer ago than `seconds`."""
        with self._lock:
            at, value = self._found.get(name, (float("-inf"), None))
            if self._clock() - at >= seconds:
                value = read()
                self._found[name] = (self._clock(), value)
            found: T = value
            return found

    def expire(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._found.clear()


# Those of a client, which is one for the whole process.
_of_client: WeakKeyDictionary[Client, _Kept] = WeakKeyDictionary()


def kept(name: str, seconds: float, read: Callable[[], T]) -> T:
    """Return what `read` returned, for any page, not longer ago than `seconds`.

    Args:
        name: Of what is read; few, as they are kept.
        seconds: How old it may be.
        read: Reads it anew.
    """
    return _of_client.setdefault(default_client(), _Kept()).get(name, seconds, read)


def expire() -> None:
    """Have it all read anew: something was done."""
    for one in list(_of_client.values()):
        one.expire()
