"""What people do with jobs that are stored: retry, edit, move, put first, delete."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import jobs
import pytest
import redis
from waiting import until

from worker_lib import (
    ArgumentsNotEncodable,
    ConfigError,
    Job,
    JobCancelled,
    JobError,
    JobNotFound,
    Retry,
    TaskNotRegistered,
    fly_task,
)
from worker_lib.client import client as client_module
from worker_lib.client.inspection import jobs as list_jobs
from worker_lib.client.queues import Queue
from worker_lib.errors import PayloadError, PayloadTooLarge, SignatureMismatch
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client

LATER: Any = {"delay": "1h"}
_UNPICKLED: list[str] = []


class Trap:
    """Notes where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _sprung, ()


def _sprung() -> None:
    _UNPICKLED.append("sprung")


def record_key(client: Client, job: Job[Any]) -> tuple[Any, str]:
    """Return a connection and the key of a job's record."""
    connection: Any = redis.Redis.from_url(client.settings.redis_url)
    return connection, f"{key_prefix(client.settings.namespace)}:job:{job.id}"


def test_a_failed_job_runs_again_with_the_same_call(
    client: Client, tmp_path: Path
) -> None:
    """As a new job, with the options and tags of the old one; each names the other."""
    path = tmp_path / "runs"
    task = jobs.succeeds_at_last.options(
        retry=1, queue="high", priority=7, tags={"tenant": "x"}, key="k"
    )
    failed = task.delay(str(path), tries=2)
    assert isinstance(failed.exception(timeout=20), OSError)

    again = failed.retry()

    assert 2 == again.result(timeout=20)
    old, new = failed.info(), again.info()
    assert (again.id, failed.id) == (old.retried_as, new.retry_of)
    assert ("failed", "succeeded") == (old.status, new.status)
    for name in ("task", "queue", "priority", "tags", "key", "pool", "max_attempts"):
        assert getattr(old, name) == getattr(new, name)
    assert 1 == new.attempt


def test_a_cancelled_and_an_expired_job_run_again(client: Client) -> None:
    """Neither ran, so both have their call."""
    cancelled = jobs.add.options(**LATER).delay(1, 2)
    cancelled.cancel()
    Queue("bulk").pause()
    expired = jobs.add.options(queue="bulk", expires="0.2s").delay(3, 4)
    until(lambda: expired.status == "expired")
    Queue("bulk").resume()

    assert 3 == cancelled.retry().result(timeout=20)
    assert "0.2" == client.store.record(expired.id)["pending"].decode()
    Queue("bulk").pause()
    again = expired.retry()
    until(lambda: again.status == "expired")


def test_a_function_sent_by_value_runs_again(client: Client, tmp_path: Path) -> None:
    """Its code is kept as long as the job that failed."""
    path = tmp_path / "runs"

    def flaky() -> str:
        with path.open("a+") as file:
            file.write("x")
            file.seek(0)
            if len(file.read()) < 2:
                raise OSError("first")
        return "done"

    flaky.__module__ = "__main__"
    failed = fly_task(flaky).delay()
    assert isinstance(failed.exception(timeout=20), OSError)
    connection, key = record_key(client, failed)
    code = f"{key.rpartition(':job:')[0]}:code:{connection.hget(key, 'code').decode()}"

    assert connection.ttl(code) > client.settings.result_ttl
    assert "done" == failed.retry().result(timeout=20)
    connection.delete(code)
    with pytest.raises(JobError, match="Redis no longer has its code; call the task"):
        failed.retry()


def test_a_pool_that_redis_has_forgotten_is_named(client: Client) -> None:
    """What its machines are to be is known to who calls the task."""
    job = jobs.add.options(**LATER).delay(1, 2)
    job.cancel()
    connection, key = record_key(client, job)
    connection.delete(f"{key.rpartition(':job:')[0]}:pool:{job.info().pool}")

    with pytest.raises(JobError, match="Redis no longer has its pool; call the task"):
        job.retry()


