"""States of a machine, and what they mean. Source: Fly's guide, "Machine states"."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["ENDED", "GONE", "PARKED", "PERSISTENT", "WAITABLE", "MachineState"]

MachineState = Literal[
    "created",
    "creating",
    "destroyed",
    "destroying",
    "failed",
    "launch_failed",
    "migrated",
    "pending",
    "replaced",
    "replacing",
    "restarting",
    "started",
    "starting",
    "stopped",
    "stopping",
    "suspended",
    "suspending",
    "updating",
]
"""Every known state. `pending` is not in the guide: third parties have seen it."""

GONE: Final = frozenset(
    {"destroyed", "destroying", "launch_failed", "replaced", "migrated"}
)
"""A machine in one of these will never run again."""

ENDED: Final = GONE | {"stopped", "failed"}
"""A machine in one of these does not run."""

PARKED: Final = frozenset({"stopped", "suspended"})
"""A machine in one of these is not paid for but for its disk, and can be started."""

PERSISTENT: Final = frozenset(
    {"started", "stopped", "suspended", "failed", "destroyed"}
)
"""A machine stays in these until something happens; `settled` waits for any."""

WAITABLE: Final = (
    *("started", "stopped", "suspended", "destroyed", "failed"),
    "settled",
)
"""What `GET /wait` takes. Source: the OpenAPI file, `Machines_wait`."""
