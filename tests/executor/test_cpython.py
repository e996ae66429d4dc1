"""CPython's own tests of executors, with machines in place of threads and processes."""

from __future__ import annotations

import threading
import unittest
from typing import TYPE_CHECKING, Any

import cpython_tests
import pytest
from cpython_tests import LEFT_OUT, RUN, cases_of
from waiting import until

from worker_lib import FlyExecutor, JobFailed, PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from worker_lib.client.client import Client

pytestmark = pytest.mark.processes_only("containers do not see CPython's tests")
theirs = cpython_tests.load()


@pytest.fixture(autouse=True)
def _machines(
    fly: Client, idle_machines: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a pool would break, it is one call that fails here."""
    monkeypatch.setattr(theirs, "BrokenProcessPool", (JobFailed, PayloadError))
    monkeypatch.setattr(WithMachines, "idle_machines", staticmethod(idle_machines))


class _Executor(FlyExecutor):
    """Cancels nothing before a machine has begun, which takes longer than a thread."""

    _first: Future[Any] | None = None

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Note the first call."""
        future = super().submit(fn, *args, **kwargs)
        if self._first is None or self._first.done():
            self._first = future
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the beginning of the first call that has not ended."""
        if cancel_futures and (first := self._first):
            until(lambda: first.running() or first.done())
        super().shutdown(wait, cancel_futures=cancel_futures)


class WithMachines(theirs.ExecutorMixin):  # type: ignore[name-defined, misc]
    """Makes the executor of each test, and sees that it leaves no thread."""

    executor_type = _Executor
    idle_machines: Callable[[], int] = int  # set by the fixture above

    def setUp(self) -> None:
        """Have a machine wait for calls, as the threads of a pool do."""
        super().setUp()
        self.executor.submit(pow, 2, 2).result(timeout=20)
        until(self.idle_machines)

    def tearDown(self) -> None:
        """Shut down."""
        super().tearDown()
        left = [one.name for one in threading.enumerate() if "executor" in one.name]
        assert [] == left

    def get_context(self) -> None:
        """There is no way to choose how machines start their processes."""


def _with_machines(name: str) -> type[unittest.TestCase]:
    """Return the tests that a class of theirs has of its own, with our executor."""
    kind = getattr(theirs, name)
    own = [test for test in cases_of(theirs)[name] if f"{name}.{test}" not in LEFT_OUT]
    without = {test: None for test in dir(kind) if test.startswith("test")}
    for test in own:
        del without[test]
    bases = (kind, WithMachines, unittest.TestCase)
    made: type[unittest.TestCase] = type(f"{name}WithMachines", bases, without)
    return made


for _name in RUN:
    globals()[f"{_name}WithMachines"] = _with_machines(_name)


def test_every_test_of_theirs_runs_or_is_left_out_with_a_reason() -> None:
    """None is forgotten, and none is left out that is not there."""
    everything = {
        f"{name}.{test}"
        for name, tests in cases_of(theirs).items()
        for test in (tests if name != "FutureTests" else [])
    } | {"FutureTests."}
    running = {
        f"{name}.{test}"
        for name in RUN
        for test in dir(globals()[f"{name}WithMachines"])
        if test.startswith("test")
        and getattr(globals()[f"{name}WithMachines"], test) is not None
    }

    assert set() == running & LEFT_OUT.keys()
    assert everything == running | LEFT_OUT.keys()
