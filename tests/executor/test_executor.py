"""`FlyExecutor` where CPython's tests do not reach: what is its own, and machines'."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import operator
import os
import pickle
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any

import jobs
import plain
import pytest
from waiting import until

from worker_lib import (
    ArgumentsNotEncodable,
    ConfigError,
    FlyExecutor,
    Job,
    JobFailed,
    JobTimeout,
    PayloadError,
    PayloadTooLarge,
    Retry,
    fly_task,
    hooks,
)
from worker_lib.client import client as client_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.client.futures import FlyFuture


def threads() -> list[str]:
    """Return the names of the threads of executors."""
    return [one.name for one in threading.enumerate() if "executor" in one.name]


@pytest.fixture
def pool(fly: Client) -> Iterator[FlyExecutor]:
    """Yield an executor with a machine that is up."""
    with FlyExecutor(2) as made:
        made.submit(pow, 2, 2).result(20)
        yield made


@pytest.fixture
def alone(fly: Client, tmp_path: Path) -> Iterator[FlyExecutor]:
    """Yield an executor whose only machine is busy until the file `gate` is there."""
    started = tmp_path / "started"
    # A machine that may run several takes the next ones a moment ahead.
    with FlyExecutor(1, isolate=True) as made:
        running = made.submit(jobs.waits_for, str(tmp_path / "gate"), str(started))
        until(started.exists)
        yield made
        (tmp_path / "gate").touch()
        assert running.result(20) == running.job_id


def test_an_executor_that_is_not_used_starts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No settings are read, no local stack is started, no thread, no command."""

    def refuse() -> Client:
        raise AssertionError("it made a client")

    monkeypatch.setattr(client_module, "default_client", refuse)
    with FlyExecutor(3) as made:
        assert [] == threads()
        assert "" == made.batch_id
    made.shutdown(cancel_futures=True)


def test_no_thread_is_left_after_shutdown(pool: FlyExecutor) -> None:
    """They end as soon as the last future is settled."""
    found = [pool.submit(abs, -n) for n in range(20)]
    pool.shutdown()

    assert [] == threads()
    assert list(range(20)) == [one.result(0) for one in found]


def test_threads_end_while_nothing_is_under_way(pool: FlyExecutor) -> None:
    """And others take their place with the next call."""
    until(lambda: not threads(), within=5)

    assert 8 == pool.submit(pow, 2, 3).result(20)


def test_an_executor_that_is_dropped_does_what_was_submitted(fly: Client) -> None:
    """As those of the standard library."""
    made = FlyExecutor(2)
    found = [made.submit(abs, -n) for n in range(5)]
    del made
    gc.collect()

    assert [0, 1, 2, 3, 4] == [one.result(20) for one in found]
    until(lambda: not threads(), within=5)


def test_shutdown_without_wait_lets_calls_go_on(alone: FlyExecutor) -> None:
    """Their results come all the same."""
    later = alone.submit(pow, 3, 2)
    alone.shutdown(wait=False)

    assert not later.done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        alone.submit(pow, 3, 2)


def test_shutdown_closes_the_batch(fly: Client) -> None:
    """Whoever looks at it elsewhere sees that it is over."""
    with FlyExecutor(2) as made:
        list(made.map(abs, range(7)))

    news = fly.store.batches.news(made.batch_id)
    assert news is not None
    assert (7, True) == (news.seen.total, news.seen.is_over)


def test_a_call_that_waits_is_cancelled_in_redis(
    alone: FlyExecutor, fly: Client, ledger: Ledger
) -> None:
    """It never runs."""
    waiting = alone.submit(jobs.works, str(ledger))
    until(lambda: waiting.job_id and fly.store.look(waiting.job_id)[0])

    assert waiting.cancel()
    assert waiting.cancel(), "and it says so again"
    assert waiting.cancelled()
    assert "cancelled" == Job.get(waiting.job_id).status
    with pytest.raises(futures.CancelledError):
        waiting.result(0)
    assert ({waiting}, set()) == futures.wait([waiting], timeout=5)
    assert [] == ledger.starts


