"""Waiting in a thread for async callers."""

from __future__ import annotations

import asyncio

import pytest

from worker_lib.client import waiters


def test_awaiting_a_job_that_raised_stop_iteration_ends() -> None:
    """A future does not take StopIteration: the caller would wait for ever."""

    def function() -> None:
        raise StopIteration("no more")

    async def wait() -> None:
        await asyncio.wait_for(waiters.in_thread(function), 2)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(wait())
