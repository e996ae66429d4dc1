"""The list of jobs: by status, queue, task, tag and age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.client.job_acts import MOST_AT_ONCE
from worker_lib.dashboard.kept import kept
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.job import JobInfo

__all__ = ["FILTERS", "PAGE", "listed"]

FILTERS = ("status", "queue", "task", "tag", "since")
_LIMIT = 50
_COUNTS_SECONDS = 10.0
# What a job's own page tells.
_APART = ("attempts", "pool", "key", "trouble")


def load(query: Query) -> dict[str, Any]:
    """Read the page: three commands, and more where few jobs fit the filters."""
    wanted = {name: query.get(name) for name in FILTERS}
    after = query.get("after", "")
    found = inspection.jobs_page(**wanted, after=after, limit=_LIMIT)
    now = kept("overview", _COUNTS_SECONDS, inspection.overview)
    return {
        "jobs": listed(found.jobs),
        "next": found.next,
        "is_cut": found.is_cut,
        "is_first": not after,
        "filters": wanted,
        "counts": {**now.counts, "succeeded": _succeeded(now)},
        "total": now.jobs,
        "queues": [one.name for one in now.queues],
        "most_at_once": MOST_AT_ONCE,
    }


def _succeeded(now: inspection.Overview) -> int:
    """Return how many that succeeded are kept: there is no list of them alone."""
    others = (count for name, count in now.counts.items() if name != "succeeded")
    return max(0, now.jobs - sum(others))


def listed(jobs: Sequence[JobInfo]) -> list[dict[str, Any]]:
    """Return jobs as rows of a list, with their arguments as far as they are shown."""
    shown = inspection.previews([info.id for info in jobs])
    return [_row(info, one.args) for info, one in zip(jobs, shown, strict=True)]


def _row(info: JobInfo, args: str | None) -> dict[str, Any]:
    row: dict[str, Any] = as_document(info)
    for name in _APART:
        del row[name]
    ran = None
    if info.started_at is not None and info.ended_at is not None:
        ran = max(0.0, info.ended_at - info.started_at)
    return {**row, "args": args, "ran_s": ran, "trouble": info.trouble}


PAGE = Page(slug="jobs", title="Jobs", load=load, order=2, icon="list")
