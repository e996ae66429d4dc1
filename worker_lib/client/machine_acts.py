"""What people do with a machine: stop it, or destroy it; its jobs are not lost.

A machine that is stopped hands its jobs back by itself. One that is destroyed cannot:
Redis is told to doubt it, and a sweep finds it gone, as if its lease had ended.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from worker_lib.client.client import default_client
from worker_lib.client.inspection import find_jobs, machines_api
from worker_lib.errors import ConfigError
from worker_lib.fly.naming import METADATA_SLOT
from worker_lib.fly.states import PARKED
from worker_lib.own_machines import OwnMachines

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.client.client import Client
    from worker_lib.job import JobInfo
    from worker_lib.machines.types import Machine

__all__ = ["destroy_machine", "stop_machine"]

# Within this time a machine that is stopped hands its jobs back, or is killed.
_STOP_TIMEOUT = 10.0
_GIVEN_UP_WITHIN, _LOOK_EVERY = 15.0, 0.1


def stop_machine(machine_id: str, *, foreign: bool = False) -> list[JobInfo]:
    """Stop a machine; return the jobs that it had, as they are afterwards.

    It hands them back, and they run again elsewhere without an attempt being charged;
    one that may not run twice fails. Returns when it has, or after 15 seconds.

    Args:
        machine_id: Of a machine of this namespace.
        foreign: Of any machine in the app.

    Raises:
        ConfigError: it is not ours, or does not run.
        MachineNotFound: Fly has no such machine.
        MachinesApiError: Fly refuses, or does not answer.
        StoreUnavailable: Redis cannot be reached.
    """
    client = default_client()
    slot, machine = _found(client, machine_id, foreign=foreign)
    if machine.has_ended or machine.state in PARKED:
        raise ConfigError(
            f"machine {machine_id} is {machine.state}, so there is nothing to stop; to "
            f"be rid of it: worker-lib machines destroy {machine_id}"
        )
    job_ids = _jobs_on(client, slot)
    api = machines_api(client.settings)
    api.stop_machine(machine_id, signal="SIGTERM", timeout=_STOP_TIMEOUT)
    _await(lambda: not _running_on(machine_id, job_ids))
    client.catch_up()
    return find_jobs(job_ids)


def destroy_machine(machine_id: str, *, foreign: bool = False) -> list[JobInfo]:
    """Destroy a machine at once; return the jobs that it had, as they are afterwards.

    They are lost with it: they run again, or fail if they may not run twice.

    Args:
        machine_id: Of a machine of this namespace.
        foreign: Of any machine in the app.

    Raises:
        ConfigError: it is not ours.
        MachineNotFound: Fly has no such machine.
        MachinesApiError: Fly refuses, or does not answer.
        StoreUnavailable: Redis cannot be reached.
    """
    client = default_client()
    slot, _ = _found(client, machine_id, foreign=foreign)
    job_ids = _jobs_on(client, slot)
    machines_api(client.settings).destroy_machine(machine_id)
    _await(lambda: _is_given_up(client, slot, machine_id))
    return find_jobs(job_ids)


def _found(client: Client, machine_id: str, *, foreign: bool) -> tuple[str, Machine]:
    """Return a machine and its slot; "" if it is none of ours."""
    settings = client.settings
    own = OwnMachines(lambda: machines_api(settings), settings)
    machine = own.get(machine_id)
    slot = machine.metadata.get(METADATA_SLOT, "")
    if own.ownership(slot, machine) == "ours":
        return slot, machine
    if not foreign:
        raise ConfigError(
            f"machine {machine_id} ({machine.name or 'nameless'}) was not created for "
            f"namespace {settings.namespace!r}: it is left alone without --yes"
        )
    return "", machine


def _jobs_on(client: Client, slot: str) -> list[str]:
    if not slot:
        return []
    _, slots = client.store.views.slots()
    held = [one.about["holds"] for one in slots if one.slot == slot]
    pairs = [pair for holds in held for pair in holds.split(",") if pair]
    return [pair.partition(":")[0] for pair in pairs]


def _running_on(machine_id: str, job_ids: list[str]) -> list[JobInfo]:
    return [
        info
        for info in find_jobs(job_ids)
        if info.status == "running" and info.machine_id == machine_id
    ]


def _is_given_up(client: Client, slot: str, machine_id: str) -> bool:
    if not slot or not client.store.strays.doubt(slot, machine_id):
        return True
    client.sweeper.sweep()
    return False


def _await(is_done: Callable[[], bool]) -> None:
    """Wait until it is done, for some seconds at most."""
    deadline = time.monotonic() + _GIVEN_UP_WITHIN
    while not is_done() and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
