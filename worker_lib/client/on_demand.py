"""A thread that is there only while it has something to do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OnDemand"]

# It stays so long for more to do: to start a thread costs 0.1 ms.
_LINGER = 0.1


class OnDemand:
    """Starts a thread when there is work, and lets it end when there is none.

    The interpreter waits for the thread before it ends, as for those of an executor of
    the standard library.

    Args:
        name: Of the thread.
        lock: Guards what `has_work` looks at.
        has_work: Called with the lock held.
        work: Does some of it; must not raise.
        at_end: Called by the thread before it ends.
    """

    def __init__(
        self,
        name: str,
        lock: threading.RLock,
        *,
        has_work: Callable[[], bool],
        work: Callable[[], None],
        at_end: Callable[[], None],
    ) -> None:
        self._name = name
        self._has_work = has_work
        self._work = work
        self._at_end = at_end
        self._changed = threading.Condition(lock)
        self._is_closing = False
        self._current: threading.Thread | None = None
        self._ending: threading.Thread | None = None

    def wake(self) -> None:
        """Have the work done that there is now. The caller holds the lock."""
        if self._current is not None:
            self._changed.notify_all()
            return
        self._current = threading.Thread(target=self._run, name=self._name)
        self._current.start()

    def close(self) -> None:
        """Stay no longer for more to do."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until there is no thread, unless this is it."""
        me = threading.current_thread()
        with self._changed:
            # Not by joining a thread that works: Ctrl-C in the middle of that has
            # Python take the thread for ended (bpo-45274).
            self._changed.wait_for(lambda: self._current in {None, me})
            ending, self._ending = self._ending, None
        if ending is not None and ending is not me:
            ending.join()

    def _run(self) -> None:
        while self._wait():
            self._work()
        self._at_end()

    def _wait(self) -> bool:
        """Say whether there is work; if not, a later `wake` starts another thread."""
        with self._changed:
            self._changed.wait_for(self._is_wanted, timeout=_LINGER)
            if self._has_work():
                return True
            self._ending, self._current = self._current, None
            self._changed.notify_all()
            return False

    def _is_wanted(self) -> bool:
        return self._is_closing or self._has_work()
