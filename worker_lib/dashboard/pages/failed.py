"""The jobs that failed, those with the same cause together; and one such group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.client.inspection import find_jobs
from worker_lib.dashboard.pages.jobs import listed
from worker_lib.dashboard.registry import Page, Query
from worker_lib.errors import JobNotFound
from worker_lib.inspection import as_document
from worker_lib.job import Attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.inspection import FailureGroup

__all__ = ["PAGES"]

_LIMIT = 50
_LOOKED_AT = 1000


def load(query: Query) -> dict[str, Any]:
    """Read the groups: four commands, as a thousand jobs are looked at."""
    wanted = query.get("task", "")
    groups = inspection.failures(limit=_LOOKED_AT)
    return {
        "groups": [_told(one) for one in groups if wanted in {"", one.task}],
        "tasks": sorted({one.task for one in groups}),
        "total": sum(one.total for one in groups),
        "looked_at": _LOOKED_AT,
    }


def load_group(query: Query) -> dict[str, Any]:
    """Read a group and a page of its jobs.

    Raises:
        JobNotFound: none of its jobs is kept any more, or newer ones fill the list.
    """
    found = inspection.failure_group(query["id"], limit=_LOOKED_AT)
    if found is None:
        raise JobNotFound(
            "no job of this group is left: they were run again, deleted, or kept no "
            f"longer; or {_LOOKED_AT:,} others have failed since"
        )
    group, job_ids = found
    start = _start(query.get("from", ""))
    more = start + _LIMIT
    return {
        "group": _told(group),
        "jobs": listed(find_jobs(job_ids[start:more], brief=True)),
        "next": str(more) if more < len(job_ids) else "",
        "is_first": start == 0,
    }


def _told(group: FailureGroup) -> dict[str, Any]:
    kind = Attempt(number=1, outcome=group.kind)
    why = as_document(inspection.explain(kind))
    return {**as_document(group), "why": why}


def _start(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _title(document: Mapping[str, Any]) -> str:
    group = document["group"]
    return f"{group['total']} \u00d7 {group['task'].rpartition(':')[2]}"


PAGES = (
    Page(slug="failed", title="Failed", load=load, order=3, icon="failed"),
    Page(
        slug="failed-group",
        title="Failed",
        load=load_group,
        rule="failed/<id>",
        parent="failed",
        title_of=_title,
    ),
)
