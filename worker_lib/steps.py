"""What a launcher or a sweep did, one step at a time, as values with names."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Event", "Step"]

Event = Literal[
    "machine_created",
    "machine_started",
    "machine_replaced",
    "machine_refused",
    "launch_pending",
    "launch_delayed",
    "launch_unneeded",
    "launch_failed",
    "machine_late",
    "machine_kept",
    "machine_lost",
    "orphan_found",
    "machine_destroyed",
    "destroy_failed",
    "machine_not_ours",
    "check_failed",
]
"""What was done; also the message of its log record, if it has one.

`machine_started` was parked before; `machine_replaced` could not be started, and
another takes its place. `launch_pending` was handed to the launcher, which is not done
with it; `launch_delayed` has to wait, and a later sweep takes it up; `launch_unneeded`
is no longer owed. `machine_late` is given more time, `machine_kept` was heard of while
Fly was asked about it, `orphan_found` has a slot that Redis does not know. After
`destroy_failed` and `check_failed` a later sweep tries again.
"""


class Step(NamedTuple):
    """One thing that was done, and to what; "" for what is unknown.

    Attributes:
        reason: A sentence for people.
    """

    event: Event
    slot: str = ""
    machine_id: str = ""
    job_id: str = ""
    region: str = ""
    reason: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """What is known besides the event, by name."""
        return {
            name: value
            for name, value in self._asdict().items()
            if value and name != "event"
        }
