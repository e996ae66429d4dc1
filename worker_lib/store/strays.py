"""Verbs for machines that are there and should not be, or the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.store.connection import Connection

__all__ = ["Strays"]


class Strays:
    """Remembers what is to be destroyed, and doubts what is thought to run.

    Args:
        connection: Runs the scripts.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def remember(self, slot: str, machine_id: str) -> None:
        """Have a machine destroyed that no slot is kept for, now or later."""
        self._connection.run(script("stray"), slot=slot, machine=machine_id, remember=1)

    def forget(self, slot: str) -> None:
        """Note that the machine of a freed slot is gone."""
        self._connection.run(script("stray"), slot=slot, machine="", remember=0)

    def unknown(self, slots: Sequence[str]) -> tuple[float, set[str]]:
        """Return Redis's time, and those slots that it knows nothing of."""
        now, *found = self._connection.run(script("orphans"), *slots)
        return float(now), {slot.decode() for slot in found}

    def doubt(self, slot: str, machine_id: str) -> bool:
        """Have the next sweep see at once whether this slot's machine still lives.

        Returns:
            False if the slot is gone, or another machine's.
        """
        reply = self._connection.run(script("doubt"), slot=slot, machine=machine_id)
        return bool(reply)
