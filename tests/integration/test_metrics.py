"""Metrics of real jobs on real machines, as a scrape gets them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jobs as tasks
import pytest
from prometheus_client.parser import text_string_to_metric_families
from waiting import until

from worker_lib.client.client import default_client
from worker_lib.errors import JobFailed
from worker_lib.metrics import JobsCollector
from worker_lib.metrics.collector import read
from worker_lib.store.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from servers import OwnServer

    from worker_lib.client.client import Client


def scraped() -> dict[str, float]:
    """Return all samples by name and labels, as Prometheus writes them."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(JobsCollector(keep=0.0))
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for one in family.samples:
            words = ",".join(f"{k}={v}" for k, v in sorted(one.labels.items()))
            found[f"{one.name}{{{words}}}"] = one.value
    return found


@pytest.mark.usefixtures("client")
def test_jobs_and_machines_are_told() -> None:
    """One that succeeds, one that fails, and the machines they had."""
    before = time.monotonic()
    assert 3 == tasks.add.delay(1, 2).result(timeout=30)
    with pytest.raises(ValueError, match="no"):
        tasks.boom.delay("no").result(timeout=30)
    until(lambda: scraped()["worker_lib_machines{state=busy}"] == 0)
    seen = scraped()
    took = time.monotonic() - before

    ended = "worker_lib_jobs_total{cause=%s,outcome=%s,task=jobs:%s}"
    assert 1 == seen[ended % ("", "succeeded", "add")]
    assert 1 == seen[ended % ("error", "failed", "boom")]
    for task in ("add", "boom"):
        for kind in ("job_duration", "queue_wait"):
            name = f"worker_lib_{kind}_seconds_%s{{task=jobs:{task}}}"
            assert 1 == seen[name % "count"]
            assert 0 <= seen[name % "sum"] < took
    assert 1 <= seen["worker_lib_machine_boot_seconds_count{how=created}"] <= 2
    assert 1 == seen["worker_lib_jobs{state=failed}"]
    seconds = [n for name, n in seen.items() if "machine_seconds_total" in name]
    assert 0 < sum(seconds) < 2 * took


@pytest.mark.usefixtures("client")
def test_counters_never_fall() -> None:
    """Also while jobs end between two scrapes."""
    last: Mapping[str, float] = {}
    running = [tasks.add.delay(n, n) for n in range(20)]
    deadline = time.monotonic() + 40
    while not all(job.status == "succeeded" for job in running):
        assert time.monotonic() < deadline
        seen = scraped()
        for name, number in last.items():
            if "_total{" in name or "_count{" in name or "_bucket{" in name:
                assert number <= seen[name], name
        last = seen


@pytest.mark.usefixtures("client")
def test_a_lost_attempt_is_in_all_that_tells_of_attempts() -> None:
    """The job's last one, whose machine died, too."""
    with pytest.raises(JobFailed):
        tasks.exits_hard.delay(3).result(timeout=30)
    seen = scraped()

    labels = "cause=exit,outcome=failed,task=jobs:exits_hard"
    assert 1 == seen[f"worker_lib_jobs_total{{{labels}}}"]


@pytest.mark.usefixtures("client")
def test_a_scrape_sends_three_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was counted."""
    tasks.add.delay(1, 2).result(timeout=30)
    sent: list[str] = []
    run = Connection.run

    def noted(self: Connection, script: Any, *words: Any, **named: Any) -> Any:
        sent.append(script.name)
        return run(self, script, *words, **named)

    monkeypatch.setattr(Connection, "run", noted)
    read()

    assert ["overview", "machines", "counts"] == sent


def test_redis_that_is_away_is_told_in_time(
    own_server: OwnServer,
    emulator: Any,
    make_client: Callable[..., Client],
) -> None:
    """Before a scrape's ten seconds are over; and that it is back."""
    make_client(emulator, redis_url=own_server.url)
    assert default_client() is not None
    assert 1 == scraped()["worker_lib_up{}"]
    own_server.kill()
    start = time.monotonic()

    assert {"worker_lib_up{}": 0.0} == scraped()
    assert time.monotonic() - start < 8
    own_server.start()
    until(lambda: scraped()["worker_lib_up{}"] == 1)


def test_redis_that_does_not_answer_is_told_in_time(
    own_server: OwnServer,
    emulator: Any,
    make_client: Callable[..., Client],
) -> None:
    """Though it takes connections."""
    make_client(emulator, redis_url=own_server.url)
    assert 1 == scraped()["worker_lib_up{}"]
    own_server.freeze()
    start = time.monotonic()
    try:
        assert {"worker_lib_up{}": 0.0} == scraped()
        assert time.monotonic() - start < 8
    finally:
        own_server.thaw()
