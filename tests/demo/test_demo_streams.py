"""What a browser hears of a job, and for how long."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from demo.streams import events
from worker.tasks import make_report
from worker_lib.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker_lib import Job
    from worker_lib.client.client import Client
    from worker_lib.job import JobInfo


class Watched:
    """A job whose changes are given beforehand, one list for each look."""

    def __init__(self, *looks: list[JobInfo]) -> None:
        self._looks = iter(looks)

    def watch(self, timeout: float) -> Iterator[JobInfo]:
        """Yield the changes of the next look; fail if there is none."""
        for look in self._looks:
            return iter(look)
        raise StoreUnavailable("Redis cannot be reached")


@pytest.fixture
def queued(client: Client) -> JobInfo:
    """A job that waits."""
    return make_report.options(delay="1h").delay("Figures", 1).info()


def _heard(
    job: Watched,
    clock: Callable[[], float] = lambda: 0.0,
    gone: Callable[[], bool] = lambda: True,
    settle: Callable[[JobInfo], None] = lambda _: None,
) -> list[str]:
    def document(info: JobInfo) -> dict[str, Any]:
        return {"is": info.status, "settled": info.final and gone()}

    stream = events(cast("Job[Any]", job), document, settle, clock)
    return [text.strip() for text in stream]


def _told(status: str, *, settled: bool = False) -> str:
    return _event("job", **{"is": status, "settled": settled})


def _event(name: str, **data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}"


def test_each_change_is_told_once_and_the_end_is_named(queued: JobInfo) -> None:
    """So that the browser does not come back after it."""
    running = queued._replace(status="running")
    done = queued._replace(status="succeeded")

    assert [
        "retry: 1000",
        _told("scheduled"),
        _told("running"),
        ": still here",
        _told("succeeded", settled=True),
        _event("end"),
    ] == _heard(Watched([queued, running], [running, done]))


def test_the_end_comes_after_the_machine_has_gone(queued: JobInfo) -> None:
    """With what the page then knows of its life."""
    done = queued._replace(status="succeeded")
    waited: list[str] = []

    heard = _heard(
        Watched([done]),
        gone=lambda: bool(waited),
        settle=lambda info: waited.append(info.status),
    )

    assert ["succeeded"] == waited
    assert [
        "retry: 1000",
        _told("succeeded", settled=False),
        _told("succeeded", settled=True),
        _event("end"),
    ] == heard


def test_a_machine_that_goes_while_the_end_is_told_is_told_of(queued: JobInfo) -> None:
    """What counts is what the page was told, not what is so a moment later."""
    done = queued._replace(status="succeeded")
    looks = iter([False, True])

    heard = _heard(Watched([done]), gone=lambda: next(looks))

    assert _told("succeeded", settled=True) == heard[-2]


def test_a_stream_ends_after_a_minute(queued: JobInfo) -> None:
    """With a sign of life each 15 seconds, which finds out who has gone."""
    ticks = itertools.chain([0.0], (15.0 * n for n in itertools.count()))
    heard = _heard(Watched(*[[queued]] * 10), lambda: next(ticks))

    assert ["retry: 1000", _told("scheduled")] == heard[:2]
    assert [": still here"] * 3 == heard[2:]


def test_a_stream_ends_quietly_if_the_job_cannot_be_read(queued: JobInfo) -> None:
    """The browser comes back, and the answer then says why."""
    assert ["retry: 1000", _told("scheduled")] == _heard(Watched([queued]))
