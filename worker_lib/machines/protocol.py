"""What the launcher and the sweeper ask of Fly: a handful of verbs.

`worker_lib.machines.api.MachinesApi` has them. Who decides sees no more than this, and
so knows nothing of HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.errors import MachinesApiError
    from worker_lib.machines.types import Machine

__all__ = ["Machines"]


class Machines(Protocol):
    """The machines of one app; each verb raises `MachinesApiError` as its own."""

    def create_machine(
        self, *, name: str, region: str | None, config: Mapping[str, Any]
    ) -> Machine:
        """Create a machine and start it. Not idempotent but for its name."""
        ...

    def get_machine(self, machine_id: str) -> Machine:
        """Return a machine, also a destroyed one for a while.

        Raises:
            MachineNotFound: there is none, or it is not known yet.
        """
        ...

    def find_machine(
        self,
        name: str,
        *,
        metadata: Mapping[str, str],
        refused: MachinesApiError | None = None,
    ) -> Machine | None:
        """Return the machine of this name that is not going away, or None.

        None is no proof that there is none. `refused` is why a create under this
        name failed, which may tell more than a list does.
        """
        ...

    def list_machines(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        include_deleted: bool = False,
    ) -> list[Machine]:
        """Return machines with all of this metadata; the list may be stale."""
        ...

    def start_machine(self, machine_id: str) -> str:
        """Start a machine that does not run; return the state it was in."""
        ...

    def destroy_machine(self, machine_id: str) -> None:
        """Kill and destroy a machine; one that is not there counts as destroyed."""
        ...
