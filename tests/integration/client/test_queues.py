"""Queues on real machines: order, weights, priorities, pauses, keys, expiry, tags."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import JobExpired
from worker_lib.client.inspection import jobs as list_jobs
from worker_lib.client.queues import Queue, queues

if TYPE_CHECKING:
    from pathlib import Path

    from ledger import Ledger

    from worker_lib import Job
    from worker_lib.client.client import Client
    from worker_lib.task import Task

# One machine, so that what starts first was chosen first.
ONE: Any = {"max_machines": 1, "linger": "5s"}


class Line:
    """Calls that wait behind one that holds the only machine."""

    def __init__(self, ledger: Ledger, gate: Path, **options: Any) -> None:
        self.ledger = ledger
        self.gate = gate
        self.task: Task[Any, int] = jobs.works.options(**ONE, **options)
        self.first = self.task.options(queue="first").delay(str(ledger), str(gate))
        until(lambda: ledger.starts)

    def call(self, **options: Any) -> Job[int]:
        """Store a call that waits."""
        return self.task.options(**options).delay(str(self.ledger))

    def order(self) -> list[str]:
        """Let all run; return the ids in the order in which they started."""
        self.gate.touch()
        wanted = {info.id for info in self.waiting()}
        until(lambda: wanted <= {entry.job for entry in self.ledger.ends}, 60)
        return [entry.job for entry in self.ledger.starts][1:]

    def waiting(self) -> list[Any]:
        """Return the jobs that wait."""
        return list_jobs(status="queued", limit=1000)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "gate"


def test_queues_are_served_in_strict_order(
    client: Client, ledger: Ledger, gate: Path
) -> None:
    """High before default before low, others last by name; within one as called."""
    line = Line(ledger, gate)
    names = ["low", "zeta", "default", "high", "alpha", "low", "high", "default"]
    made = [(name, line.call(queue=name).id) for name in names]

    order = line.order()

    rank = ["high", "default", "low", "alpha", "zeta"]
    expected = [job for name in rank for queue, job in made if queue == name]
    assert expected == order


def test_a_task_says_in_which_order_its_queues_are_served(
    client: Client, ledger: Ledger, gate: Path
) -> None:
    """The rule belongs to the pool, so each of its machines has it."""
    line = Line(ledger, gate, queues="urgent,bulk")
    bulk, other, urgent = (line.call(queue=q).id for q in ("bulk", "high", "urgent"))

    assert [urgent, bulk, other] == line.order()


def test_weights_share_machines_among_queues(
    client: Client, ledger: Ledger, gate: Path
) -> None:
    """The heavier is served more often, and the lighter does not starve."""
    line = Line(ledger, gate, queues="heavy=4,light=1")
    made = {}
    for _ in range(60):
        for name in ("heavy", "light"):
            made[line.call(queue=name).id] = name

    order = [made[job] for job in line.order()]

    # 48 of the first 60 are expected, with a standard deviation of 3.1: five of those
    # less is what one run in millions would have, and more than most equal shares.
    assert 33 <= Counter(order[:60])["heavy"] <= 59
    assert Counter(heavy=60, light=60) == Counter(order)


def test_within_a_queue_the_higher_priority_goes_first(
    client: Client, ledger: Ledger, gate: Path
) -> None:
    """Equal ones in the order of their calls; a queue counts more than a priority."""
    line = Line(ledger, gate)
    made = [
        line.call(queue=queue, priority=priority).id
        for queue, priority in [
            ("low", 100),
            ("default", -100),
            ("default", 0),
            ("default", 100),
            ("default", 0),
            ("high", -100),
        ]
    ]

    assert [made[at] for at in (5, 3, 2, 4, 1, 0)] == line.order()


def test_a_paused_queue_keeps_its_jobs_until_it_is_resumed(
    client: Client, ledger: Ledger, gate: Path
) -> None:
    """Its jobs wait, others run on; whoever asks sees it."""
    bulk = Queue("bulk")
    bulk.pause()
    bulk.pause()
    held = jobs.add.options(queue="bulk").delay(1, 2)

    assert 7 == jobs.add.options(queue="high").delay(3, 4).result(timeout=20)
    assert ("queued", True, 1) == (held.status, bulk.paused, bulk.waiting)
    (seen,) = queues()
    assert ("bulk", 1) == (seen.name, seen.waiting)
    assert held.info().created_at == seen.next_created_at

    bulk.resume()
    bulk.resume()
    assert 3 == held.result(timeout=20)
    assert (False, 0, []) == (bulk.paused, bulk.waiting, queues())


def test_a_pause_holds_for_pools_that_are_new(client: Client) -> None:
    """The first call of a task may come after the pause."""
    Queue("bulk").pause()

    held = jobs.add.options(queue="bulk", env={"NEW": "1"}).delay(1, 2)

    assert not held.wait(0.5)
    assert 0 == len(client.launcher.api.list_machines())
    Queue("bulk").resume()
    assert 3 == held.result(timeout=20)


def test_a_pause_stops_a_machine_that_drains_the_queue(
    client: Client, ledger: Ledger, gate: Path
) -> None:
    """The job that runs goes on; the next one is not taken."""
    line = Line(ledger, gate)
    held = line.call(queue="default")
    Queue("default").pause()
    gate.touch()

    assert 0 == line.first.result(timeout=20)
    assert not held.wait(0.5)
    Queue("default").resume()
    assert 0 == held.result(timeout=20)


def test_calls_with_one_key_are_one_job(client: Client) -> None:
    """While it is queued or runs; afterwards the key is free."""
    task = jobs.add.options(key="report-7", delay="1h")
    first = task.delay(1, 2)

    assert first == task.delay(5, 6)
    assert first != jobs.echo.options(key="report-7", delay="1h").delay(1)
    assert first != task.options(key="report-8").delay(1, 2)
    assert "report-7" == first.info().key
    first.edit(delay=0)
    assert 3 == first.result(timeout=20)
    assert first != task.delay(5, 6)


@pytest.mark.parametrize("end", ["cancelled", "expired", "failed", "deleted"])
def test_whatever_ends_a_job_frees_its_key(client: Client, end: str) -> None:
    """None blocks its key for ever."""
    task = jobs.boom.options(key="k", delay="1h" if end != "failed" else 0)
    first = task.options(expires="0.3s" if end == "expired" else None).delay("x")
    if end == "cancelled":
        first.cancel()
    elif end == "deleted":
        first.delete()
    elif end == "expired":
        first.edit(delay="0.1s")
        Queue("default").pause()
        until(lambda: first.status == "expired")
    else:
        assert first.exception(timeout=20)

    assert first != task.delay("x")


def test_concurrent_calls_with_one_key_are_one_job(client: Client) -> None:
    """Redis decides, whoever asks at the same time."""
    task = jobs.add.options(key="k", delay="1h")
    barrier, made = threading.Barrier(16), []

    def call() -> None:
        barrier.wait()
        made.append(task.delay(1, 2).id)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 16 == len(made)
    assert 1 == len(set(made))


def test_a_key_may_be_kept_for_a_time_beyond_its_job(client: Client) -> None:
    """A form that is sent twice is one mail, also if the first has gone out."""
    task = jobs.add.options(key="form-1", unique_for="2s")
    first = task.delay(1, 2)
    assert 3 == first.result(timeout=20)

    again = task.delay(1, 2)
    assert (first, 3) == (again, again.result(timeout=5))
    until(lambda: task.delay(1, 2) != first, 10)


def test_a_call_that_has_not_started_in_time_expires(client: Client) -> None:
    """It says so to who waits, and never runs."""
    Queue("bulk").pause()
    job = jobs.add.options(queue="bulk", expires="0.5s").delay(1, 2)

    with pytest.raises(JobExpired):
        job.result(timeout=20)
    Queue("bulk").resume()
    assert ("expired", ()) == (job.status, job.attempts)


def test_tags_are_kept_with_a_job_and_find_it(client: Client) -> None:
    """By name and value together, newest first."""
    task = jobs.add.options(delay="1h")
    tagged = [
        task.options(tags={"tenant": tenant, "form": "a=b c"}).delay(1, 2)
        for tenant in ("x", "y", "x")
    ]
    task.delay(1, 2)

    def found(**filters: Any) -> list[str]:
        return [info.id for info in list_jobs(**filters)]

    assert [tagged[2].id, tagged[0].id] == found(tag="tenant=x")
    assert [job.id for job in reversed(tagged)] == found(tag="form=a=b c")
    assert [] == found(tag="tenant=z")
    assert {"tenant": "y", "form": "a=b c"} == tagged[1].info().tags
    tagged[0].delete()
    assert [tagged[2].id] == found(tag="tenant=x")
