"""Many calls at once: stored, counted, waited for, read, cancelled, run again."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

import hooked
import jobs
import pytest
from waiting import until

from worker_lib import (
    ArgumentsNotEncodable,
    Batch,
    BatchNotFound,
    ConfigError,
    Job,
    JobCancelled,
    JobError,
    JobFailed,
    PartlyStored,
    PayloadTooLarge,
    StoreUnavailable,
    WaitTimeout,
    fly_task,
    hooks,
)
from worker_lib.store.connection import Connection
from worker_lib.store.limits import BULK_JOBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos import ChaosProxy
    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator
    from worker_lib.settings import Settings


@pytest.fixture
def idle(make_client: Callable[..., Client], emulator: Emulator) -> Client:
    """A client whose calls wait: it has no token, so it launches nothing."""
    return make_client(emulator, fly_api_token="")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that this thread sends to Redis, in a list that grows."""
    told: list[str] = []
    here = threading.current_thread()
    run, block = Connection.run, Connection.block

    def counted_run(self: Connection, script: Any, *rest: Any, **named: Any) -> Any:
        if threading.current_thread() is here:
            told.append("script")
        return run(self, script, *rest, **named)

    def counted_block(self: Connection, *command: Any) -> Any:
        if threading.current_thread() is here:
            told.append("block")
        return block(self, *command)

    monkeypatch.setattr(Connection, "run", counted_run)
    monkeypatch.setattr(Connection, "block", counted_block)
    return told


def test_values_come_in_the_order_of_the_calls(client: Client) -> None:
    """And the batch tells how far it is."""
    batch = jobs.add.delay_many([(number, 1) for number in range(600)])

    assert [number + 1 for number in range(600)] == list(batch.results(timeout=30))
    assert batch.done
    assert (600, 600, 600) == (len(batch), batch.total, batch.counts["succeeded"])
    assert 0 == batch.counts["queued"]
    assert batch.wait(timeout=0)


def test_a_batch_is_opened_again_by_its_id(client: Client) -> None:
    """In any process; a pickled one is its id alone."""
    batch = jobs.add.delay_many([(1, 2), (3, 4)])

    for again in (Batch.get(batch.id), pickle.loads(pickle.dumps(batch))):
        assert batch == again
        assert [3, 7] == list(again.results(timeout=30))
    assert [3, 7] == [job.result(timeout=5) for job in batch.jobs()]
    assert 7 == Job.get(list(batch.jobs())[1].id).result(timeout=5)
    with pytest.raises(BatchNotFound, match="there is no batch 0123456789abcdef"):
        Batch.get("0123456789abcdef")


def test_ten_thousand_calls_take_few_commands(client: Client, sent: list[str]) -> None:
    """One for 250 calls, few while they run, a few for hundreds of outcomes."""
    batch = jobs.add.delay_many((number, 0) for number in range(10_000))
    stored = len(sent)
    assert batch.wait(timeout=50)
    waited = len(sent) - stored
    values = list(batch.results(timeout=10))
    read = len(sent) - stored - waited

    assert list(range(10_000)) == values
    assert (True, True, True) == (stored <= 60, waited <= 50, read <= 60)


def test_outcomes_that_are_read_as_they_come_take_few_commands(
    client: Client, sent: list[str]
) -> None:
    """However many jobs end in a second."""
    batch = jobs.add.delay_many((number, 0) for number in range(3_000))
    stored, began = len(sent), time.monotonic()
    values = list(batch.results(timeout=50))
    took = time.monotonic() - began

    assert list(range(3_000)) == values
    assert 70 * (took + 1) >= len(sent) - stored


def test_results_as_they_end(client: Client, tmp_path: Path) -> None:
    """The first call holds up no other."""
    gate = tmp_path / "gate"
    slow = jobs.works.options(max_machines=2)
    batch = slow.delay_many(
        [(str(tmp_path / "ledger"), str(gate), 0.0, 0)]
        + [(str(tmp_path / "ledger"), "", 0.0, number) for number in range(1, 20)]
    )
    results = batch.results(ordered=False, timeout=30)
    first = [next(results) for _ in range(19)]
    gate.touch()

    assert set(range(1, 20)) == set(first)
    assert [0] == list(results)


