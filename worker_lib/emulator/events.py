"""The events of a machine, in the shape that Fly shows them.

Source: the OpenAPI file, `MachineEvent`; fly-go, machine_types.go (`MachineEvent`,
`MachineExitEvent`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.identifiers import ulid

if TYPE_CHECKING:
    from worker_lib.emulator.runtimes import Exit
    from worker_lib.fly.states import MachineState


def now_text() -> str:
    """The present moment as RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One step in the life of a machine.

    Attributes:
        status: The state that the machine enters.
        source: `user`: a client asked for it; `flyd`: it happened.
        request: Details; None where Fly shows null.
        timestamp: Milliseconds since 1970.
    """

    type: str
    status: MachineState
    source: str
    request: dict[str, Any] | None = None
    id: str = field(default_factory=ulid)
    timestamp: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


def exit_request(
    ended: Exit, *, requested_stop: bool, restarting: bool, restart_count: int
) -> dict[str, Any]:
    """The `request` of an exit event, every field present, zeros included."""
    return {
        "exit_event": {
            "exit_code": ended.code,
            "guest_exit_code": ended.code,
            "guest_signal": ended.signal,
            "signal": -1,
            "oom_killed": ended.oom_killed,
            "requested_stop": requested_stop,
            "restarting": restarting,
            "exited_at": now_text(),
        },
        "restart_count": restart_count,
    }
