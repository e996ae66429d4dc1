"""What a client keeps, and what it tells of a job that never ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs
import pytest

from worker_lib import JobExpired, fly_task
from worker_lib.client.encoding import _MAX_PLANS
from worker_lib.store import enqueuer

if TYPE_CHECKING:
    from store_rig import StoreRig

    from worker_lib.client.client import Client


@pytest.fixture
def client(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that starts no machine."""
    monkeypatch.setattr(client.launcher, "launch", lambda _slot: None)
    return client


def test_plans_of_calls_do_not_pile_up(client: Client) -> None:
    """Neither one for each delay nor one for each set of options."""
    for second in range(1, 20):
        jobs.add.options(delay=second).delay(1, 2)
    assert 1 == client._encoder.plan.cache_info().currsize

    for number in range(_MAX_PLANS + 20):
        client._encoder.plan(jobs.add.options(env={"N": str(number)}).spec, "")
    assert _MAX_PLANS == client._encoder.plan.cache_info().currsize


def test_what_calls_have_in_common_is_made_once(client: Client) -> None:
    """For as long as there is their task; other options are another task."""
    encoder, other = client._encoder, jobs.add.options(queue="low")
    template = encoder.template(jobs.add, "")

    assert template is encoder.template(jobs.add, "")
    assert "low" == encoder.template(other, "").new.of("queue")
    assert template.new.pool != encoder.template(jobs.add, "another").new.pool
    for number in range(20):
        jobs.add.options(tags={"n": str(number)}).delay(1, 2)
    assert len(encoder._templates) <= 3


def test_a_function_by_value_is_taken_as_it_is_at_each_call(client: Client) -> None:
    """What it refers to may have changed since the call before."""
    offset = 1
    task = fly_task(lambda number: number + offset)
    before = client._encoder.template(task, "").new
    offset = 2
    after = client._encoder.template(task, "").new

    assert before.code_hash != after.code_hash
    assert len({before.code, after.code, b""}) == 3


def test_functions_known_to_be_stored_do_not_pile_up(
    rig: StoreRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may make a closure for each call."""
    monkeypatch.setattr(enqueuer, "_MAX_KNOWN", 10)
    for number in range(25):
        rig.enqueue(code_hash=f"c{number}", code=b"sealed code")

    assert 1 <= len(rig.store._enqueuer._codes_known._until) <= 10


def test_a_job_that_expired_says_so(client: Client, rig: StoreRig) -> None:
    """To who waits, to who comes later, and to who only wants it to be over."""
    job = jobs.add.options(delay="1h").delay(1, 2)
    rig.expire(job.id)

    for _ in range(2):
        with pytest.raises(JobExpired, match="waited for a machine longer than"):
            job.result(timeout=5)
    assert job.wait(timeout=5)
    assert not job.cancel()
    assert "expired" == job.status