def test_an_error_is_raised_in_its_turn_and_the_others_go_on(client: Client) -> None:
    """`raise` is for those who want none to fail."""
    batch = jobs.add.delay_many([(1, 1), ("x", 1), (3, 1)])
    results = batch.results(timeout=30)

    assert 2 == next(results)
    with pytest.raises(TypeError):
        next(results)
    assert batch.wait(timeout=30)
    assert (2, 1) == (batch.counts["succeeded"], batch.counts["failed"])


def test_errors_are_collected_in_the_place_of_values(client: Client) -> None:
    """With the remote failure as their cause."""
    batch = jobs.add.delay_many([(1, 1), ("x", 1), (3, 1)])
    first, failed, last = batch.results(errors="collect", timeout=30)

    assert (2, 4) == (first, last)
    assert isinstance(failed, TypeError)
    assert isinstance(failed.__cause__, JobFailed)
    assert list(batch.jobs())[1].id in str(failed.__cause__)


def test_what_failed_is_run_again_as_a_batch_of_its_own(
    client: Client, sent: list[str]
) -> None:
    """In the order of the calls, and in few commands."""
    texts = [str(number) for number in range(300)]
    batch = jobs.boom.delay_many([(text,) for text in texts])
    batch.wait(timeout=30)
    before = len(sent)
    again = batch.retry_failed()
    assert 20 >= len(sent) - before
    errors = list(again.results(errors="collect", timeout=30))

    assert texts == [str(error) for error in errors]
    assert again != batch
    done = jobs.add.delay_many([(1,)])
    assert done.wait(timeout=30)
    with pytest.raises(JobError, match="has failed"):
        done.retry_failed()


def test_only_what_failed_is_run_again(client: Client, tmp_path: Path) -> None:
    """Those that succeeded are left alone."""
    path = str(tmp_path / "tries")
    batch = jobs.succeeds_at_last.options(retry=1, max_machines=1).delay_many(
        [(path, 2), (path, 1), (path, 4)]
    )
    assert batch.wait(timeout=30)
    assert 2 == batch.counts["failed"]
    again = batch.retry_failed()

    assert 2 == len(list(again.results(errors="collect", timeout=30))) == len(again)


def test_a_cancelled_batch_ends_at_once(idle: Client) -> None:
    """Each of its jobs is cancelled, and only once."""
    batch = jobs.add.delay_many([(number,) for number in range(700)])

    assert 700 == batch.cancel()
    assert 0 == batch.cancel()
    assert batch.wait(timeout=0)
    assert 700 == batch.counts["cancelled"]
    found = list(batch.results(errors="collect"))
    assert 700 == len(found)
    assert all(isinstance(error, JobCancelled) for error in found)


def test_a_wait_that_takes_too_long_says_so(idle: Client) -> None:
    """The jobs go on."""
    batch = jobs.add.delay_many([(1,), (2,)])

    assert not batch.wait(timeout=0.1)
    assert not batch.done
    with pytest.raises(WaitTimeout, match=r"after 0\.1 s: 0 of 2 jobs have ended"):
        list(batch.results(timeout=0.1))
    with pytest.raises(WaitTimeout):
        list(batch.results(timeout=0))
    assert 2 == batch.counts["queued"]


def test_one_who_waits_is_woken_once(client: Client, tmp_path: Path) -> None:
    """Not at the end of each job."""
    gate = tmp_path / "gate"
    batch = jobs.waits_for.options(max_machines=3).delay_many([(str(gate),)] * 3)
    batch.wait(timeout=0.1)
    until(lambda: batch.counts["running"] == 3, within=30)
    waits: list[float] = []
    real = client.store.batches.wait

    def counted(waiter: str, timeout: float) -> bool:
        waits.append(timeout)
        return real(waiter, timeout)

    client.store.batches.wait = counted  # type: ignore[method-assign]
    thread = threading.Thread(target=batch.wait, args=(30,))
    thread.start()
    until(lambda: bool(waits))
    gate.touch()
    thread.join(30)

    assert 3 >= len(waits)
    assert batch.done


