"""The read side: what jobs there are, and machines. Never unpickles anything."""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from worker_lib import labels
from worker_lib.checks import choice, seconds, stripped
from worker_lib.client.client import default_client
from worker_lib.errors import (
    ConfigError,
    MachineNotFound,
    MachineWaitTimeout,
    Problem,
)
from worker_lib.job import MOVES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from worker_lib.job import JobInfo
    from worker_lib.machines.api import MachinesApi
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings

__all__ = [
    "JobsPage",
    "find_jobs",
    "find_machine",
    "iter_jobs",
    "jobs",
    "jobs_page",
    "machines_api",
]

_LOOK_SECONDS = 3.0
_MAX_PAGE = 400
# Commands that look through jobs for one page of those that fit: 4,000 jobs at most.
_MAX_PARTS = 10
_STATUSES = tuple(dict.fromkeys(move.target for move in MOVES))


class JobsPage(NamedTuple):
    """A page of a list of jobs.

    Attributes:
        jobs: Those that fit, newest first, each with its last attempt alone.
        next: What the next page begins `after`; "" if this is the last one.
        is_cut: Whether there may be more, though it has fewer than were asked for: so
            few jobs fit that it would take long to look for them.
    """

    jobs: tuple[JobInfo, ...]
    next: str
    is_cut: bool


def jobs_page(
    *,
    status: str | None = None,
    queue: str | None = None,
    task: str | None = None,
    tag: str | None = None,
    since: float | str | timedelta | datetime | None = None,
    after: str = "",
    limit: int = 50,
) -> JobsPage:
    """Return a page of what `jobs` would return, within a bounded time.

    Args:
        status: As `jobs` takes it, like the next four.
        queue: Likewise.
        task: Likewise.
        tag: Likewise.
        since: Likewise.
        after: `next` of the page before.
        limit: At most so many.

    Raises:
        ConfigError: one of these cannot be.
        StoreUnavailable: Redis cannot be reached.
    """
    store = default_client().store
    filters = _filters(status=status, queue=queue, task=task, tag=tag)
    start, cursor = _moment(since), _place(after)
    budget = _MAX_PAGE if any(filters.values()) else limit + 1
    job_ids: list[str] = []
    for _ in range(_MAX_PARTS):
        found = store.find(**filters, since=start, cursor=cursor, budget=budget)
        job_ids += found.job_ids
        cursor = found.cursor
        if cursor is None or len(job_ids) > limit:
            break
    shown = tuple(find_jobs(job_ids[:limit], brief=True))
    if len(job_ids) > limit and shown:
        return JobsPage(shown, "-".join(_cursor(shown[-1]) or ()), is_cut=False)
    return JobsPage(shown, "-".join(cursor or ()), is_cut=cursor is not None)


def jobs(
    *,
    status: str | None = None,
    queue: str | None = None,
    task: str | None = None,
    tag: str | None = None,
    since: float | str | timedelta | datetime | None = None,
    limit: int = 50,
    after: JobInfo | str | None = None,
) -> list[JobInfo]:
    """Return jobs of this namespace, newest first; those to which all of it applies.

    Args:
        status: As `JobInfo.status` has it.
        queue: Name of a queue.
        task: `module:name` of a task.
        tag: `name=value`.
        since: Created at this time or later, or no longer ago than this duration.
        limit: At most so many.
        after: The last job of the page before, or its id.

    Raises:
        ConfigError: one of these cannot be.
        JobNotFound: Redis has no job `after`, or no longer has it.
        StoreUnavailable: Redis cannot be reached.
    """
    if limit < 1:
        raise ConfigError(Problem(f"limit={limit!r}", "use 1 or more", "limit"))
    found = iter_jobs(
        status=status,
        queue=queue,
        task=task,
        tag=tag,
        since=since,
        after=after,
        page=limit,
    )
    return list(itertools.islice(found, limit))


def iter_jobs(
    *,
    status: str | None = None,
    queue: str | None = None,
    task: str | None = None,
    tag: str | None = None,
    since: float | str | timedelta | datetime | None = None,
    after: JobInfo | str | None = None,
    page: int = _MAX_PAGE,
) -> Iterator[JobInfo]:
    """Yield all jobs that `jobs` would return without a limit, a page at a time.

    A job that is stored meanwhile is not among them; each is as it was when its page
    was read.

    Args:
        page: How many jobs Redis looks at in one command; 400 at most.
    """
    store = default_client().store
    filters = _filters(status=status, queue=queue, task=task, tag=tag)
    # What is left out costs Redis less than a further command.
    budget = _MAX_PAGE if any(filters.values()) else min(page, _MAX_PAGE)
    start = _moment(since)
    cursor = _cursor(after)
    while True:
        found = store.find(**filters, since=start, cursor=cursor, budget=budget)
        yield from find_jobs(found.job_ids)
        if found.cursor is None:
            return
        cursor = found.cursor


def find_jobs(job_ids: Sequence[str], *, brief: bool = False) -> list[JobInfo]:
    """Return those of these jobs that Redis has, in the same order.

    A command to Redis for each 50 of them.

    Args:
        job_ids: The jobs.
        brief: Only with the last attempt, and not with what it printed and raised.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    if not job_ids:
        return []
    return default_client().store.views.jobs(job_ids, brief=brief)


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
    api = machines_api(default_client().settings)
    try:
        if gone_within:
            with suppress(MachineWaitTimeout):
                return api.wait_until_destroyed(machine_id, gone_within)
        return api.get_machine(machine_id)
    except MachineNotFound:
        return None


def _filters(**wanted: str | None) -> dict[str, str]:
    """Return the filters that are set, each checked."""
    checks = {
        "status": choice(*_STATUSES),
        "queue": labels.queue_name,
        "tag": labels.tag_text,
    }
    return {
        name: checks.get(name, stripped)(value, name)
        for name, value in wanted.items()
        if value is not None
    }


def _moment(since: float | str | timedelta | datetime | None) -> float:
    """Return seconds since the epoch; below zero so many seconds ago."""
    if since is None:
        return 0.0
    if isinstance(since, datetime):
        if since.tzinfo is None:
            remedy = "give it a time zone, as datetime.now(UTC)"
            raise ConfigError(Problem(f"since={since!r}", remedy, "since"))
        return since.timestamp()
    # Zero would be the beginning of all times.
    return -max(1e-6, seconds(since, "since"))


def _cursor(after: JobInfo | str | None) -> tuple[str, str] | None:
    if after is None:
        return None
    info = default_client().look(after).info if isinstance(after, str) else after
    return f"{info.created_at:.6f}", info.id


def _place(after: str) -> tuple[str, str] | None:
    """Return the cursor that `JobsPage.next` stands for."""
    if not after:
        return None
    created, _, job_id = after.partition("-")
    if not (created.replace(".", "", 1).isdigit() and job_id.isalnum()):
        remedy = "go back to the newest jobs"
        raise ConfigError(Problem(f"after={after!r} is no place in a list", remedy))
    return created, job_id


@lru_cache(maxsize=1)
def machines_api(settings: Settings) -> MachinesApi:
    """Return a client that gives up sooner than one that launches: somebody looks.

    Raises:
        ConfigError: this process has no token, or knows no app.
    """
    from worker_lib.machines.api import MachinesApi  # noqa: PLC0415 - costly

    settings.require_machines()
    return MachinesApi(
        settings.api_hostname,
        settings.fly_api_token,
        settings.fly_app,
        timeout=_LOOK_SECONDS,
    )
