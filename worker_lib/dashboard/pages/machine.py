"""One machine: what it does, what it cost, and what Fly tells about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.client.client import default_client
from worker_lib.client.inspection import find_jobs
from worker_lib.dashboard.registry import Page, Query
from worker_lib.errors import ConfigError, MachineError, MachineNotFound
from worker_lib.inspection import as_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.job import JobInfo

__all__ = ["PAGE"]

_ID = re.compile(r"[0-9a-z]{4,40}")
_MOST_EXITS = 200


def load(query: Query) -> dict[str, Any]:
    """Read what Redis has: three commands for 50 pools.

    Raises:
        MachineNotFound: no machine has such an id.
    """
    wanted = query["id"]
    if not _ID.fullmatch(wanted):
        raise MachineNotFound(f"{wanted!r} is no id of a machine")
    seen = next(
        (one for one in inspection.machines() if one.machine_id == wanted), None
    )
    exits = [one for one in inspection.exits(_MOST_EXITS) if one.machine_id == wanted]
    jobs = find_jobs(seen.job_ids) if seen else []
    return {
        "machine_id": wanted,
        "machine": as_document(seen),
        "jobs": [_job(info) for info in jobs],
        "exits": as_document(exits),
        "max_lifetime": default_client().settings.max_lifetime,
    }


def _job(info: JobInfo) -> dict[str, Any]:
    names = ("id", "task", "status", "queue", "attempt", "started_at")
    return {
        name: inspection.moment(getattr(info, name))
        if name.endswith("_at")
        else getattr(info, name)
        for name in names
    }


def ask_fly(query: Query) -> dict[str, Any]:
    """Ask Fly about the machine, in one request that takes some seconds at most."""
    try:
        found = inspection.machine_at_fly(query["id"])
    except (MachineError, ConfigError) as error:
        return {"machine": None, "trouble": str(error)}
    return {"machine": as_document(found), "trouble": ""}


def _title(page: Mapping[str, Any]) -> str:
    return f"Machine {page['machine_id']}"


PAGE = Page(
    slug="machine",
    title="Machine",
    load=load,
    rule="machines/<id>",
    parent="machines",
    title_of=_title,
    once=ask_fly,
)
