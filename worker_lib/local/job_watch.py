"""Sweeps for callers that have ended, while the stack stays up for their jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.errors import WorkerLibError
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.client.client import Client
    from worker_lib.settings import Settings
    from worker_lib.store.replies import Unfinished

__all__ = ["JobWatch"]

log = get_logger("local")


class JobWatch:
    """Sweeps each namespace of a stack, as its callers did.

    Args:
        settings: Returns the settings of each namespace.
    """

    def __init__(self, settings: Callable[[], dict[str, Settings]]) -> None:
        self._settings = settings
        self._clients: dict[str, Client] = {}

    def has_work(self, soon: float) -> bool:
        """Sweep; return whether jobs run, or are due within `soon` seconds."""
        found = self._in_each(lambda client: _sweep(client, soon)).values()
        return any(one.running or one.soon for one in found)

    def unfinished(self) -> tuple[dict[str, int], float]:
        """Return the number of unfinished jobs, and how long outcomes are kept.

        The first by namespace; the second in seconds, the longest of all.
        """
        found = self._in_each(lambda c: c.store.unfinished(0, with_life=True))
        counts = {
            name: one.running + one.soon + one.later for name, one in found.items()
        }
        return counts, max((one.life for one in found.values()), default=0.0)

    def _in_each(self, count: Callable[[Client], Unfinished]) -> dict[str, Unfinished]:
        from worker_lib.client.client import Client  # noqa: PLC0415 - rarely needed

        found = {}
        for name, settings in self._settings().items():
            try:
                client = self._clients.setdefault(name, Client(settings))
                found[name] = count(client)
            except WorkerLibError as error:
                log.warning("job_watch_failed", extra={"error": str(error)})
        return found


def _sweep(client: Client, soon: float) -> Unfinished:
    client.sweeper.sweep()
    return client.store.unfinished(soon)
