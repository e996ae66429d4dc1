"""What a scrape tells: names, labels, buckets, and how much of it at most."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from scrape import READING, REGION, SEEN, SIZE, exposed

from worker_lib.errors import StoreUnavailable
from worker_lib.inspection import Tally
from worker_lib.inspection.counting import percentiles, upper_bound
from worker_lib.metrics import JobsCollector
from worker_lib.metrics.collector import Reading
from worker_lib.metrics.families import MOST_TASKS, Room, counted_families

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def told(reading: Reading = READING) -> dict[tuple[str, frozenset[Any]], float]:
    """Return each sample of the page, as Prometheus's own parser reads it."""
    text = exposed(JobsCollector(lambda: reading))
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def value(name: str, **labels: str) -> float:
    """Return one sample."""
    return told()[f"worker_lib_{name}", frozenset(labels.items())]


@pytest.mark.parametrize(
    ("expected", "name", "labels"),
    [
        (1, "up", {}),
        (5, "jobs_total", {"outcome": "succeeded", "cause": ""}),
        (2, "jobs_total", {"outcome": "failed", "cause": "timeout"}),
        (1, "jobs_total", {"outcome": "cancelled", "cause": ""}),
        (4, "retried_total", {"cause": "error"}),
        (3, "queue_wait_seconds_bucket", {"le": "0.001"}),
        (3, "queue_wait_seconds_bucket", {"le": "83970.0"}),
        (12, "queue_wait_seconds_bucket", {"le": "+Inf"}),
        (12, "queue_wait_seconds_count", {}),
        (9003, "queue_wait_seconds_sum", {}),
        (4, "job_duration_seconds_bucket", {"le": "0.003375"}),
        (9, "job_duration_seconds_bucket", {"le": "0.1297"}),
        (10, "job_duration_seconds_bucket", {"le": "0.4379"}),
        (12, "job_duration_seconds_bucket", {"le": "4.988"}),
        (12, "job_duration_seconds_count", {}),
        (7.5, "job_duration_seconds_sum", {}),
    ],
)
def test_what_was_counted_of_a_task(
    expected: float, name: str, labels: dict[str, str]
) -> None:
    """Each attempt is in the histograms once, and in their sums."""
    task = {} if name == "up" else {"task": "shop:mail"}

    assert expected == value(name, **labels, **task)


@pytest.mark.parametrize(
    ("expected", "name", "labels"),
    [
        (1, "lost_total", {"reason": "lost"}),
        (1, "lost_total", {"reason": "out_of_memory"}),
        (3, "launch_errors_total", {"code": "NoCapacity"}),
        (0, "launch_errors_total", {"code": "Unauthorized"}),
        (90.5, "machine_seconds_total", {"size": SIZE, "region": REGION}),
        (2, "machine_boot_seconds_count", {"how": "created"}),
        (4.4, "machine_boot_seconds_sum", {"how": "created"}),
        (8, "jobs", {"state": "queued"}),
        (2, "machines", {"state": "busy"}),
        (0, "machines", {"state": "parked"}),
        (7, "queue_jobs", {"queue": "default"}),
        (0, "queue_paused", {"queue": "default"}),
        (1, "queue_paused", {"queue": "low"}),
        (400, "oldest_wait_seconds", {}),
        (900, "oldest_machine_seconds", {}),
        (2, "alerts", {"kind": "waiting"}),
        (0, "alerts", {"kind": "eviction"}),
        (1000, "redis_memory_bytes", {}),
        (0, "left_out", {}),
    ],
)
def test_what_is_told_of_machines_and_of_this_moment(
    expected: float, name: str, labels: dict[str, str]
) -> None:
    """Numbers with their labels; what may happen is told as 0 before it does."""
    assert expected == value(name, **labels)


def test_machines_cost_what_the_price_list_says() -> None:
    """An hour of them is as many seconds of one."""
    second = value("machine_usd_per_second", size=SIZE, region=REGION)

    assert 0 < second < 0.001
    assert value("machines_usd_per_hour") == pytest.approx(3600 * second)


def test_bounds_are_those_of_counted_classes() -> None:
    """So no number is split by guesswork; the words have four digits."""
    bounds = {
        float(dict(labels)["le"])
        for name, labels in told()
        if name.endswith("wait_seconds_bucket")
    } - {float("inf")}

    assert 16 == len(bounds)
    for bound, which in zip(sorted(bounds), range(0, 46, 3), strict=True):
        assert bound == pytest.approx(upper_bound(which), rel=1e-3)


def test_names_that_programs_choose_are_escaped() -> None:
    """Quotes, line breaks, letters of any script, and what looks like a label."""
    name = 'shop:ä"},\\\n{le="1"} 5'
    counts = Tally({("j", name, "succeeded", "1"): 1, ("w", name, "1"): 1})
    seen = told(Reading(SEEN, [], counts))

    labels = {"task": name, "outcome": "succeeded", "cause": ""}
    assert 1 == seen["worker_lib_jobs_total", frozenset(labels.items())]