def test_a_call_that_runs_cannot_be_cancelled(fly: Client, tmp_path: Path) -> None:
    """As a function that runs in a thread cannot."""
    gate, started = tmp_path / "gate", tmp_path / "started"
    with FlyExecutor(1) as made:
        running = made.submit(jobs.waits_for, str(gate), str(started))
        until(started.exists)

        assert running.running()
        assert not running.cancel()
        gate.touch()
        assert running.result(20) == running.job_id
        assert not running.running()
        assert not running.cancel()


def test_a_job_that_somebody_else_cancels_is_a_cancelled_future(
    alone: FlyExecutor, fly: Client
) -> None:
    """By the command line, or another process."""
    waiting = alone.submit(abs, -1)
    until(lambda: waiting.job_id and fly.store.look(waiting.job_id)[0])
    assert Job.get(waiting.job_id).cancel()

    with pytest.raises(futures.CancelledError):
        waiting.result(20)


def test_many_threads_may_submit_at_once(pool: FlyExecutor) -> None:
    """Nothing is lost or mixed up."""

    def some(first: int) -> list[FlyFuture[int]]:
        return [pool.submit(operator.neg, n) for n in range(first, first + 50)]

    with futures.ThreadPoolExecutor(8) as threads_:
        lots = list(threads_.map(some, range(0, 400, 50)))

    found = [one.result(40) for one in itertools.chain(*lots)]
    assert [-n for n in range(400)] == found


def test_callbacks_may_submit_and_shut_down(pool: FlyExecutor) -> None:
    """They run in the thread that waits for results, which must not wait for itself."""
    seen: list[Any] = []

    def ended(_: object) -> None:
        seen.append(pool.submit(pow, 2, 5))
        pool.shutdown()

    pool.submit(abs, -1).add_done_callback(ended)
    until(lambda: seen)

    assert 32 == seen[0].result(20)


