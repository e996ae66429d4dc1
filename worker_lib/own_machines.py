"""The machines of one namespace, as Fly shows them; never those of anybody else.

Ids of machines stand in Redis, where others may write, and other programs may use the
same app. So a machine counts as ours only if its metadata at Fly says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from worker_lib.fly.naming import (
    METADATA_NAMESPACE,
    METADATA_OWNER,
    METADATA_SLOT,
    machine_name,
    owners,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.machines.protocol import Machines
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings

__all__ = ["OwnMachines", "Ownership", "created_at"]

Ownership: TypeAlias = Literal["ours", "foreign", "unknown"]


class OwnMachines:
    """Looks up machines that this library created.

    Every method raises `MachinesApiError` if the API refuses or does not answer.

    Args:
        machines: Returns the API client; called when it is first needed.
        settings: Namespace and secrets.
    """

    def __init__(self, machines: Callable[[], Machines], settings: Settings) -> None:
        self._machines = machines
        self._namespace = settings.namespace
        self._owners = owners(settings.namespace, settings.secret, settings.old_secret)

    def get(self, machine_id: str) -> Machine:
        """Return any machine, also a destroyed one for a while.

        Raises:
            MachineNotFound: there is none, or it is not known yet.
        """
        return self._machines().get_machine(machine_id)

    def ownership(self, slot: str, machine: Machine) -> Ownership:
        """Say whether this library created a machine for that slot.

        `unknown` while its host does not answer: Fly then may not show its metadata.
        """
        data = machine.metadata
        if not data and machine.host_status != "ok":
            return "unknown"
        is_ours = data.get(METADATA_OWNER) in self._owners
        return "ours" if is_ours and data.get(METADATA_SLOT) == slot else "foreign"

    def of_slot(self, slot: str) -> Machine | None:
        """Return the machine of a slot by its name; one that is gone if no other.

        None is no proof that there is none: the list may be stale.
        """
        listed = self._machines().list_machines(
            metadata={METADATA_SLOT: slot}, include_deleted=True
        )
        named = [one for one in listed if one.name == machine_name(slot)]
        return min(named, key=lambda one: one.is_gone, default=None)

    def by_slot(self) -> dict[str, Machine]:
        """Return all machines of the namespace; the list may be stale."""
        listed = self._machines().list_machines(
            metadata={METADATA_NAMESPACE: self._namespace}
        )
        return {
            machine.metadata.get(METADATA_SLOT, ""): machine
            for machine in listed
            if machine.metadata.get(METADATA_OWNER) in self._owners
        }

    def destroy(self, machine_id: str) -> None:
        """Destroy a machine; one that is not there counts as destroyed."""
        self._machines().destroy_machine(machine_id)


def created_at(machine: Machine) -> float:
    """Return when a machine was created, in seconds since the epoch.

    Infinite if Fly does not say: such a machine is never old.
    """
    try:
        return datetime.fromisoformat(machine.created_at).timestamp()
    except ValueError:
        return float("inf")
