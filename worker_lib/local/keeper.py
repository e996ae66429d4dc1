"""Sees to the jobs of callers that have gone, while the stack stays up for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.errors import WorkerLibError
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.client.client import Client
    from worker_lib.settings import Settings
    from worker_lib.store.replies import Unfinished

__all__ = ["Keeper"]

log = get_logger("local")


class Keeper:
    """Does for the namespaces of a stack what their callers would do.

    Args:
        settings: Returns those of each namespace, as the callers told.
    """

    def __init__(self, settings: Callable[[], dict[str, Settings]]) -> None:
        self._settings = settings
        self._clients: dict[str, Client] = {}

    def sees_work(self, soon: float) -> bool:
        """Take up what is overdue; say whether jobs run, or are to within `soon`."""
        found = self._in_each(lambda client: _take_up(client, soon)).values()
        return any(one.running or one.soon for one in found)

    def left(self) -> tuple[dict[str, int], float]:
        """Return what is unfinished, and how long outcomes are kept.

        The first by namespace, in jobs; the second in seconds, that of the longest.
        """
        found = self._in_each(lambda c: c.store.unfinished(0, with_life=True))
        counts = {
            name: left.running + left.soon + left.later for name, left in found.items()
        }
        return counts, max((left.life for left in found.values()), default=0.0)

    def _in_each(self, look: Callable[[Client], Unfinished]) -> dict[str, Unfinished]:
        from worker_lib.client.client import Client  # noqa: PLC0415 - only when it is needed

        found = {}
        for name, settings in self._settings().items():
            try:
                client = self._clients.setdefault(name, Client(settings))
                found[name] = look(client)
            except WorkerLibError as error:
                log.warning("keeper_failed", extra={"error": str(error)})
        return found


def _take_up(client: Client, soon: float) -> Unfinished:
    client.sweeper.sweep()
    return client.store.unfinished(soon)