def test_two_retries_of_one_job_are_one_job(client: Client) -> None:
    """While that one is under way; once it has ended there may be another."""
    failed = jobs.add.options(**LATER).delay(1, 2)
    failed.cancel()
    Queue("default").pause()
    barrier, made = threading.Barrier(8), []

    def retry() -> None:
        barrier.wait()
        made.append(failed.retry().id)

    threads = [threading.Thread(target=retry) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (8, 1) == (len(made), len(set(made)))
    again = Job.get(made[0])
    again.cancel()
    assert again.id != failed.retry().id


def test_a_job_with_a_key_for_a_time_runs_again_within_it(client: Client) -> None:
    """The key is its own; from then on it is the new job's."""
    task = jobs.boom.options(key="k", unique_for="1h")
    failed = task.delay("x")
    assert failed.exception(timeout=20)
    assert failed == task.delay("x")

    again = failed.retry()

    assert failed != again
    assert again.exception(timeout=20)


@pytest.mark.parametrize("status", ["scheduled", "running", "succeeded"])
def test_what_has_not_failed_is_not_run_again(
    client: Client, tmp_path: Path, status: str
) -> None:
    """A job that succeeded has done its work, and its call is gone."""
    gate = tmp_path / "gate"
    delay = "1h" if status == "scheduled" else 0
    job = jobs.waits_for.options(delay=delay).delay(str(gate))
    if status == "succeeded":
        gate.touch()
    until(lambda: job.status == status)

    with pytest.raises(JobError, match=f"is {status}: only one that failed"):
        job.retry()
    gate.touch()


def test_a_retry_neither_unpickles_a_call_nor_signs_what_is_not_genuine(
    client: Client,
) -> None:
    """Whoever writes to Redis gets nothing signed by having a job retried."""
    job = jobs.echo.options(**LATER).delay(Trap())
    other = jobs.echo.options(**LATER).delay(1)
    job.cancel()
    _UNPICKLED.clear()
    Queue("default").pause()

    again = job.retry()
    assert [] == _UNPICKLED
    again.cancel()
    connection, key = record_key(client, job)
    _, other_key = record_key(client, other)
    for field, value in [
        ("call", connection.hget(other_key, "call")),
        ("task", b"jobs:boom"),
        ("policy", connection.hget(key, "policy") + b" "),
        ("timeout", b"86400"),
    ]:
        genuine = connection.hget(key, field)
        connection.hset(key, field, value)
        with pytest.raises(SignatureMismatch):
            job.retry()
        connection.hset(key, field, genuine)
    assert job.retry().id


def test_the_arguments_of_a_waiting_job_are_edited(client: Client) -> None:
    """All positional ones, all named ones, or both; the rest stays."""
    first, second = (jobs.add.options(**LATER).delay(1, b=2) for _ in range(2))
    first.edit(args=[10])
    second.edit(args=(), kwargs={"a": 20, "b": 30})
    for job in (first, second):
        job.edit(delay=0)

    assert (12, 50) == (first.result(timeout=20), second.result(timeout=20))


def test_an_edit_keeps_what_else_a_call_has(client: Client, tmp_path: Path) -> None:
    """Its retries above all: they travel with the arguments."""
    path = tmp_path / "runs"
    job = jobs.succeeds_at_last.options(**LATER).delay("nowhere", tries=1)

    job.edit(args=[str(path)], kwargs={"tries": 2}, delay=0)

    assert 2 == job.result(timeout=20)


def test_a_method_is_edited_with_its_instance(client: Client) -> None:
    """It is the first argument, since it travels along."""
    job = jobs.Account(1).add.options(**LATER).delay(5)

    job.edit(args=[jobs.Account(100), 7], delay=0)

    assert 107 == job.result(timeout=20)


def test_a_function_sent_by_value_is_edited(client: Client) -> None:
    """Its signature is not at hand; its machine checks it."""

    def local(value: int) -> int:
        return value + 1

    local.__module__ = "__main__"
    job = fly_task(local).options(**LATER).delay(1)

    job.edit(args=[41], delay=0)

    assert 42 == job.result(timeout=20)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({}, ConfigError, r"edit\(\) has nothing to change: give args="),
        ({"first": False}, ConfigError, "nothing to change"),
        ({"queue": "a b"}, ConfigError, "queue='a b' is no name of a queue"),
        ({"priority": 101}, ConfigError, "priority=101: use a whole number"),
        ({"delay": "soon"}, ConfigError, "delay='soon' is not a duration"),
        ({"args": [1, 2, 3]}, TypeError, "jobs:add cannot be called so: too many"),
        ({"kwargs": {"c": 1}}, TypeError, "unexpected keyword argument 'c'"),
        ({"args": [threading.Lock()]}, ArgumentsNotEncodable, "is a lock"),
        ({"args": [os.urandom(9_000_000)]}, PayloadTooLarge, "jobs:add: the call is"),
    ],
)
def test_a_wrong_edit_is_refused_and_changes_nothing(
    client: Client, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    """As the call itself would be."""
    job = jobs.add.options(**LATER).delay(1, 2)
    before = client.store.record(job.id)

    with pytest.raises(error, match=words):
        job.edit(**changes)
    assert before == client.store.record(job.id)


def test_arguments_that_cannot_be_loaded_here_are_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit needs the modules of who made the call."""
    job = jobs.echo.options(**LATER).delay(jobs.OwnError("x", 1))
    monkeypatch.delattr(jobs, "OwnError")

    with pytest.raises(PayloadError, match="cannot be loaded here"):
        job.edit(args=[1])
    job.edit(queue="high")
    assert "high" == job.info().queue


def test_only_a_genuine_call_is_loaded_for_an_edit(client: Client) -> None:
    """What somebody else wrote to Redis is never unpickled."""
    job = jobs.echo.options(**LATER).delay(1)
    trap = jobs.echo.options(**LATER).delay(Trap())
    connection, key = record_key(client, job)
    _, trap_key = record_key(client, trap)
    connection.hset(key, "call", connection.hget(trap_key, "call"))
    _UNPICKLED.clear()

    with pytest.raises(SignatureMismatch):
        job.edit(args=[2])
    assert [] == _UNPICKLED


def test_a_waiting_job_moves_to_another_queue_and_priority(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """It lines up there as if it had been called so."""
    gate = tmp_path / "gate"
    works = jobs.works.options(max_machines=1)
    first = works.delay(str(ledger), str(gate))
    until(lambda: ledger.starts)
    moved, plain, last, put_first = (
        works.options(queue=name).delay(str(ledger))
        for name in ("low", "default", "default", "default")
    )
    moved.edit(queue="high")
    last.edit(priority=-1)
    put_first.edit(first=True)
    assert ("high", -1) == (moved.info().queue, last.info().priority)
    gate.touch()
    for job in (first, moved, plain, last, put_first):
        job.result(timeout=20)

    expected = [job.id for job in (first, moved, put_first, plain, last)]
    assert expected == [entry.job for entry in ledger.starts]


def test_a_job_is_put_off_and_brought_forward(client: Client) -> None:
    """A waiting one becomes scheduled, a scheduled one may run at once."""
    Queue("default").pause()
    job = jobs.add.delay(1, 2)
    job.edit(delay="1h")
    info = job.info()
    assert "scheduled" == info.status
    assert 3590 < (info.due_at or 0) - info.created_at < 3660

    job.edit(priority=3)
    assert (info.due_at, "scheduled") == (job.info().due_at, job.status)
    job.edit(delay=0)
    assert ("queued", None) == (job.status, job.info().due_at)
    Queue("default").resume()
    assert 3 == job.result(timeout=20)


def test_a_job_between_two_attempts_is_edited(client: Client, tmp_path: Path) -> None:
    """The next attempt has the new arguments, and comes when the edit says."""
    path = tmp_path / "runs"
    retry = Retry(max_attempts=3, backoff="1h", on=(OSError,))
    job = jobs.succeeds_at_last.options(retry=retry).delay("/nowhere/at/all", 1)
    until(lambda: job.status == "retrying")

    job.edit(args=[str(path), 1], delay=0)

    assert 1 == job.result(timeout=20)
    assert 2 == job.info().attempt


@pytest.mark.parametrize("status", ["running", "succeeded", "cancelled"])
def test_what_does_not_wait_is_not_edited(
    client: Client, tmp_path: Path, status: str
) -> None:
    """The sentence says what it does instead."""
    gate = tmp_path / "gate"
    job = jobs.waits_for.delay(str(gate))
    until(lambda: job.status == "running")
    if status == "succeeded":
        gate.touch()
    if status == "cancelled":
        job.cancel()
    until(lambda: job.status == status)

    for changes in ({"queue": "high"}, {"args": ["x"]}):
        with pytest.raises(JobError, match=f"is {status}: only one that waits"):
            job.edit(**changes)
    gate.touch()


def test_a_job_is_deleted_with_all_that_is_known_of_it(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """Waiting or final; no list has it any more."""
    waiting = jobs.add.options(**LATER, tags={"a": "b"}, key="k").delay(1, 2)
    done = jobs.add.options(tags={"a": "b"}).delay(1, 2)
    failed = jobs.boom.options(tags={"a": "b"}).delay("x")
    assert 3 == done.result(timeout=20)
    assert failed.exception(timeout=20)

    for job in (waiting, done, failed):
        job.delete()
        with pytest.raises(JobNotFound):
            job.info()
        with pytest.raises(JobNotFound):
            job.delete()
        with pytest.raises(JobNotFound):
            job.edit(queue="high")
    assert [] == list_jobs(tag="a=b") == list_jobs() == list_jobs(status="failed")
    assert [] == redis_keys("job:*") == redis_keys("log:*") == redis_keys("unique:*")


def test_who_waits_for_a_job_that_is_deleted_is_told(client: Client) -> None:
    """It is cancelled first."""
    job = jobs.add.options(**LATER).delay(1, 2)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            job.result(timeout=20)
        except BaseException as error:  # noqa: BLE001 - that is what is looked at
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: _waits(client))
    Job(job.id, client).delete()
    thread.join()

    assert [JobCancelled] == [type(error) for error in raised]


def _waits(client: Client) -> bool:
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        return any(one["cmd"] == "blmove" for one in connection.client_list())


def test_a_running_job_is_not_deleted(client: Client, tmp_path: Path) -> None:
    """It is cancelled first, by who means it."""
    gate = tmp_path / "gate"
    job = jobs.waits_for.delay(str(gate))
    until(lambda: job.status == "running")

    with pytest.raises(JobError, match="is running: cancel it before"):
        job.delete()
    gate.touch()
    assert job.id == job.result(timeout=20)


def test_an_unknown_job_cannot_be_changed(client: Client) -> None:
    """Whatever is wanted of it."""
    job: Job[Any] = Job("0" * 20, client_module.default_client())

    for act in (job.retry, job.delete, job.logs, lambda: job.edit(first=True)):
        with pytest.raises(JobNotFound):
            act()


def test_a_failed_job_runs_again_with_changes(client: Client, tmp_path: Path) -> None:
    """Those alone: its retry policy, which travels with the call, is as it was."""
    path = tmp_path / "runs"
    task = jobs.succeeds_at_last.options(
        retry=Retry(max_attempts=2, backoff=0.05, on=(OSError,)), tags={"tenant": "x"}
    )
    failed = task.delay(str(tmp_path / "others"), tries=9)
    assert isinstance(failed.exception(timeout=20), OSError)

    words: dict[str, Any] = {"queue": "high", "priority": 3, "timeout": "1m"}
    again = failed.retry(args=[str(path)], kwargs={"tries": 2}, **words)

    assert 2 == again.result(timeout=20)
    info = again.info()
    assert ("high", 3, {"tenant": "x"}, 2) == (
        *(info.queue, info.priority, info.tags),
        info.attempt,
    )
    assert b"60" in client.store.record(failed.retry(timeout=60).id)["timeout"]


def test_changes_are_refused_while_another_job_runs_it_again(client: Client) -> None:
    """They would be lost: a further retry returns the job that is there."""
    failed = jobs.boom.delay("no")
    failed.wait(20)
    again = failed.retry(delay="1h")

    assert again == failed.retry()
    with pytest.raises(JobError, match=f"job {again.id} runs job {failed.id} again"):
        failed.retry(priority=4)
    for wrong in ({"priority": 101}, {"timeout": 0}, {"queue": ""}):
        with pytest.raises(ConfigError):
            failed.retry(**wrong)
    assert 0 == again.info().priority


def test_all_arguments_are_replaced_without_a_look_at_the_old_ones(
    client: Client,
) -> None:
    """Not while it waits, nor when it is run again, nor a second time."""
    _UNPICKLED.clear()
    job = jobs.add.options(**LATER).delay(Trap(), 1)  # type: ignore[arg-type]
    job.edit(args=[1], kwargs={"b": 2})
    job.edit(args=[40], kwargs={"b": 2})
    job.cancel()
    again = job.retry(args=[1, 1], kwargs={}, delay="1h")
    with pytest.raises(TypeError, match="jobs:add cannot be called so"):
        again.edit(args=[], kwargs={"c": 1})

    assert [] == _UNPICKLED
    assert ((1, 1), {}) == tuple(client.edits.call(again.id)[:2])
    assert ["sprung"] == _UNPICKLED


@pytest.mark.parametrize("status", ["scheduled", "failed", "cancelled"])
def test_a_clone_is_a_job_of_its_own(client: Client, status: str) -> None:
    """With the same call and tags, whatever the other does; the key stays there."""
    task = jobs.add if status != "failed" else jobs.boom
    call: Any = (1, 2) if status != "failed" else ("no",)
    delay = "0s" if status == "failed" else "1h"
    words: Any = {"key": "k", "tags": {"tenant": "x"}, "queue": "high", "delay": delay}
    job = task.options(**words).delay(*call)
    if status == "cancelled":
        job.cancel()
    until(lambda: job.status == status)

    other = job.clone(priority=3, timeout="20s", delay=0)
    info, new = job.info(), other.info()
    other.wait(20)

    assert "succeeded" == other.status or isinstance(other.exception(1), ValueError)
    assert (status, "") == (info.status, info.retried_as)
    assert ("", "", 3) == (new.key, new.retry_of, new.priority)
    for name in ("task", "pool", "queue", "tags"):
        assert getattr(info, name) == getattr(new, name)


def test_a_job_that_succeeded_is_cloned_with_arguments(client: Client) -> None:
    """Of those Redis keeps none; queue, priority and tags are those of the job."""
    words: Any = {"key": "k", "tags": {"tenant": "x"}, "queue": "high", "priority": 7}
    job = jobs.add.options(**words).delay(1, 2)
    job.result(timeout=20)
    other = job.clone(args=[40], kwargs={"b": 2})
    later = job.clone(args=[1, 2], queue="bulk", delay="1h", priority=0)

    assert 42 == other.result(timeout=20)
    info = other.info()
    assert ("high", 7, {"tenant": "x"}) == (info.queue, info.priority, dict(info.tags))
    assert ("", "") == (info.key, info.retry_of)
    assert ("scheduled", "bulk", 0) == (
        later.status,
        later.info().queue,
        later.info().priority,
    )
    with pytest.raises(JobError, match="keeps no arguments"):
        job.clone()
    with pytest.raises(TypeError, match="cannot be called like this"):
        job.clone(kwargs={"c": 1})


def test_only_a_task_that_this_program_has_is_called_like_that(
    client: Client,
) -> None:
    """No module is imported because of what Redis says."""
    job = jobs.add.delay(1, 2)
    job.result(timeout=20)
    connection, key = record_key(client, job)
    for name in ("this:s", "jobs:Trap", "jobs:nothing", "os:system", "jobs", ""):
        connection.hset(key, "task", name)
        with pytest.raises(TaskNotRegistered, match="has not imported"):
            job.clone(args=[])

    assert "this" not in sys.modules