def test_a_callback_that_raises_stops_nothing(
    pool: FlyExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    """The standard library logs it."""
    first = pool.submit(abs, -1)
    first.add_done_callback(lambda _: 1 / 0)

    assert 1 == first.result(20)
    assert 2 == pool.submit(abs, -2).result(20)
    until(lambda: "exception calling callback" in caplog.text)


class Shop:
    """Has methods of each kind."""

    def __init__(self, discount: int) -> None:
        self.discount = discount

    def price(self, full: int) -> int:
        """Return the price."""
        return full - self.discount

    @classmethod
    def name(cls) -> str:
        """Return the name."""
        return cls.__name__

    def __call__(self, full: int) -> int:
        """Return the price."""
        return self.price(full)


@fly_task(machine="performance-16x")
def doubled(value: int) -> int:
    """Return twice the value."""
    return 2 * value


async def halved(value: int) -> int:
    """Return half the value, later."""
    await asyncio.sleep(0)
    return value // 2


CALLABLES: list[tuple[Callable[..., Any], tuple[Any, ...], Any]] = [
    (pow, (2, 3), 8),
    (str, (5,), "5"),
    (lambda x: x + 1, (1,), 2),
    (functools.partial(pow, 2), (4,), 16),
    (Shop(5).price, (7,), 2),
    (Shop(5), (7,), 2),
    (Shop.name, (), "Shop"),
    ("a,b".split, (",",), ["a", "b"]),
    (operator.itemgetter(1), ("ab",), "b"),
    (doubled, (4,), 8),
    (halved, (4,), 2),
]


@pytest.mark.parametrize(("function", "args", "value"), CALLABLES)
def test_whatever_can_be_called_can_be_submitted(
    pool: FlyExecutor, function: Callable[..., Any], args: Any, value: Any
) -> None:
    """Functions by name or by value, methods, partials, classes, tasks."""
    assert value == pool.submit(function, *args).result(20)
    if args:
        twice = pool.map(function, *([one] * 2 for one in args), chunksize=2)
        assert [value] * 2 == list(twice)


def test_a_closure_takes_along_what_it_holds_at_that_moment(pool: FlyExecutor) -> None:
    """Not what it held at the first call."""
    step = 1

    def stepped(x: int) -> int:
        return x + step

    first = pool.submit(stepped, 1)
    step = 10

    assert [2, 11] == [first.result(20), pool.submit(stepped, 1).result(20)]


def test_arguments_are_those_of_the_moment_of_the_call(pool: FlyExecutor) -> None:
    """What is changed afterwards changes nothing."""
    items, large = [1], bytearray(200_000)
    found, none = pool.submit(len, items), pool.submit(any, large)
    items.append(2)
    large[:] = b"x" * len(large)

    assert (1, False) == (found.result(20), none.result(20))


def test_what_is_no_function_is_refused_at_once(pool: FlyExecutor) -> None:
    """Where it is written, not on a machine."""
    with pytest.raises(TypeError, match="int cannot be called"):
        pool.submit(5)  # type: ignore[arg-type]  # that is the point


def test_what_cannot_be_pickled_is_an_error_of_its_future(pool: FlyExecutor) -> None:
    """As with a process pool; it says which argument it is."""
    with pytest.raises(ArgumentsNotEncodable, match=r"argument 1 of .*repr is a lock"):
        pool.submit(repr, threading.Lock()).result(0)
    with pytest.raises(pickle.PicklingError):
        pool.submit(threading.Lock().acquire).result(0)
    assert 1 == pool.submit(abs, -1).result(20)


def test_what_is_too_large_is_an_error_of_its_future(
    pool: FlyExecutor, fly: Client
) -> None:
    """And of no other."""
    large = os.urandom(fly.settings.max_payload_bytes + 1)
    found = [pool.submit(len, one) for one in (b"a", large, b"ab")]

    assert (1, 2) == (found[0].result(20), found[2].result(20))
    with pytest.raises(PayloadTooLarge, match="builtins:len: "):
        found[1].result(20)


def test_an_exception_brings_the_remote_traceback_along(pool: FlyExecutor) -> None:
    """As its cause, which a traceback shows."""
    with pytest.raises(ValueError, match="on a machine") as caught:
        pool.submit(jobs.boom, "on a machine").result(20)

    cause = caught.value.__cause__
    assert isinstance(cause, JobFailed)
    assert "raise ValueError(text)" in cause.remote_traceback
    assert "raise ValueError(text)" in str(cause)


def test_a_machine_lets_go_of_arguments(pool: FlyExecutor, tmp_path: Path) -> None:
    """At the latest when the next call runs."""
    gone = tmp_path / "gone"
    pool.submit(plain.path_of, plain.Sign(str(gone))).result(20)

    pool.submit(abs, -1).result(20)
    until(lambda: {*gone.read_text().split()} - {str(os.getpid())})


def test_a_result_that_would_end_the_program_is_an_error(pool: FlyExecutor) -> None:
    """A process that waits for one cannot be ended by what it unpickles."""
    with pytest.raises(PayloadError, match="cannot be loaded here"):
        pool.submit(plain.ExitsWhenLoaded).result(20)
    assert 1 == pool.submit(abs, -1).result(20)


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"initializer": print}, "takes no initializer=: a machine imports"),
    ({"initargs": (1,)}, "takes no initargs="),
    ({"mp_context": object()}, "takes no mp_context="),
    ({"max_tasks_per_child": 3}, "isolate=True"),
    ({"thread_name_prefix": "x"}, "takes no thread_name_prefix="),
    ({"key": "x"}, "takes no key=: that is of one call"),
    ({"delay": "1s"}, "takes no delay="),
    ({"max_workers": 2, "max_machines": 2}, "say the same"),
    ({"memry_mb": 512}, "memory_mb"),
    ({"max_machines": 0}, "max_machines"),
    ({"machine": "shared-cpu-3x"}, "shared-cpu"),
]


@pytest.mark.parametrize(("options", "told"), OPTIONS)
def test_options_that_cannot_be_are_refused_where_they_are_written(
    options: dict[str, Any], told: str
) -> None:
    """With the remedy."""
    with pytest.raises(ConfigError, match=told):
        FlyExecutor(**options)


