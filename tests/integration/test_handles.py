"""What a handle on a job can tell and do, in any process."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import jobs
import pytest
import redis
from scripts import run_script
from waiting import is_running, text_of, until

from worker_lib import (
    Job,
    JobCancelled,
    JobInfo,
    JobNotFound,
    ResultExpired,
)
from worker_lib.inspection import Preview, previews
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client


def test_a_job_tells_what_it_is(client: Client) -> None:
    """`info()` has task, queue, times and place, and neither arguments nor result."""
    job = jobs.add.options(queue="high").delay(1, 2)
    job.result(timeout=20)
    info = job.info()

    assert ("jobs:add", "high", "succeeded", 1, 1, 0) == (
        info.task,
        info.queue,
        info.status,
        info.attempt,
        info.max_attempts,
        info.lost,
    )
    assert info.started_at is None or info.started_at >= info.created_at
    assert info.ended_at is not None
    assert info.ended_at >= info.created_at
    assert info.final
    assert "" != info.machine_id


def test_progress_is_seen_by_a_watcher_and_by_info(client: Client) -> None:
    """Whoever watches sees each step as it comes, and the end as the last."""
    seen: list[JobInfo] = []
    job = jobs.reports.delay(4)
    watcher = threading.Thread(target=lambda: seen.extend(job.watch(timeout=30)))
    watcher.start()
    halfway = until(lambda: (p := job.info().progress) and p.done >= 2 and p)
    watcher.join(30)

    assert halfway
    assert (4, f"step {halfway.done}") == (halfway.total, halfway.message)
    steps = [info.progress.done for info in seen if info.progress]
    assert sorted(steps) == steps
    assert {2, 3} <= set(steps)
    assert "succeeded" == seen[-1].status
    assert len({(info.status, info.progress) for info in seen}) == len(seen)


def test_watching_a_job_that_is_over_ends_at_once(client: Client) -> None:
    """There is one state to see."""
    job = jobs.add.delay(1, 2)
    job.result(timeout=20)

    assert ["succeeded"] == [info.status for info in job.watch(timeout=5)]


def test_a_queued_job_can_be_cancelled(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """It never runs, and its waiters are told at once."""
    gate = tmp_path / "gate"
    works = jobs.works.options(max_machines=1)
    first = works.delay(str(ledger), gate=str(gate))
    until(lambda: ledger.starts)
    second = works.delay(str(ledger))

    assert second.cancel()
    with pytest.raises(JobCancelled):
        second.result(timeout=2)
    gate.touch()
    first.result(timeout=20)
    assert ("cancelled", 1) == (second.status, len(ledger.starts))


def test_a_running_job_can_be_cancelled(client: Client, tmp_path: Path) -> None:
    """Its `finally` blocks run, and within three seconds its process is gone."""
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    job = jobs.waits_for.delay(str(tmp_path / "never"), str(started), str(cleaned))
    pid = int(text_of(started))

    assert job.cancel()
    began = time.monotonic()
    with pytest.raises(JobCancelled):
        job.result(timeout=2)
    until(lambda: not is_running(pid), within=3)

    assert time.monotonic() - began < 3
    assert cleaned.exists()
    assert ("cancelled", "cancelled") == (job.status, job.attempts[-1].outcome)


def test_a_task_that_ignores_the_cancel_is_killed(
    client: Client, tmp_path: Path
) -> None:
    """Three seconds after the cancel its process is gone, whatever it does."""
    started = tmp_path / "started"

    def clings() -> None:
        started.write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(60)
            except BaseException:  # noqa: BLE001 - that is the point
                continue

    from worker_lib import fly_task

    job = fly_task(clings).delay()
    pid = int(text_of(started))
    job.cancel()

    until(lambda: not is_running(pid), within=4)


def test_a_success_after_the_cancel_is_refused(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """A task that ignores the interrupt and returns has not succeeded."""
    gate = tmp_path / "gate"

    def stubborn() -> str:
        from pathlib import Path

        jobs.works.fn(str(ledger))
        try:
            while not gate.exists():
                time.sleep(0.02)
        except KeyboardInterrupt:
            Path(str(gate) + "-asked").touch()
        return "done all the same"

    from worker_lib import fly_task

    job = fly_task(stubborn).delay()
    until(lambda: ledger.ends)
    job.cancel()
    until((tmp_path / "gate-asked").exists)
    until(lambda: not is_running(ledger.starts[0].supervisor))

    with pytest.raises(JobCancelled):
        job.result(timeout=2)
    assert "cancelled" == job.status


def test_a_job_that_is_over_cannot_be_cancelled(client: Client) -> None:
    """`cancel` says False, and the outcome stays."""
    job = jobs.add.delay(1, 2)
    job.result(timeout=20)

    assert not job.cancel()
    assert 3 == job.result(timeout=1)
    assert "succeeded" == job.status


def test_cancelling_twice_is_cancelling_once(client: Client) -> None:
    """The first call did it; the second finds the job final."""
    job = jobs.add.options(delay="1h").delay(1, 2)

    assert (True, False) == (job.cancel(), job.cancel())


def test_a_job_is_found_from_another_process(client: Client) -> None:
    """An id is all that another program needs to get the value."""
    job = jobs.add.delay(40, 2)
    found = run_script(
        f"from worker_lib import Job; print(Job.get({job.id!r}).result(timeout=20))",
        client,
    )

    assert "42\n" == found


def test_an_unknown_id_is_told_from_a_lost_job(client: Client) -> None:
    """What was never stored is not found, whatever is asked of it."""
    with pytest.raises(JobNotFound, match="there is no job 0123456789"):
        Job.get("0123456789")
    stray: Job[object] = Job("0123456789", client)
    with pytest.raises(JobNotFound):
        stray.info()
    with pytest.raises(JobNotFound):
        stray.cancel()
    with pytest.raises(JobNotFound):
        stray.result(timeout=1)


def test_a_result_is_kept_for_its_ttl_and_no_longer(client: Client) -> None:
    """Later the job still tells how it ended, and that its result is gone."""
    job = jobs.add.options(result_ttl=1).delay(1, 2)

    assert 3 == job.result(timeout=20)
    until(lambda: not _exists(client, f"out:{job.id}"), within=5)
    with pytest.raises(ResultExpired, match="raise result_ttl"):
        job.result(timeout=1)
    assert "succeeded" == job.status


def test_nothing_is_kept_without_a_time_to_live(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """Every key that jobs leave behind will be gone one day, by itself."""
    task = jobs.add.options(max_machines=2)
    for job in [task.delay(n) for n in range(4)]:
        job.result(timeout=20)
    with pytest.raises(ValueError, match="no"):
        jobs.boom.delay("no").result(timeout=20)
    jobs.add.options(delay="1h").delay(1).cancel()
    waiting = jobs.add.options(delay="1h").delay(1)

    for_ever = [key for key in redis_keys("*") if _ttl(client, key) == -1]
    # One key per namespace that has members only while something is to be looked at.
    assert ["timers"] == for_ever
    assert "scheduled" == waiting.status


def _exists(client: Client, key: str) -> bool:
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        return bool(connection.exists(_whole(client, key)))


def _ttl(client: Client, key: str) -> int:
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        return int(connection.ttl(_whole(client, key)))


def _whole(client: Client, key: str) -> str:
    return f"{key_prefix(client.settings.namespace)}:{key}"


def test_a_handle_pickles_as_its_id(client: Client) -> None:
    """A job can be sent to another process, or to a task, as any value can."""
    import pickle

    job = jobs.add.delay(1, 2)
    again = pickle.loads(pickle.dumps(job))

    assert job == again
    assert 3 == again.result(timeout=20)


class TestPreviews:
    """Arguments and results as text, for pages."""

    def test_show_what_a_job_was_called_with_and_returned(self, client: Client) -> None:
        """Before it has run the arguments alone; of a batch's jobs, too."""
        waits = jobs.add.options(delay="1h").delay(1, b=2)
        done = jobs.add.delay(3, 4)
        batch = jobs.add.delay_many([(5, 6), (7, 8)])
        assert 7 == done.result(timeout=20)
        assert [11, 15] == list(batch.results(timeout=20))
        ids = [waits.id, done.id, *(job.id for job in batch.jobs()), "0" * 20]

        assert [
            Preview("a=1, b=2", None),
            Preview("a=3, b=4", "7"),
            Preview("a=5, b=6", "11"),
            Preview("a=7, b=8", "15"),
            Preview(None, None),
        ] == previews(ids)

    def test_follow_an_edit_and_a_retry(self, client: Client) -> None:
        """What is shown is what will run."""
        job = jobs.add.options(delay="1h").delay(1, 2)
        job.edit(args=(8, 9))
        assert [Preview("a=8, b=9", None)] == previews([job.id])
        job.cancel()
        again = job.retry()

        assert [Preview("a=8, b=9", None)] == previews([again.id])

    def test_are_not_made_where_a_task_says_so(self, client: Client) -> None:
        """Neither of the arguments nor of the result."""
        job = jobs.add.options(preview=False).delay(1, 2)
        assert 3 == job.result(timeout=20)

        assert [Preview(None, None)] == previews([job.id])

    def test_of_another_are_not_shown(self, client: Client) -> None:
        """Who can write to Redis cannot have a page show a text."""
        ours, other = (jobs.add.options(delay="1h").delay(1, n) for n in range(2))
        prefix = key_prefix(client.settings.namespace)
        with redis.Redis.from_url(client.settings.redis_url) as server:
            call = server.hget(f"{prefix}:job:{other.id}", "call")
            assert isinstance(call, bytes)
            server.hset(f"{prefix}:job:{ours.id}", "call", call)

        assert ["[not signed with our secret]"] == [p.args for p in previews([ours.id])]
