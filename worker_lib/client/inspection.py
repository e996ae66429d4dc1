"""The read side: what jobs there are, and machines. Never unpickles anything."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from worker_lib.client.client import default_client
from worker_lib.errors import MachineNotFound, MachineWaitTimeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.job import JobInfo
    from worker_lib.machines.api import MachinesApi
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings

__all__ = ["find_jobs", "find_machine", "recent_jobs"]

_LOOK_SECONDS = 3.0


def recent_jobs(limit: int = 20) -> list[JobInfo]:
    """Return the newest jobs of this namespace, newest first.

    Two commands to Redis. Jobs that Redis has forgotten are left out.

    Args:
        limit: At most so many, 1 to 1000.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    store = default_client().store
    job_ids = store.recent(max(1, min(limit, 1000)))
    return [seen.info for seen in store.look(*job_ids) if seen is not None]


def find_jobs(job_ids: Sequence[str]) -> list[JobInfo]:
    """Return those of these jobs that Redis has, in the same order.

    One command to Redis, or none for no ids.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    if not job_ids:
        return []
    seen = default_client().store.look(*job_ids)
    return [one.info for one in seen if one is not None]


def find_machine(machine_id: str, *, gone_within: float = 0.0) -> Machine | None:
    """Return what the Machines API has of a machine that ran a job.

    None if it has nothing any more, as some time after a machine's end.

    Args:
        gone_within: Seconds to wait for the machine's end first, in one request; sent
            as whole seconds, 60 at most. 0: do not wait.

    Raises:
        MachinesApiError: it refuses, or does not answer.
        ConfigError: this process has no token, or knows no app.
    """
    api = _machines(default_client().settings)
    try:
        if gone_within:
            with suppress(MachineWaitTimeout):
                return api.wait_until_destroyed(machine_id, gone_within)
        return api.get_machine(machine_id)
    except MachineNotFound:
        return None


@lru_cache(maxsize=1)
def _machines(settings: Settings) -> MachinesApi:
    """Return a client that gives up sooner than one that launches: somebody looks."""
    from worker_lib.machines.api import MachinesApi  # noqa: PLC0415 - costly

    settings.require_machines()
    return MachinesApi(
        settings.api_hostname,
        settings.fly_api_token,
        settings.fly_app,
        timeout=_LOOK_SECONDS,
    )
