"""The cold start: from `delay` to the result, with no machine up, part by part."""

from __future__ import annotations

import itertools
import logging
import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from waiting import until

from worker_lib import fly_task

from .figures import Figure, Note
from .limits import run_python
from .tasks import noop

if TYPE_CHECKING:
    from worker_lib.client.client import Client
    from worker_lib.task import Task

    from .rig import Rig

__all__ = ["cold"]


class _Run(NamedTuple):
    """One cold call; milliseconds. `create` is a part of `boot`, all else adds up."""

    total: float
    enqueue: float
    permit: float
    boot: float
    create: float
    run: float
    wake: float


class _Creates(logging.Handler):
    """Remembers how long the launcher's last create call took."""

    last_ms = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Take the time from the launcher's own record."""
        if record.msg == "machine_created":
            self.last_ms = vars(record)["create_s"] * 1000


def cold(rig: Rig, *, runs: int) -> list[Figure | Note]:
    """Measure a task that travels by name, one by value, and a bare interpreter."""
    by_value = fly_task(max_machines=1)(lambda value: value)
    named, valued, bare = [], [], []
    logger, creates = logging.getLogger("worker_lib.launcher"), _Creates()
    logger.addHandler(creates)
    logger.setLevel(logging.INFO)
    with rig.client(machines=True) as client:
        for task in (noop, by_value):
            _run(rig, client, task, creates)
        for _ in range(runs):
            bare.append(run_python("pass"))
            named.append(_run(rig, client, noop, creates))
            valued.append(_run(rig, client, by_value, creates))
    logger.removeHandler(creates)
    return [
        _figure("cold start, task of a module", named, bare, "276 ms (Huey)"),
        _figure("cold start, lambda sent by value", valued, bare, ""),
        _parts("task of a module", named),
        _parts("lambda by value", valued),
    ]


def _run(rig: Rig, client: Client, task: Task[Any, Any], creates: _Creates) -> _Run:
    until(lambda: not client.launcher.api.list_machines())
    rig.refill(client)
    # All clocks are this computer's, so Redis's times can be set beside ours.
    began = time.time()
    job = task.delay(1)
    stored = time.time()
    job.result(30)
    ended = time.time()
    (attempt,) = job.attempts
    if attempt.boot_s is None or attempt.ended_at is None:
        raise RuntimeError(f"{job} did not start cold")
    launched = attempt.started_at - attempt.boot_s
    moments = (began, stored, launched, attempt.started_at, attempt.ended_at, ended)
    spans = [(b - a) * 1000 for a, b in itertools.pairwise(moments)]
    enqueue, permit, boot, run, wake = spans
    return _Run(
        (ended - began) * 1000, enqueue, permit, boot, creates.last_ms, run, wake
    )


def _figure(name: str, runs: list[_Run], bare: list[float], other: str) -> Figure:
    return Figure(
        name=name,
        unit="ms",
        samples=[run.total for run in runs],
        limit="python -c pass",
        limits=bare,
        orientation=other,
    )


def _parts(what: str, runs: list[_Run]) -> Note:
    middle = _Run(*(statistics.median(column) for column in zip(*runs, strict=True)))
    return Note(
        name=f"cold start of a {what}, ms",
        text=(
            f"delay {middle.enqueue:.1f} + launcher's turn {middle.permit:.1f} + "
            f"boot to claim {middle.boot:.1f} (of which the create call "
            f"{middle.create:.0f}) + run {middle.run:.1f} + wake {middle.wake:.1f}"
        ),
    )
