"""Calls that really run: real Redis, real machine processes, through the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs

if TYPE_CHECKING:
    from worker_lib.client.client import Client


def test_a_call_runs_on_a_machine_and_its_value_comes_back(client: Client) -> None:
    """The main promise: delay, run elsewhere, result."""
    job = jobs.add.delay(1, b=2)

    assert job.result(timeout=10) == 3
    assert job.status == "succeeded"
