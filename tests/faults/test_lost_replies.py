"""Replies lost after the commit: the fault that random kills do not find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs
import pytest
from fly_calls import stop_machine
from waiting import until

from worker_lib import JobCancelled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos import ChaosProxy
    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


@pytest.fixture
def client(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    redis_url: str,
) -> Client:
    """A client and machines on the real server; tests put the proxy in between."""
    return make_client(make_emulator())


@pytest.fixture
def shaky_machines(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
) -> Client:
    """Only the machines go through the proxy."""
    return make_client(make_emulator(redis_url=proxy.url))


@pytest.fixture
def shaky_client(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
) -> Client:
    """Only the client goes through the proxy."""
    return make_client(make_emulator(), redis_url=proxy.url)


def test_an_enqueue_whose_reply_was_lost_stores_one_job(
    shaky_client: Client,
    proxy: ChaosProxy,
    ledger: Ledger,
    redis_keys: Callable[[str], list[str]],
) -> None:
    """`delay` sends it again under the same id, and gets the same slot to launch."""
    jobs.add.remote(1)
    for round_ in range(5):
        proxy.lose_replies("enqueue")
        job = jobs.works.delay(str(ledger), value=round_)
        assert round_ == job.result(timeout=20)

    assert 5 == proxy.lost["enqueue"]
    assert 1 + 5 == len(redis_keys("job:*"))
    assert 5 == len(ledger.starts)


def test_an_enqueue_that_was_lost_on_its_way_is_sent_again(
    shaky_client: Client, proxy: ChaosProxy, ledger: Ledger
) -> None:
    """The caller notices nothing of a connection that broke before the commit."""
    proxy.lose_requests("enqueue")

    assert 5 == jobs.works.delay(str(ledger), value=5).result(timeout=20)
    assert 1 == len(ledger.starts)


def test_a_cancel_whose_reply_was_lost_cancels(
    shaky_client: Client, proxy: ChaosProxy
) -> None:
    """The job is cancelled, though who cancelled it is no longer known."""
    jobs.add.options(delay="1h").delay(1).cancel()
    job = jobs.add.options(delay="1h").delay(1, 2)
    proxy.lose_replies("cancel")
    job.cancel()

    with pytest.raises(JobCancelled):
        job.result(timeout=2)


def test_a_finish_whose_reply_was_lost_counts_once(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
) -> None:
    """Every second report commits and is sent again, with several outcomes in each."""
    make_client(make_emulator(redis_url=proxy.url), lease_ttl=10.0)
    works = jobs.works.options(max_machines=2)
    proxy.lose_replies("finish", times=1000, every=2)
    running = [works.delay(str(ledger), value=n) for n in range(200)]

    assert list(range(200)) == [job.result(timeout=50) for job in running]
    assert proxy.lost["finish"] > 5
    assert sorted(job.id for job in running) == sorted(e.job for e in ledger.starts)
    outcomes = [[one.outcome for one in job.attempts] for job in running]
    assert [["succeeded"]] * 200 == outcomes


def test_a_finish_that_was_lost_on_its_way_is_sent_again(
    shaky_machines: Client, proxy: ChaosProxy, ledger: Ledger
) -> None:
    """The outcome is kept until Redis has it: nothing runs twice."""
    proxy.lose_requests("finish", times=3)

    assert 5 == jobs.works.delay(str(ledger), value=5).result(timeout=20)
    assert (1, 3) == (len(ledger.starts), proxy.lost["finish"])


def test_a_report_of_a_retry_whose_reply_was_lost_charges_one_attempt(
    shaky_machines: Client, proxy: ChaosProxy, tmp_path: Path
) -> None:
    """Failing once, and saying so twice, is failing once."""
    proxy.lose_replies("finish", times=2)
    job = jobs.succeeds_at_last.delay(str(tmp_path / "tries"), 3)

    assert 3 == job.result(timeout=20)
    assert ["error", "error", "succeeded"] == [one.outcome for one in job.attempts]


def test_a_claim_whose_reply_was_lost_is_made_good(
    shaky_machines: Client, proxy: ChaosProxy, ledger: Ledger
) -> None:
    """The machine asks again and gets the same job, or its lease runs out."""
    proxy.lose_replies("claim")
    job = jobs.works.delay(str(ledger), value=5)

    assert 5 == job.result(timeout=20)
    assert 1 == len(ledger.starts)


def test_a_heartbeat_whose_reply_was_lost_does_not_cost_the_job(
    shaky_machines: Client, proxy: ChaosProxy, ledger: Ledger, tmp_path: Path
) -> None:
    """The machine goes on and renews again."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    until(lambda: ledger.starts)
    proxy.lose_replies("heartbeat")
    until(lambda: proxy.lost["heartbeat"] == 1)
    until(lambda: proxy.seen["heartbeat"] >= 4)
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert "succeeded" == job.attempts[-1].outcome


def test_a_release_whose_reply_was_lost_hands_the_job_back_once(
    shaky_machines: Client, proxy: ChaosProxy, ledger: Ledger, tmp_path: Path
) -> None:
    """A stopped machine need not hear that its job is in good hands."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)
    proxy.lose_replies("release")
    stop_machine(shaky_machines, first.machine)
    until(lambda: ledger.starts[1:])
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert ["released", "succeeded"] == [one.outcome for one in job.attempts]


def test_a_launch_whose_reply_was_lost_does_not_hold_up_its_job(
    shaky_client: Client, proxy: ChaosProxy, ledger: Ledger
) -> None:
    """The right to create was given and not heard of: it is asked for again."""
    proxy.lose_replies("launch")

    assert 5 == jobs.works.delay(str(ledger), value=5).result(timeout=8)
    assert 1 == len(ledger.starts)


def test_cut_connections_are_opened_again(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
) -> None:
    """Callers and machines that lose every connection now and then lose no job."""
    make_client(make_emulator(redis_url=proxy.url))
    works = jobs.works.options(max_machines=2)
    running = [works.delay(str(ledger), seconds=0.1, value=n) for n in range(12)]
    for ended in (2, 5, 8):
        until(lambda ended=ended: len(ledger.ends) >= ended)  # type: ignore[misc]  # bound now
        proxy.cut()

    assert list(range(12)) == [job.result(timeout=40) for job in running]
    outcomes = [[one.outcome for one in job.attempts] for job in running]
    assert [1] * 12 == [one.count("succeeded") for one in outcomes]


def test_commands_that_are_held_up_arrive_late_and_do_no_harm(
    shaky_machines: Client, proxy: ChaosProxy, ledger: Ledger, tmp_path: Path
) -> None:
    """What an old holder said before it was replaced is refused when it comes."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    until(lambda: ledger.starts)
    proxy.hold()
    until(lambda: job.info().attempts[0].outcome == "lost")
    proxy.release()
    until(lambda: ledger.starts[1:])
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert ["lost", "succeeded"] == [one.outcome for one in job.attempts]
