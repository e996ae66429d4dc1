"""Thousands of calls: how many commands they take, and what they cost."""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING, Any

from waiting import until

from worker_lib import FlyExecutor

if TYPE_CHECKING:
    import pytest

    from worker_lib.client.client import Client


class Stalled:
    """Lets the commands that store calls through one by one, and counts them."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self._real = client.store.batches.enqueue
        monkeypatch.setattr(client.store.batches, "enqueue", self._store)

    def _store(self, shared: Any, calls: Any, part: Any) -> Any:
        self.sizes.append(len(calls))
        self.gate.wait(30)
        return self._real(shared, calls, part)


def test_what_gathers_while_a_command_is_under_way_goes_with_the_next(
    fly: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call is stored at once; 250 at most make a command."""
    stalled = Stalled(fly, monkeypatch)
    with FlyExecutor(2) as pool:
        first = pool.submit(abs, -1)
        until(lambda: stalled.sizes)
        found = [pool.submit(operator.neg, n) for n in range(600)]
        stalled.gate.set()

        assert 1 == first.result(30)
        assert [-n for n in range(600)] == [one.result(40) for one in found]
    assert [1, 250, 250, 100] == stalled.sizes


def test_functions_that_take_turns_do_not_spoil_it(
    fly: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of the same function go together."""
    stalled = Stalled(fly, monkeypatch)
    with FlyExecutor(2) as pool:
        first = pool.submit(abs, -1)
        until(lambda: stalled.sizes)
        for number in range(20):
            pool.submit(operator.neg, number)
            pool.submit(str, number)
            pool.submit(lambda x: x, number)
        stalled.gate.set()
        first.result(30)
    assert [1, 20, 20, 20] == stalled.sizes


def test_what_is_cancelled_before_it_is_stored_never_is(
    fly: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs no command."""
    stalled = Stalled(fly, monkeypatch)
    with FlyExecutor(1) as pool:
        first = pool.submit(abs, -1)
        until(lambda: stalled.sizes)
        found = [pool.submit(abs, -n) for n in range(10)]
        assert all(one.cancel() for one in found[::2])
        assert ["", "", ""] == [one.job_id for one in found[:5:2]]
        stalled.gate.set()
        first.result(30)
        assert [1, 3, 5, 7, 9] == [one.result(30) for one in found[1::2]]
    assert [1, 5] == stalled.sizes


def test_large_calls_make_smaller_commands(
    fly: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command holds 1 MB, unless one call alone is larger."""
    import os

    stalled = Stalled(fly, monkeypatch)
    with FlyExecutor(2) as pool:
        first = pool.submit(abs, -1)
        until(lambda: stalled.sizes)
        sizes = [400_000, 400_000, 400_000, 1_500_000, 10]
        found = [pool.submit(len, os.urandom(size)) for size in sizes]
        stalled.gate.set()
        first.result(30)
        assert sizes == [one.result(30) for one in found]
    assert [1, 2, 1, 1, 1] == stalled.sizes


def test_five_thousand_calls_take_a_handful_of_commands(
    fly: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To store them; and no more wake-ups than results come at once."""
    stored: list[int] = []
    real = fly.store.batches.enqueue

    def counted(shared: Any, calls: Any, part: Any) -> Any:
        stored.append(len(calls))
        return real(shared, calls, part)

    monkeypatch.setattr(fly.store.batches, "enqueue", counted)
    with FlyExecutor(2) as pool:
        found = [pool.submit(operator.neg, n) for n in range(5000)]
        assert [-n for n in range(5000)] == [one.result(50) for one in found]
    assert sum(stored) == 5000
    assert len(stored) < 500