def test_a_crowd_of_tasks_is_bounded_and_told() -> None:
    """Those with the most jobs remain, whoever asks."""
    counts = Tally({("j", f"t{n:03}", "succeeded", "1"): n for n in range(1, 151)})
    counts.update({("w", f"t{n:03}", "1"): n for n in range(1, 151)})
    seen = told(Reading(SEEN, [], counts))
    tasks = {dict(labels)["task"] for _, labels in seen if "task" in dict(labels)}

    assert {f"t{n:03}" for n in range(51, 151)} == tasks
    assert 50 == seen["worker_lib_left_out", frozenset()]
    assert len(seen) < 60 * MOST_TASKS


def test_a_crowd_of_other_labels_is_bounded_too() -> None:
    """As errors that somebody makes up."""
    room = Room(series=10)
    counts = Tally({("e", f"Error{n}"): n + 1 for n in range(30)})
    families: dict[str, Metric] = {
        one.name: one for one in counted_families(counts, room)
    }

    assert 10 == len(families["worker_lib_launch_errors"].samples)
    assert 27 == room.family().samples[0].value


def test_a_damaged_field_in_redis_is_no_end_of_all_metrics() -> None:
    """As one that an earlier release wrote."""
    counts = Tally({("j",): 1, ("t", "shop:mail", "error"): 1, ("",): 2})
    labels = {"task": "shop:mail", "cause": "error"}

    seen = told(Reading(SEEN, [], counts))
    assert 1 == seen["worker_lib_retried_total", frozenset(labels.items())]


def test_redis_that_is_away_is_told_and_no_error() -> None:
    """Nothing else is told: a missing number is not 0."""

    def away() -> Reading:
        raise StoreUnavailable("Redis cannot be reached")

    text = exposed(JobsCollector(away))

    assert "\nworker_lib_up 0.0\n" in text
    assert 1 == len(list(text_string_to_metric_families(text)))


def test_scrapes_within_ten_seconds_share_a_reading() -> None:
    """However many ask; the next one reads anew."""
    now, readings = [0.0], []

    def read() -> Reading:
        readings.append(now[0])
        return READING

    collector = JobsCollector(read, clock=lambda: now[0])
    for moment in (0.0, 5.0, 9.9, 10.0, 19.0):
        now[0] = moment
        assert "worker_lib_up 1.0" in exposed(collector)

    assert [0.0, 10.0] == readings


def test_scrapes_at_the_same_time_share_a_reading() -> None:
    """Those that come while Redis is read wait for what it tells."""
    begun, going_on, readings = threading.Event(), threading.Event(), list[int]()

    def read() -> Reading:
        readings.append(1)
        begun.set()
        assert going_on.wait(10)
        return READING

    collector = JobsCollector(read)
    with ThreadPoolExecutor(8) as pool:
        pages = [pool.submit(exposed, collector)]
        assert begun.wait(10)
        pages += [pool.submit(exposed, collector) for _ in range(7)]
        going_on.set()

    assert 1 == len({page.result() for page in pages})
    assert [1] == readings


def test_no_registry_reads_redis_when_the_collector_is_registered() -> None:
    """Those of prometheus-client ask a collector for its names."""

    def read() -> Reading:
        raise AssertionError("nobody has asked yet")

    CollectorRegistry(auto_describe=True).register(JobsCollector(read))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_has_nothing_against_it() -> None:
    """Names, units and help as Prometheus wants them."""
    text = exposed(JobsCollector(lambda: READING))
    done = subprocess.run(
        ("promtool", "check", "metrics"),
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_percentiles_and_buckets_agree() -> None:
    """A page and Prometheus tell the same of the same classes."""
    seen = percentiles({19: 2})

    assert seen is not None
    assert value("machine_boot_seconds_bucket", how="created", le="1.478") == 0
    assert value("machine_boot_seconds_bucket", how="created", le="4.988") == 2
    assert 1.478 < seen.p50 <= 4.988


def test_the_page_lists_every_metric_with_its_labels() -> None:
    """And none that there is not."""
    page = Path(__file__).parents[3] / "docs" / "metrics.md"
    rows = re.findall(
        r"^\| `(worker_lib_\w+)` \| ([\w, ]*) ?\|", page.read_text(), re.MULTILINE
    )
    listed = {name: labels.strip() for name, labels in rows}
    there: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(
        exposed(JobsCollector(lambda: READING))
    ):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {word for one in family.samples for word in one.labels} - {"le"}
        there[name] = labels

    words = {name: set(text.split(", ")) - {""} for name, text in listed.items()}
    assert words == there