def test_a_bad_call_of_the_first_part_leaves_nothing(idle: Client) -> None:
    """The error has its index."""
    cases: list[tuple[type[Exception], Any, str]] = [
        (ArgumentsNotEncodable, (threading.Lock(),), "call 7: argument 1 of jobs:echo"),
        (PayloadTooLarge, (b"\0" + __import__("os").urandom(9_000_000),), "call 7: "),
        (TypeError, (1, 2), "call 7: jobs:echo"),
        (TypeError, "text", "call 7 of jobs:echo is a str: give a tuple"),
    ]
    for kind, bad, text in cases:
        with pytest.raises(kind, match=text):
            jobs.echo.delay_many([(0,)] * 7 + [bad])
    assert [] == idle.store.recent(10)


@pytest.mark.parametrize("given", ["text", {"a": 1}, [1, 2]])
def test_what_is_no_list_of_tuples_is_told_as_that(idle: Client, given: Any) -> None:
    """A text is an iterable, too."""
    with pytest.raises(TypeError, match=r"call 0 of jobs:add is a \w+: give a tuple"):
        jobs.add.delay_many(given)


def test_what_cannot_be_iterated_is_told_as_that(idle: Client) -> None:
    """Before anything is connected to."""
    with pytest.raises(TypeError, match="a int is no iterable of calls"):
        jobs.add.delay_many(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"key": "k"}, {"key": "k", "unique_for": "1h"}])
def test_what_belongs_to_one_call_is_refused(
    idle: Client, options: dict[str, Any]
) -> None:
    """All calls would be one job."""
    with pytest.raises(ConfigError, match="key= belongs to one call, not to many"):
        jobs.add.options(**options).delay_many([(1,)])


def test_options_that_calls_share_are_theirs(idle: Client) -> None:
    """Tags, queue, priority and delay."""
    task = jobs.add.options(
        tags={"a": "b"}, queue="high", priority=3, delay="1h", expires="2h"
    )
    infos = [job.info() for job in task.delay_many([(1,), (2,)]).jobs()]

    assert [("high", 3, {"a": "b"}, "scheduled")] * 2 == [
        (info.queue, info.priority, dict(info.tags), info.status) for info in infos
    ]


def test_no_calls_are_an_empty_batch(idle: Client) -> None:
    """As of a query that found nothing."""
    batch = jobs.add.delay_many([])

    assert [] == list(batch.results(timeout=1))
    assert batch.wait(timeout=1)
    assert (True, 0, 0, 0) == (batch.done, len(batch), batch.total, batch.cancel())
    assert Batch.get(batch.id) == batch


def test_a_bad_call_of_a_later_part_tells_what_is_stored(idle: Client) -> None:
    """And the batch is complete with that."""
    calls: list[Any] = [(number,) for number in range(BULK_JOBS + 10)]
    with pytest.raises(PartlyStored) as caught:
        jobs.echo.delay_many([*calls, (threading.Lock(),)])

    error = caught.value
    assert (BULK_JOBS, BULK_JOBS + 11) == (error.stored, error.total)
    assert isinstance(error.__cause__, ArgumentsNotEncodable)
    assert f"the first {BULK_JOBS} of {BULK_JOBS + 11} calls" in str(error)
    assert f"call {BULK_JOBS + 10}: argument 1" in str(error)
    assert BULK_JOBS == len(error.batch) == error.batch.cancel()
    assert BULK_JOBS == len(list(error.batch.results(errors="collect", timeout=5)))
    assert error.batch.done


def test_an_iterator_that_raises_tells_what_is_stored(idle: Client) -> None:
    """Its own error is the cause."""

    def calls() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(BULK_JOBS + 1))
        raise KeyError("no more")

    with pytest.raises(PartlyStored) as caught:
        jobs.echo.delay_many(calls())

    assert (BULK_JOBS, None) == (caught.value.stored, caught.value.total)
    assert isinstance(caught.value.__cause__, KeyError)


