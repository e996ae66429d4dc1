"""Why a machine is gone, told from Fly's own record of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker_lib.keys import machine_name

if TYPE_CHECKING:
    from worker_lib.machines.types import Machine
    from worker_lib.store.store import Check

__all__ = ["Cause", "cause_of"]


class Cause(NamedTuple):
    """Why a machine is gone.

    Attributes:
        kind: As `JobFailed.kind`.
        error: One sentence.
    """

    kind: str
    error: str


def cause_of(check: Check, machine: Machine | None) -> Cause:
    """Return why the machine is gone, from its own exit event if Fly still has it.

    Source: Machines API, "Get a Machine", `events[].request.exit_event`.
    """
    who = f"machine {check.machine_id or machine_name(check.slot)}"
    event = machine.exit_event if machine is not None else None
    if event is not None and event.oom_killed:
        return Cause("out_of_memory", f"{who} ran out of memory")
    if event is not None and not event.requested_stop:
        return Cause("lost", f"{who} ended with exit code {event.exit_code}")
    return Cause("lost", f"{who} was not heard of for longer than its lease")
