"""`worker-lib replay`: a failed job's very call, run here."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import jobs
import pytest
import redis

from worker_lib import Job, current_job, fly_task
from worker_lib.calls import codec
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from commands import Ran

    from worker_lib.client.client import Client

LATER: Any = {"delay": "1h"}


def cancelled(job: Job[Any]) -> str:
    """Return the id of a job that never ran."""
    assert job.cancel()
    return job.id


def test_what_the_job_raised_is_raised_here(run: Callable[..., Ran]) -> None:
    """With the traceback of the task and no frame of ours; Redis is told nothing."""
    job = jobs.boom.delay("no\x1b good")
    assert job.exception(timeout=20)
    before = job.info()

    ran = run("replay", job.id)

    assert (1, "") == (ran.code, ran.out)
    assert "ValueError: no\\x1b good" in ran.err
    assert "worker_lib/" not in ran.err
    assert "support/jobs.py" in ran.err
    assert before == job.info()


def test_what_it_returns_here_is_printed(run: Callable[..., Ran]) -> None:
    """As text, and as JSON; the exit code is that of a job that succeeds."""
    job_id = cancelled(jobs.add.options(**LATER).delay(1, b=2))

    ran = run("replay", job_id)
    assert (0, "3\n") == (ran.code, ran.out)
    assert f"replaying jobs:add of job {job_id}\n" in ran.err
    told = json.loads(run("replay", job_id, "--json", "-q").out)
    assert {"job_id": job_id, "outcome": "succeeded", "result": 3} == told


@fly_task
def about_itself(text: str) -> tuple[str, str, int]:
    """Return which job this is."""
    current_job().progress(1, 2, text)
    return current_job().id, current_job().task, current_job().attempt


def test_the_task_knows_which_job_it_is(run: Callable[..., Ran]) -> None:
    """Its progress goes to stderr, and no job is left behind here."""
    job_id = cancelled(about_itself.options(**LATER).delay("half"))

    ran = run("replay", job_id)

    assert f"('{job_id}', " in ran.out
    assert '"message": "half"' in ran.err
    assert "" == current_job().id
    assert "WORKER_LIB_GENERATION" not in os.environ


def test_the_task_has_the_variables_of_its_machines(run: Callable[..., Ran]) -> None:
    """Those of `env=`, while it runs; their values are not told."""
    task = jobs.says.options(**LATER, env={"COLOUR": "blue"})

    ran = run("replay", cancelled(task.delay("x")))

    assert 0 == ran.code
    assert "COLOUR=blue" in ran.out
    assert "with COLOUR of its env=\n" in ran.err
    assert "blue" not in ran.err
    assert "COLOUR" not in os.environ


def test_a_function_by_value_and_a_coroutine_are_replayed(
    run: Callable[..., Ran],
) -> None:
    """With what the closure holds."""
    more = 40

    @fly_task
    async def adds(number: int) -> int:
        return number + more

    ran = run("replay", cancelled(adds.options(**LATER).delay(2)))

    assert (0, "42\n") == (ran.code, ran.out)


def test_the_debugger_stands_where_it_was_raised(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame of the task, with its arguments."""
    job = jobs.boom.delay("here")
    assert job.exception(timeout=20)
    monkeypatch.setattr(sys, "stdin", io.StringIO("args\nq\n"))

    ran = run("replay", job.id, "--pdb")

    assert 1 == ran.code
    assert "(Pdb) " in ran.out
    assert "'here'" in ran.out


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: jobs.add.options(**LATER).delay(1, 2), "is scheduled: only one"),
        (lambda: ended(jobs.add.delay(1, 2)), "is succeeded: only one that failed"),
    ],
)
def test_only_what_ended_badly_is_replayed(
    run: Callable[..., Ran], call: Callable[[], Job[Any]], said: str
) -> None:
    """What runs or waits may be run by a machine; what succeeded has no call left."""
    ran = run("replay", call().id)

    assert (1, "") == (ran.code, ran.out)
    assert said in ran.err


def ended(job: Job[Any]) -> Job[Any]:
    """Return the job when it has ended."""
    assert job.wait(20)
    return job


def test_a_job_that_does_not_exist_is_not_found(run: Callable[..., Ran]) -> None:
    """As everywhere."""
    assert 3 == run("replay", "nope").code


def test_a_call_that_was_changed_is_not_unpickled(
    run: Callable[..., Ran], client: Client, tmp_path: Path
) -> None:
    """Whoever can write to Redis runs nothing here, with --force neither."""
    job_id = cancelled(jobs.add.options(**LATER).delay(1, 2))
    other_id = cancelled(jobs.echo.options(**LATER).delay(Mark(tmp_path / "marked")))
    prefix = key_prefix(client.settings.namespace)
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        foreign = connection.hget(f"{prefix}:job:{other_id}", "call")
        connection.hset(f"{prefix}:job:{job_id}", "call", foreign)

    ran = run("replay", job_id, "--force")

    assert (1, "") == (ran.code, ran.out)
    assert "is not signed with our WORKER_LIB_SECRET" in ran.err
    assert not (tmp_path / "marked").exists()


class Mark:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return self.path.touch, ()


def test_another_python_is_a_reason_to_refuse(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the person insists."""
    version = (sys.version_info[0], sys.version_info[1] + 1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(codec.sys, "version_info", version)  # type: ignore[attr-defined]  # it imports sys
        job_id = cancelled(jobs.add.options(**LATER).delay(1, 2))

    ran = run("replay", job_id)
    assert (1, "") == (ran.code, ran.out)
    assert f"Python 3.{version[1]} made and ran the call" in ran.err
    assert "--force replays it all the same" in ran.err
    ran = run("replay", job_id, "--force")
    assert (0, "3\n") == (ran.code, ran.out)
    assert "it may behave otherwise here" in ran.err


def test_a_machine_of_the_image_is_asked_for_its_versions(
    run: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other libraries are a reason to refuse, the same ones none."""
    job_id = cancelled(jobs.add.options(**LATER).delay(1, 2))

    ran = run("replay", job_id, "--probe")
    assert (0, "3\n") == (ran.code, ran.out)
    assert "on both sides" in ran.err

    ours = {"python": sys.version.split()[0], "cloudpickle": "0.1", "worker_lib": "9"}
    monkeypatch.setattr("worker_lib.ping.versions", lambda: ours)
    ran = run("replay", job_id, "--probe")
    assert (1, "") == (ran.code, ran.out)
    assert "cloudpickle 0.1 here and" in ran.err
    assert 0 == run("replay", job_id, "--probe", "--force").code
