"""Creates the machine of a slot: what it is to be, where, and after which refusals.

The machine's name is made from the slot, so one slot never has two machines: a create
whose reply was lost is looked up and adopted. Refusals that pass are tried again here;
where a region is full, the next one is tried.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from worker_lib.errors import MachinesApiError, NoCapacity
from worker_lib.fly.naming import (
    METADATA_NAMESPACE,
    METADATA_OWNER,
    METADATA_POOL,
    METADATA_SLOT,
    machine_name,
    owner,
)
from worker_lib.fly.protocol import (
    MAX_SUSPENDED_MB,
    PARKING_VARIABLE,
    WORKER_COMMAND,
)
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker_lib.machines.protocol import Machines
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings

__all__ = ["Creation", "machine_config"]

log = get_logger("launcher")

_MAX_ATTEMPTS = 5
# Within this time a machine that is stopped hands its job back.
_STOP_TIMEOUT = "10s"


class Creation:
    """The creation of one slot's machine.

    Args:
        slot: As Redis gave it.
        machines: Of the tasks app.
        is_owed: Says whether the slot still waits for its machine; asked before each
            further attempt.

    Attributes:
        may_exist: A request that failed may have created the machine.
    """

    def __init__(
        self, slot: str, machines: Machines, is_owed: Callable[[str], bool]
    ) -> None:
        self.may_exist = False
        self._slot = slot
        self._name = machine_name(slot)
        self._machines = machines
        self._is_owed = is_owed

    def run(self, regions: Sequence[str], config: dict[str, Any]) -> Machine | None:
        """Return the machine, created in the first region that has room.

        Args:
            regions: In order of preference; none: wherever Fly puts it.
            config: As `machine_config` returns it.

        Returns:
            None if the slot no longer waits for a machine.

        Raises:
            NoCapacity: no region has room.
            MachinesApiError: another refusal, or five that pass in a row.
        """
        refusals = []
        wishes: list[str | None] = [*regions] or [None]
        for region in wishes:
            try:
                return self._run_in(region, config)
            except MachinesApiError as error:
                if error.refusal != "next_region":
                    raise
                refusals.append(f"{region or 'any region'}: {error}")
        raise NoCapacity(
            "no region has room for this machine now; it is tried again while jobs "
            f"wait; add regions to region=[...] ({'; '.join(refusals)})"
        )

    def _run_in(self, region: str | None, config: dict[str, Any]) -> Machine | None:
        create, attempt = self._machines.create_machine, 1
        while attempt == 1 or self._is_owed(self._slot):
            try:
                return create(name=self._name, region=region, config=config)
            except MachinesApiError as error:
                found = self._adopt(error)
                if found is not None:
                    return found
                passes = error.refusal in {"retry", "ambiguous"}
                if not passes or attempt == _MAX_ATTEMPTS:
                    raise
                self._wait(error, attempt)
            attempt += 1
        return None

    def _adopt(self, error: MachinesApiError) -> Machine | None:
        """Return the machine if this refused request, or an earlier one, created it."""
        self.may_exist = self.may_exist or error.refusal == "ambiguous"
        if not self.may_exist:
            return None
        slot = {METADATA_SLOT: self._slot}
        try:
            found = self._machines.find_machine(
                self._name, metadata=slot, refused=error
            )
        except MachinesApiError as unknown:
            if unknown.refusal == "person":
                raise
            facts = {"slot": self._slot, "error": str(unknown)}
            log.warning("lookup_failed", extra=facts)
            return None  # if it exists, the next create is refused for its name
        if found is not None:
            facts = {"slot": self._slot, "machine_id": found.id}
            log.info("machine_adopted", extra=facts)
        return found

    def _wait(self, error: MachinesApiError, attempt: int) -> None:
        facts = {"slot": self._slot, "status": error.status, "attempt": attempt}
        log.warning("create_retried", extra=facts)
        time.sleep(error.retry_after or _backoff(attempt))


def machine_config(
    spec: dict[str, Any], slot: str, pool: str, settings: Settings
) -> dict[str, Any]:
    """Return the config of one machine, in the API's words.

    `restart: no` and `auto_destroy` are explicit: by default a machine restarts up to
    ten times on failure, and `auto_destroy` works only with policy `no`. A machine that
    may be parked must survive its end, so it destroys itself when it is not. The stop
    signal is explicit since it is documented two ways. There is no
    `fly_platform_version` in the metadata, so `fly deploy` leaves the machine alone.

    Source: Machines API, "Machine config"; guide "Machine restart policy"; flyctl,
    internal/command/machine/run.go; fly-go, flaps/flaps_machines.go.
    """
    return {
        "image": spec["image"],
        "env": {
            **spec["env"],
            **_environment(slot, pool, settings),
            **_parking(spec),
        },
        "guest": spec["guest"],
        "init": {"exec": list(WORKER_COMMAND)},
        "restart": {"policy": "no"},
        "auto_destroy": not spec.get("park"),
        "stop_config": {"signal": "SIGTERM", "timeout": _STOP_TIMEOUT},
        "metadata": {
            METADATA_SLOT: slot,
            METADATA_POOL: pool,
            METADATA_NAMESPACE: settings.namespace,
            METADATA_OWNER: owner(settings.namespace, settings.secret),
        },
    }


def _environment(slot: str, pool: str, settings: Settings) -> dict[str, str]:
    env = {
        "WORKER_LIB_SLOT": slot,
        "WORKER_LIB_POOL": pool,
        "WORKER_LIB_NAMESPACE": settings.namespace,
        "WORKER_LIB_LEASE_TTL": str(settings.lease_ttl),
        "WORKER_LIB_MAX_PAYLOAD": str(settings.max_payload_bytes),
        "WORKER_LIB_MAX_OUTPUT": str(settings.max_output_bytes),
        "WORKER_LIB_MAX_LIFETIME": str(settings.max_lifetime),
        # A task that calls tasks follows the settings of calls from outside.
        "WORKER_LIB_MAX_MACHINES": str(settings.max_machines),
        "WORKER_LIB_PARK": str(settings.park),
        "WORKER_LIB_PREVIEWS": settings.previews,
        "WORKER_LIB_RESULT_TTL": str(settings.result_ttl),
        "WORKER_LIB_PENDING_TTL": str(settings.pending_ttl),
        "WORKER_LIB_BOOT_TIMEOUT": str(settings.boot_timeout),
        "WORKER_LIB_MAX_GENERATIONS": str(settings.max_generations),
        "WORKER_LIB_NESTED_RATE": str(settings.nested_rate),
    }
    if settings.hooks:  # else the machine's own secrets may name a module
        env["WORKER_LIB_HOOKS"] = settings.hooks
    return env


def _parking(spec: dict[str, Any]) -> dict[str, str]:
    """Return what a machine needs to know to park itself; nothing if it may not."""
    if not spec.get("park"):
        return {}
    is_small = spec["guest"]["memory_mb"] <= MAX_SUSPENDED_MB
    how = "suspend" if is_small else "stop"
    return {PARKING_VARIABLE: f"{how} {spec['park']} {spec['park_for']:g}"}


def _backoff(attempt: int) -> float:
    longest: float = min(8.0, 0.5 * 2**attempt)
    return random.uniform(longest / 2, longest)
