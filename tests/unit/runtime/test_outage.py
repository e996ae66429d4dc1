"""How long a machine insists while Redis is away: it depends on what would be lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from worker_lib.errors import StoreUnavailable
from worker_lib.runtime import outage as outage_module
from worker_lib.runtime.outage import Outage
from worker_lib.runtime.stop import Stop, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AWAY = StoreUnavailable("nobody there")
REFUSED = StoreUnavailable("wrong password", reason="refused")


class Store:
    """Stands in for a machine's store: notes what was done to its connections."""

    def __init__(self) -> None:
        self.wire = self
        self.used = True
        self.done: list[str] = []

    def close(self) -> None:
        self.done.append("close")

    def hurry(self) -> None:
        self.done.append("hurry")


@pytest.fixture
def stop() -> Iterator[Stop]:
    """A stop that this process's signals reach, put back afterwards."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    made = Stop()
    made.catch_signals()
    yield made
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)
    made.wakeup.close()
    made._writer.close()


def make(stop: Stop, **changes: Any) -> tuple[Outage, Store]:
    """Return an outage that pauses hardly, and its store."""
    store: Any = Store()
    return Outage(store, stop, **{"longest_pause": 0.01, **changes}), store


def failing(error: Exception, times: int) -> Callable[[], str]:
    """Return a step that fails so often before it works."""
    left = [error] * times

    def step() -> str:
        if left:
            raise left.pop()
        return "done"

    return step


def test_a_step_is_sent_again_until_redis_answers(stop: Stop) -> None:
    """Whatever it returns is returned."""
    outage, _ = make(stop)

    assert "done" == outage.retry(failing(AWAY, 5))


def test_a_refusal_at_the_first_contact_is_final(stop: Stop) -> None:
    """A wrong password does not get better."""
    outage, _ = make(stop)

    with pytest.raises(StoreUnavailable, match="wrong password"):
        outage.retry(failing(REFUSED, 1))


def test_a_refusal_after_work_is_sat_out_for_a_while(
    stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a password changed too early; not for as long as an outage."""
    outage, _ = make(stop)
    outage.retry(failing(AWAY, 0))
    assert "done" == outage.retry(failing(REFUSED, 5))
    monkeypatch.setattr(outage_module, "_REFUSED", 0.05)

    with pytest.raises(StoreUnavailable, match="wrong password"):
        outage.retry(failing(REFUSED, 10_000))


def test_the_first_contact_is_awaited_less_long_than_a_later_one(
    stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it there is nothing to lose but money."""
    monkeypatch.setattr(outage_module, "_FIRST_CONTACT", 0.05)
    outage, _ = make(stop, longest=0.5)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        outage.retry(failing(AWAY, 10_000))
    assert time.monotonic() - began < 0.4
    outage.retry(failing(AWAY, 0))
    began = time.monotonic()

    with pytest.raises(StoreUnavailable):
        outage.retry(failing(AWAY, 10_000))
    assert 0.5 <= time.monotonic() - began


def test_while_a_job_runs_nothing_is_given_up(
    stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end with the machine; what it returns may still be told."""
    monkeypatch.setattr(outage_module, "_REFUSED", 0.0)
    outage, _ = make(stop)
    outage.answered()

    assert 0 < outage.failed(REFUSED, gives_up=False) <= 0.01
    with pytest.raises(StoreUnavailable, match="wrong password"):
        outage.failed(REFUSED)


def test_a_signal_ends_a_step_that_blocks(stop: Stop) -> None:
    """It is sent again once more, on a new connection and in a hurry."""
    outage, store = make(stop)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    calls: list[int] = []

    def step() -> str:
        calls.append(1)
        if len(calls) == 1:
            time.sleep(30)
        return "done"

    assert "done" == outage.retry(step)
    assert ["close", "hurry"] == store.done


def test_a_signal_ends_a_pause(stop: Stop) -> None:
    """And the machine leaves when its grace is over."""
    outage, _ = make(stop, longest_pause=30.0)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    began = time.monotonic()

    assert outage.retry(failing(AWAY, 10_000), grace=0.3) is None
    assert time.monotonic() - began < 3


def test_what_was_never_sent_is_not_sent_again(stop: Stop) -> None:
    """A machine that never reached Redis leaves at the signal."""
    outage, store = make(stop)
    store.used = False
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    began = time.monotonic()

    assert outage.retry(failing(AWAY, 10_000), grace=30) is None
    assert time.monotonic() - began < 3


def test_no_signal_interrupts_what_may_not_be(stop: Stop) -> None:
    """Outside of a step the request is noted, and nothing is raised."""
    os.kill(os.getpid(), signal.SIGTERM)
    stop.wait(5)
    assert stop.asked
    os.kill(os.getpid(), signal.SIGTERM)
    stop.wait(5)

    assert 1 == stop.may_interrupt(lambda: 1)


def test_an_interrupted_step_tells_so(stop: Stop) -> None:
    """By an exception of its own."""

    def step() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    with pytest.raises(Stopped):
        stop.may_interrupt(step)