def test_options_of_tasks_hold_for_the_calls(fly: Client, tmp_path: Path) -> None:
    """Those of time and of retries, as an example."""
    with FlyExecutor(
        1, timeout="3s", retry=Retry(max_attempts=2, backoff="10ms")
    ) as made:
        late = made.submit(time.sleep, 30)
        again = made.submit(jobs.succeeds_at_last, str(tmp_path / "tries"), 2)

        assert 2 == again.result(20)
        with pytest.raises(JobTimeout):
            late.result(20)
    assert 2 == len(Job.get(again.job_id).attempts)


def test_each_call_may_have_a_machine_of_its_own(fly: Client) -> None:
    """As `max_tasks_per_child=1` does with processes."""
    with FlyExecutor(2, isolate=True) as made:
        assert 3 == len(set(made.map(lambda _: os.getpid(), range(3))))


@pytest.mark.parametrize(("options", "longest"), [({}, 601), ({"result_ttl": "1h"}, 0)])
def test_jobs_that_succeeded_are_forgotten_soon_unless_told_otherwise(
    fly: Client, redis_time_to_live: Callable[[str], float], options: Any, longest: int
) -> None:
    """Their results have been read."""
    with FlyExecutor(1, **options) as made:
        found = made.submit(abs, -1)
        found.result(20)

    left = redis_time_to_live(f"job:{found.job_id}")
    assert left <= longest if longest else left > 1000


def test_map_submits_without_being_iterated(fly: Client, ledger: Ledger) -> None:
    """At once, as the executors of the standard library."""
    with FlyExecutor(2) as made:
        made.map(jobs.works, [str(ledger)] * 5)

    assert 5 == len(ledger.ends)


def test_map_works_with_an_endless_iterable(pool: FlyExecutor) -> None:
    """No more is taken of it than the buffer holds."""
    taken = itertools.count()
    found = pool.map(abs, taken, buffersize=4)

    assert [0, 1, 2] == list(itertools.islice(found, 3))
    assert next(taken) <= 3 + 4 + 1
    found.close()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize("chunksize", [1, 3])
def test_map_that_is_left_cancels_what_has_not_started(
    alone: FlyExecutor, fly: Client, chunksize: int
) -> None:
    """Nobody will read it."""
    found = alone.map(abs, range(9), timeout=0, chunksize=chunksize)
    with pytest.raises(TimeoutError):
        next(found)

    news = fly.store.batches.news(alone.batch_id)
    assert news is not None
    assert news.seen.counts.keys() <= {"running", "cancelled"}


def test_an_item_that_fails_spoils_no_other_of_its_chunk(pool: FlyExecutor) -> None:
    """Results before it come as usual."""
    found = pool.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5], chunksize=4)

    assert [(0, 1), (0, 1)] == [next(found), next(found)]
    with pytest.raises(ZeroDivisionError):
        next(found)


@pytest.mark.parametrize("wrong", [{"chunksize": 0}, {"buffersize": 0}])
def test_map_refuses_sizes_that_cannot_be(pool: FlyExecutor, wrong: Any) -> None:
    """With the words of the standard library."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        pool.map(abs, [1], **wrong)


def test_hooks_are_called_for_each_call(pool: FlyExecutor) -> None:
    """With headers that travel along, and the id once the job is stored."""
    told: list[tuple[str, str]] = []

    def before(event: hooks.Event) -> None:
        event.headers["x"] = "y"

    def after(event: hooks.Event) -> None:
        told.append((event.job_id, event.error_type))

    with hooks.scoped():
        hooks.before_enqueue(before)
        hooks.after_enqueue(after)
        good = pool.submit(plain.header, "x")
        pool.submit(repr, threading.Lock())
        assert "y" == good.result(20)
        until(lambda: len(told) == 2)
    assert {good.job_id, ""} == {job_id for job_id, _ in told}


def test_a_job_may_use_an_executor_itself(pool: FlyExecutor) -> None:
    """Its calls are of the next generation."""
    assert [0, 1, 4] == pool.submit(plain.squares_on_machines, 3).result(40)