def test_redis_that_goes_away_in_the_middle_is_told(
    proxy: ChaosProxy,
    settings: Settings,
    make_client: Callable[..., Client],
    emulator: Emulator,
) -> None:
    """With what is stored; nothing stored is the plain error."""
    make_client(emulator, redis_url=proxy.url, fly_api_token="")

    def calls() -> Iterator[tuple[int]]:
        # The second part is on its way while the third is read.
        yield from ((number,) for number in range(2 * BULK_JOBS + 1))
        proxy.swallow()
        yield from ((number,) for number in range(BULK_JOBS))

    with pytest.raises(PartlyStored) as caught:
        jobs.echo.delay_many(calls())
    assert isinstance(caught.value.__cause__, StoreUnavailable)
    assert caught.value.stored in {BULK_JOBS, 2 * BULK_JOBS}
    assert 0 <= caught.value.batch.stored - caught.value.stored <= BULK_JOBS
    assert caught.value.batch.cancel() == caught.value.batch.stored
    assert caught.value.batch.wait(timeout=5)


def test_a_redis_that_is_away_stores_nothing(
    own_server: OwnServer, make_client: Callable[..., Client], emulator: Emulator
) -> None:
    """The error is that of a single call."""
    make_client(emulator, redis_url=own_server.url)
    own_server.kill()

    with pytest.raises(StoreUnavailable) as caught:
        jobs.echo.delay_many([(1,)])
    assert not isinstance(caught.value, PartlyStored)


def test_a_lost_reply_stores_each_call_once(
    proxy: ChaosProxy, make_client: Callable[..., Client], emulator: Emulator
) -> None:
    """The command is sent again, and says the same."""
    make_client(emulator, redis_url=proxy.url)
    jobs.add.delay(1).cancel()
    proxy.lose_replies("EVALSHA", 3, every=2)
    batch = jobs.add.delay_many([(number,) for number in range(700)])

    assert (700, 700) == (batch.stored, sum(batch.counts.values()))
    assert list(range(700)) == list(batch.results(timeout=30))


def test_hooks_hear_of_each_call(client: Client) -> None:
    """Around the storing, with headers; and once at the end."""
    heard: list[tuple[str, str]] = []
    with hooks.scoped():

        @hooks.before_enqueue
        def before(event: hooks.Event) -> None:
            event.headers["number"] = str(len(heard))
            heard.append((event.name, event.job_id))

        @hooks.after_enqueue
        @hooks.on_end
        def after(event: hooks.Event) -> None:
            heard.append((event.name, event.job_id))

        batch = hooked.headers.delay_many([()] * 3)
        values = list(batch.results(timeout=30))
        again = list(batch.results(timeout=5))
        ids = [job.id for job in batch.jobs()]

    assert values == again == [{"number": str(number)} for number in range(3)]
    for name in ("before_enqueue", "after_enqueue", "on_end"):
        assert ids == [job_id for told, job_id in heard if told == name]


def test_hooks_hear_of_a_call_that_could_not_be_stored(idle: Client) -> None:
    """Each call that was begun is ended."""
    heard: list[tuple[str, str]] = []
    with hooks.scoped():

        @hooks.before_enqueue
        @hooks.after_enqueue
        def note(event: hooks.Event) -> None:
            heard.append((event.name, event.error_type.rpartition(".")[2]))

        with pytest.raises(ArgumentsNotEncodable):
            jobs.echo.delay_many([(1,), (threading.Lock(),)])

    assert [("before_enqueue", "")] * 2 == [one for one in heard if not one[1]]
    assert [("after_enqueue", "ArgumentsNotEncodable")] * 2 == [
        one for one in heard if one[1]
    ]


def test_cancelled_jobs_are_told_to_hooks_once(idle: Client) -> None:
    """By whoever cancels them."""
    heard: list[tuple[str, str]] = []
    batch = jobs.add.delay_many([(1,), (2,)])
    with hooks.scoped():

        @hooks.on_end
        def note(event: hooks.Event) -> None:
            heard.append((event.job_id, event.status))

        batch.cancel()
        list(batch.results(errors="collect", timeout=5))

    assert [(job.id, "cancelled") for job in batch.jobs()] == heard


