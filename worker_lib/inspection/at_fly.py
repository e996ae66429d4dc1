"""What Fly has of a machine, without what may be a secret: its environment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.client.inspection import find_machine

if TYPE_CHECKING:
    from worker_lib.machines.types import Machine, MachineEvent

__all__ = ["FlyEvent", "FlyMachine", "machine_at_fly"]


class FlyEvent(NamedTuple):
    """A step in a machine's life, as Fly tells it.

    Attributes:
        type: `launch`, `start`, `exit` ..., or one that Fly has added since.
        state: That the machine went to.
        at: Seconds since the epoch, by the clock of Fly's host; None if unknown.
        exit_code: Of its process, 128 + n after signal n; None if this is no exit.
        oom_killed: Whether it was ended for want of memory.
        requested_stop: Whether somebody asked for the stop.
    """

    type: str
    state: str
    at: float | None
    exit_code: int | None
    oom_killed: bool = False
    requested_stop: bool = False


class FlyMachine(NamedTuple):
    """A machine, as Fly describes it.

    Attributes:
        state: In Fly's words.
        host_status: `ok`, `unknown` or `unreachable`.
        created_at: Seconds since the epoch, by the clock of Fly's host; None if
            unknown.
        events: Newest first.
    """

    name: str
    state: str
    region: str
    host_status: str
    created_at: float | None
    image: str
    events: tuple[FlyEvent, ...]


def machine_at_fly(machine_id: str) -> FlyMachine | None:
    """Return what Fly has of a machine, in one request; None if nothing any more.

    Raises:
        MachinesApiError: it refuses, or does not answer.
        ConfigError: this process has no token, or knows no app.
    """
    found = find_machine(machine_id)
    return None if found is None else _seen(found)


def _seen(machine: Machine) -> FlyMachine:
    return FlyMachine(
        name=machine.name,
        state=machine.state,
        region=machine.region,
        host_status=machine.host_status,
        created_at=_moment(machine.created_at),
        image=str(machine.config.get("image", "")),
        events=tuple(map(_event, machine.events)),
    )


def _event(event: MachineEvent) -> FlyEvent:
    ended = event.exit_event
    return FlyEvent(
        type=event.type,
        state=event.status,
        at=event.timestamp / 1000 if event.timestamp else None,
        exit_code=None if ended is None else ended.exit_code,
        oom_killed=ended is not None and ended.oom_killed,
        requested_stop=ended is not None and ended.requested_stop,
    )


def _moment(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
