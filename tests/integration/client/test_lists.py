"""Lists of jobs: filters, pages, and what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jobs as tasks
import pytest
from waiting import until

from worker_lib.client.inspection import find_jobs, iter_jobs, jobs, jobs_page
from worker_lib.errors import ConfigError, JobNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_rig import StoreRig

    from worker_lib.client.client import Client

LATER: Any = {"delay": "1h"}


@pytest.fixture
def unlaunched(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that starts no machine."""
    monkeypatch.setattr(client.launcher, "launch", lambda _slot: None)
    return client


def ids(infos: Iterator[Any] | list[Any]) -> list[str]:
    """Return the ids of jobs."""
    return [info.id for info in infos]


@pytest.mark.usefixtures("unlaunched")
def test_jobs_are_listed_newest_first_page_by_page() -> None:
    """Whole pages, a part of one, and nothing after the last."""
    made = [tasks.add.options(**LATER).delay(1, 2).id for _ in range(25)][::-1]

    first = jobs(limit=10)
    second = jobs(limit=10, after=first[-1])
    third = jobs(limit=10, after=second[-1].id)

    assert [10, 10, 5] == [len(page) for page in (first, second, third)]
    assert made == ids([*first, *second, *third])
    assert [] == jobs(after=third[-1])
    assert made == ids(iter_jobs(page=4))
    assert made == ids(jobs())


@pytest.mark.usefixtures("unlaunched")
def test_a_page_is_not_moved_by_what_comes_and_goes_meanwhile() -> None:
    """No job of before is listed twice or left out."""
    made = [tasks.add.options(**LATER).delay(1, 2) for _ in range(6)][::-1]
    page = jobs(limit=3)
    tasks.add.options(**LATER).delay(1, 2)
    made[0].delete()
    made[3].delete()

    assert ids([*made[4:]]) == ids(jobs(after=page[-1]))


def test_each_filter_leaves_out_what_does_not_fit(client: Client) -> None:
    """Alone and together; every status has its list."""
    failed = tasks.boom.options(tags={"t": "1"}).delay("x")
    good = tasks.add.options(queue="high", tags={"t": "1"}).delay(1, 2)
    assert failed.exception(timeout=20)
    assert 3 == good.result(timeout=20)
    late = tasks.add.options(queue="high", **LATER).delay(1, 2)
    gone = tasks.add.options(**LATER).delay(1, 2)
    gone.cancel()

    for status, job in [
        ("failed", failed),
        ("succeeded", good),
        ("scheduled", late),
        ("cancelled", gone),
    ]:
        assert [job.id] == ids(jobs(status=status))
    assert [] == jobs(status="running")
    assert [late.id, good.id] == ids(jobs(queue="high"))
    assert [gone.id, late.id, good.id] == ids(jobs(task="jobs:add"))
    assert [good.id, failed.id] == ids(jobs(tag="t=1"))
    assert [good.id] == ids(jobs(tag="t=1", status="succeeded", queue="high"))
    assert [] == jobs(tag="t=1", queue="low")


@pytest.mark.usefixtures("unlaunched")
def test_jobs_are_listed_since_a_moment() -> None:
    """Given as a time, or as how long ago."""
    old = tasks.add.options(**LATER).delay(1, 2)
    until(lambda: time.time() > old.info().created_at + 0.5)
    new = tasks.add.options(**LATER).delay(1, 2)
    moment = datetime.fromtimestamp(new.info().created_at, UTC)

    assert [new.id] == ids(jobs(since=moment))
    assert [new.id, old.id] == ids(jobs(since=moment - timedelta(hours=1)))
    assert [new.id, old.id] == ids(jobs(since="1h"))
    assert [new.id] == ids(jobs(since=0.4))
    until(lambda: jobs(since=timedelta(seconds=0.4)) == [])
    assert [] == jobs(since=0)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"status": "fialed"}, "status='fialed': did you mean 'failed'?"),
        ({"queue": "a b"}, "queue='a b' is no name of a queue: use 1 to 64"),
        ({"tag": "tenant"}, "tag='tenant': write it as NAME=VALUE"),
        ({"since": "yesterday"}, "since='yesterday' is not a duration"),
        ({"since": datetime(2026, 1, 1)}, "give it a time zone"),  # noqa: DTZ001
        ({"limit": 0}, "limit=0: use 1 or more"),
    ],
)
def test_a_wrong_filter_is_refused(
    client: Client, filters: dict[str, Any], words: str
) -> None:
    """Instead of finding nothing."""
    with pytest.raises(ConfigError) as caught:
        jobs(**filters)

    assert words in str(caught.value)


def test_a_list_cannot_go_on_after_a_job_that_is_unknown(client: Client) -> None:
    """Else it would begin anew, for ever."""
    with pytest.raises(JobNotFound):
        jobs(after="0" * 20)


@pytest.mark.timeout(300)  # storing so many takes half a minute on a busy computer
def test_twenty_five_thousand_jobs_are_listed_through_pages(
    client: Client, rig: StoreRig
) -> None:
    """None is cut off, whatever the filter, and a page takes no longer than others."""
    made = [
        rig.enqueue(max_machines=1, tags={"n": str(n % 5)})[0] for n in range(25_000)
    ]

    began = time.monotonic()
    listed = ids(iter_jobs())
    whole = time.monotonic() - began
    assert made[::-1] == listed
    assert made[::-1][::5] == ids(iter_jobs(tag="n=4"))
    assert made[::-1] == ids(jobs(status="queued", limit=30_000))
    began = time.monotonic()
    assert made[49::-1] == ids(jobs(after=made[50], limit=50))
    assert time.monotonic() - began < max(1.0, whole / 5)


@pytest.mark.usefixtures("unlaunched")
def test_a_page_of_few_that_fit_is_cut_and_goes_on() -> None:
    """So that no page takes long: it has what 4,000 jobs have, and the rest follows."""
    old = tasks.add.options(tags={"t": "1"}, queue="rare", **LATER).delay(1, 2)
    tasks.add.options(**LATER).delay_many([(1, 2)] * 4100)

    first = jobs_page(queue="rare")
    second = jobs_page(queue="rare", after=first.next)

    assert ((), True) == (first.jobs, first.is_cut)
    assert ([old.id], "", False) == (ids(list(second.jobs)), second.next, second.is_cut)


def test_lists_leave_out_what_attempts_printed(client: Client) -> None:
    """It may be much; who looks at one job gets it."""
    job = tasks.boom.delay("no")
    job.wait(20)
    (listed,), (whole,) = jobs_page().jobs, find_jobs([job.id])

    assert "ValueError: no" == listed.attempts[0].error
    assert ("", "") == (listed.attempts[0].traceback, listed.attempts[0].output)
    assert "raise ValueError(text)" in whole.attempts[0].traceback