def test_a_method_and_a_lambda_are_called_many_times(client: Client) -> None:
    """The instance travels with each call, the code once for all."""
    scale = jobs.Scale(3)
    batch = scale.times.delay_many([(1,), (2,)])
    double = fly_task(lambda value: 2 * value).delay_many([(1,), (2,)])

    assert [3, 6] == list(batch.results(timeout=30))
    assert [2, 4] == list(double.results(timeout=30))
    assert [3, 6] == list(scale.times.map([1, 2]))


def test_a_job_may_make_many_calls(client: Client) -> None:
    """Each is of the next generation."""
    assert (30, 2) == jobs.adds_many.delay(30).result(timeout=50)


def test_calls_of_a_job_are_admitted_one_by_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what may come at once they wait for their turn."""
    told: list[int] = []

    def admit(_task: str, count: int = 1) -> int:
        told.append(count)
        return 2

    monkeypatch.setattr(client._nesting, "admit", admit)
    jobs.add.options(delay="1h").delay_many([(1,)] * (BULK_JOBS + 5)).cancel()

    assert [0, BULK_JOBS, 5] == told


def test_a_batch_is_looked_after_as_one(client: Client) -> None:
    """The sweeper remembers it, not each of its jobs; until its end was seen."""
    batch = jobs.add.delay_many([(number,) for number in range(300)])
    assert {batch.id} == client.sweeper._open_jobs
    for _ in batch.results(timeout=30):
        assert client.has_open_jobs

    assert not client.has_open_jobs
    assert list(range(20)) == list(jobs.add.map(range(20)))
    assert not client.has_open_jobs


def test_values_are_awaited(client: Client) -> None:
    """As a list, or one by one; the loop goes on meanwhile."""

    async def main() -> None:
        batch = await jobs.add.adelay_many([(number,) for number in range(300)])
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        assert list(range(300)) == await batch
        seen = [value async for value in batch.aresults(ordered=False)]
        assert set(range(300)) == set(seen)
        ticking.cancel()
        assert ticks > 3

    asyncio.run(main())


def test_many_who_await_take_one_thread(client: Client, tmp_path: Path) -> None:
    """However many batches they await."""
    gate = tmp_path / "gate"
    options: Any = {"max_machines": 1}
    some = [
        jobs.waits_for.options(**options).delay_many([(str(gate),)] * 2)
        for _ in range(8)
    ]

    before = threading.enumerate()

    async def main() -> list[list[str]]:
        waits = [asyncio.ensure_future(_all(batch)) for batch in some]
        await asyncio.sleep(0.5)
        started = {one for one in threading.enumerate() if one not in before}
        names = [one.name for one in started]
        assert 1 == names.count("worker_lib-await-batches")
        gate.touch()
        return await asyncio.wait_for(asyncio.gather(*waits), 40)

    assert [[job.id for job in batch.jobs()] for batch in some] == asyncio.run(main())


async def _all(batch: Batch[str]) -> list[str]:
    return await batch


def test_awaiting_too_long_and_awaiting_what_failed(idle: Client) -> None:
    """Raise as in a thread."""

    async def main() -> None:
        batch = jobs.add.delay_many([(1,)])
        with pytest.raises(WaitTimeout):
            _ = [one async for one in batch.aresults(timeout=0.2)]
        batch.cancel()
        with pytest.raises(JobCancelled):
            await batch

    asyncio.run(main())


def test_waiters_ride_through_an_outage(
    proxy: ChaosProxy,
    make_client: Callable[..., Client],
    emulator: Emulator,
    tmp_path: Path,
) -> None:
    """Those in a thread, and those on a loop."""
    make_client(emulator, redis_url=proxy.url)
    gate = tmp_path / "gate"
    batch = jobs.waits_for.delay_many([(str(gate),)])
    until(lambda: batch.counts["running"] == 1, within=30)
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.extend(batch.results(timeout=40)), daemon=True
    )
    thread.start()

    async def main() -> list[str]:
        waits = asyncio.ensure_future(_all(batch))
        await asyncio.sleep(0.5)
        proxy.cut()
        gate.touch()
        return await asyncio.wait_for(waits, 40)

    awaited = asyncio.run(main())
    thread.join(40)

    assert awaited == found == [job.id for job in batch.jobs()]
