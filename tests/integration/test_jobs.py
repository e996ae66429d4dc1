"""Calls that really run: real Redis, real machine processes, through the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs

from worker_lib import fly_task

if TYPE_CHECKING:
    from worker_lib.client.client import Client


def test_a_call_runs_on_a_machine_and_its_value_comes_back(client: Client) -> None:
    """The main promise: delay, run elsewhere, result."""
    job = jobs.add.delay(1, b=2)

    assert job.result(timeout=10) == 3
    assert job.status == "succeeded"


def test_a_call_that_may_run_once_is_fetched_at_once_by_a_machine_that_waits(
    client: Client,
) -> None:
    """Its word may come before the answer that the machine is to wait."""
    once = fly_task(linger="30s", on_lost="fail")(jobs.add.fn)

    assert list(range(25)) == [once.delay(n, 0).result(timeout=9) for n in range(25)]
