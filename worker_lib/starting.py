"""Starts the parked machine of a slot again, or finds out that it cannot be.

A machine parks itself, so its end may not have come yet: while it is still stopping or
suspending, Fly refuses the start or takes it for one of a machine that runs. It is
asked again then, until it has come. Fly limits starts for each machine alone.

Source: "Working with the Machines API", "Rate Limits".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from worker_lib.errors import MachineConflict, MachinesApiError
from worker_lib.fly.states import PARKED
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.machines.protocol import Machines
    from worker_lib.machines.types import Machine

__all__ = ["Start"]

log = get_logger("launcher")

# Seconds. A start was seen to be refused for so long after a stop; meanwhile another
# machine could have been created.
_PATIENCE = 8.0
# After so many starts in a row Fly allows one a second.
_PAUSES = (0.2, 0.5)
_LONGEST_PAUSE = 1.1


class Start:
    """The start of one slot's parked machine.

    Args:
        slot: As Redis gave it.
        machine: As Fly shows it now.
        machines: Of the tasks app.
        is_owed: Says whether the slot still waits for its machine.
    """

    def __init__(
        self,
        slot: str,
        machine: Machine,
        machines: Machines,
        is_owed: Callable[[str], bool],
    ) -> None:
        self._slot = slot
        self._machine = machine
        self._machines = machines
        self._is_owed = is_owed

    def run(self) -> str:
        """Start the machine; return "", or why another has to take its place.

        Raises:
            MachinesApiError: nothing is known of the machine: the token is refused, or
                the API does not answer.
        """
        if self._machine.is_gone:
            return f"machine {self._machine.id} is {self._machine.state}"
        if self._machine.host_status == "unreachable":
            return f"the host of machine {self._machine.id} is unreachable"
        return self._run()

    def _run(self) -> str:
        began, attempt = time.monotonic(), 0
        while True:
            refused = self._ask()
            if refused is None:
                return ""
            if refused.refusal == "next_region" or refused.status == 404:
                return str(refused)
            if time.monotonic() - began > _PATIENCE:
                return self._given_up(refused)
            self._wait(attempt, refused)
            if not self._is_owed(self._slot):  # it has taken a job
                return ""
            attempt += 1

    def _ask(self) -> MachinesApiError | None:
        """Start it; return why it will not come, or None if it will.

        Raises:
            MachinesApiError: the token is refused.
        """
        try:
            was = self._machines.start_machine(self._machine.id)
        except MachinesApiError as error:
            if error.refusal == "person" and error.status != 404:
                raise
            return error
        if was in PARKED:
            return None
        return MachineConflict(
            f"machine {self._machine.id} has not parked yet (its state was {was})",
            status=412,
            refusal="retry",
        )

    def _given_up(self, refused: MachinesApiError) -> str:
        if refused.status in {409, 412}:
            return str(refused)
        raise refused

    def _wait(self, attempt: int, refused: MachinesApiError) -> None:
        facts = {"slot": self._slot, "status": refused.status, "attempt": attempt + 1}
        log.info("start_retried", extra=facts)
        pause = _PAUSES[attempt] if attempt < len(_PAUSES) else _LONGEST_PAUSE
        time.sleep(refused.retry_after or pause)
