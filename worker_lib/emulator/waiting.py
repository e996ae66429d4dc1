"""Waits until a machine is in a state, without polling.

Source: the OpenAPI file, `Machines_wait`; the texts of 400, 404 and 408 as third
parties have seen them; flyctl takes 404 for gone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.messages import ApiError, invalid_argument, not_found
from worker_lib.emulator.values import seconds
from worker_lib.fly.protocol import MAX_WAIT
from worker_lib.fly.states import PERSISTENT, WAITABLE

if TYPE_CHECKING:
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.messages import Request
    from worker_lib.emulator.state import Machine

_MIN_WAIT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor:
    """What a client waits for.

    Attributes:
        version: Only this version of the machine counts; "" for any.
        after_event: States entered since this event count too, even if the machine
            has left them; "": the present state only.
        timeout: Seconds.
    """

    states: frozenset[str]
    version: str = ""
    after_event: str = ""
    timeout: float = MAX_WAIT

    @classmethod
    def of(cls, request: Request) -> WaitFor:
        """Read it from the query.

        Raises:
            ApiError: 400, a state is unknown or the timeout is out of bounds.
        """
        states = request.values("state") or ["started"]
        unknown = [state for state in states if state not in WAITABLE]
        if unknown:
            valid = ", ".join(WAITABLE)
            raise invalid_argument(f'unknown state "{unknown[0]}"; valid are {valid}')
        return cls(
            states=frozenset(states),
            version=request.value("version") or request.value("instance_id"),
            after_event=request.value("from_event_id"),
            timeout=_timeout(request.value("timeout")),
        )

    def reached_by(self, machine: Machine) -> str:
        """The wanted state that the machine is in; "" if it is in none."""
        if self.version and machine.instance_id != self.version:
            return ""
        if self._wants(machine.state):
            return machine.state
        if self.after_event:
            for event in machine.events:
                if event.id > self.after_event and self._wants(event.status):
                    return event.status
        return ""

    def _wants(self, state: str) -> bool:
        settled = "settled" in self.states and state in PERSISTENT
        return settled or state in self.states


def wait(fleet: Fleet, machine: Machine, wanted: WaitFor) -> dict[str, Any]:
    """Block until the machine is in a wanted state; needs the fleet's lock held.

    Raises:
        ApiError: 404, it was destroyed instead; 408, not in time; 503, the
            emulator is being stopped.
    """
    deadline = time.monotonic() + wanted.timeout
    while not (state := wanted.reached_by(machine)):
        if machine.state == "destroyed":
            raise not_found(f"machine not found: {machine.id}")
        if fleet.is_closing:
            raise ApiError(503, "unavailable: the emulator is stopping")
        left = deadline - time.monotonic()
        if left <= 0:
            raise _timed_out(machine, wanted)
        machine.changed.wait(left)
    return {
        "ok": True,
        "state": state,
        "event_id": machine.events[-1].id,
        "version": machine.instance_id,
    }


def _timed_out(machine: Machine, wanted: WaitFor) -> ApiError:
    states = ",".join(sorted(wanted.states))
    return ApiError(
        408,
        "deadline_exceeded: machine failed to reach desired state, "
        f"{states}, currently {machine.state}",
    )


def _timeout(text: str) -> float:
    if not text:
        return MAX_WAIT
    plain = text.replace(".", "", 1).removeprefix("-").isdecimal()
    timeout = float(text) if plain else seconds(text)
    if not _MIN_WAIT <= timeout <= MAX_WAIT:
        raise invalid_argument(
            "invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]"
        )
    return timeout
