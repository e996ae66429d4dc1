"""Mapping over iterables: a stream of calls, a stream of results."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import (
    ArgumentsNotEncodable,
    Batch,
    ConfigError,
    Crashed,
    JobFailed,
    MachineError,
    PayloadTooLarge,
    ResultExpired,
    Retry,
)
from worker_lib.client import mapping
from worker_lib.job import FINAL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


def open_jobs(client: Client) -> list[str]:
    """Return the ids of jobs that have not ended."""
    found = client.store.recent(10_000)
    return [
        job_id
        for job_id, seen in zip(found, client.store.look(*found), strict=True)
        if seen and seen.info.status not in FINAL
    ]


def test_values_come_in_the_order_of_the_calls(client: Client) -> None:
    """The shortest iterable ends the map, as with `map`."""
    values = jobs.add.map(range(3000), itertools.count(1))

    assert [2 * number + 1 for number in range(3000)] == list(values)
    assert [] == open_jobs(client)


def test_values_as_they_end(client: Client, tmp_path: Path) -> None:
    """A call that takes long holds up no other, within the window."""
    gate, ledger = tmp_path / "gate", str(tmp_path / "ledger")
    gates = [str(gate), *[""] * 29]
    task = jobs.works.options(max_machines=2)
    found = task.map(
        [ledger] * 30, gates, [0.0] * 30, range(30), ordered=False, chunksize=1
    )
    first = [next(found) for _ in range(29)]
    gate.touch()

    assert set(range(1, 30)) == set(first)
    assert [0] == list(found)


def test_an_endless_iterable_works(client: Client) -> None:
    """No more than the window is read ahead; leaving cancels what is under way."""
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield number

    values = jobs.add.map(numbers(), window=40)
    for expected in range(100):
        assert expected == next(values)
        assert read <= expected + 1 + 40
    values.close()

    assert [] == open_jobs(client)


def test_nothing_is_stored_before_the_first_value_is_asked_for(client: Client) -> None:
    """A map is an iterator; one that is not used leaves nothing behind."""
    values = jobs.add.map([1, 2])
    jobs.add.map([3])
    jobs.add.amap([3])

    assert [] == client.store.recent(10)
    assert not client.has_open_jobs
    assert [1, 2] == list(values)
    assert [] == mapping._open_maps


def test_a_map_over_nothing_is_empty(client: Client) -> None:
    """And stores nothing."""
    assert [] == list(jobs.add.map([]))
    assert [] == client.store.recent(10)


def test_the_first_error_ends_the_map_and_cancels_the_rest(client: Client) -> None:
    """Values before it are yielded."""
    values = jobs.add.map([1, "x", *range(500)], itertools.repeat(1), chunksize=1)

    assert 2 == next(values)
    with pytest.raises(TypeError) as caught:
        next(values)
    assert isinstance(caught.value.__cause__, JobFailed)
    assert [] == open_jobs(client)
    assert [] == list(values)


@pytest.mark.parametrize("chunksize", [None, 1, 7])
def test_errors_are_collected_in_the_place_of_values(
    client: Client, chunksize: int | None
) -> None:
    """In whatever way calls travel."""
    items: list[Any] = [1, "x", 2] * 20
    found = list(jobs.add.map(items, errors="collect", chunksize=chunksize))

    assert [1, 2] * 20 == [one for one in found if isinstance(one, int)]
    failed = [at for at, one in enumerate(found) if isinstance(one, TypeError)]
    assert [at for at, item in enumerate(items) if item == "x"] == failed


def test_short_calls_travel_together(client: Client) -> None:
    """What they take is measured, and decides on how many make a job."""
    assert list(range(20_000)) == list(jobs.add.map(range(20_000)))
    assert 4_000 >= len(client.store.recent(10_000))
    # The next map knows how long they take.
    known = client.batches.remembered(jobs.add.name)
    assert known
    assert 0 < known < 1


def test_calls_of_a_given_chunk_are_one_job(client: Client) -> None:
    """The last one may have fewer."""
    assert list(range(25)) == list(jobs.add.map(range(25), chunksize=10))
    assert 3 == len(client.store.recent(100))


def test_a_task_that_retries_has_no_chunks_by_itself(client: Client) -> None:
    """Each call has its own attempts."""
    task = jobs.add.options(retry=Retry(max_attempts=2))
    assert list(range(60)) == list(task.map(range(60)))
    assert 60 == len(client.store.recent(100))


def test_a_chunk_whose_process_dies_runs_call_by_call(
    client: Client, tmp_path: Path
) -> None:
    """One bad call costs the others nothing but a second run."""
    client.batches.remember(jobs.dies_on.name, 0.001)
    found = list(jobs.dies_on.map(range(100), [50] * 100, errors="collect"))

    assert isinstance(found[50], Crashed)
    assert list(range(100)) == [at if at == 50 else one for at, one in enumerate(found)]


def test_calls_that_are_large_together_are_sent_apart(client: Client) -> None:
    """Only a call that is too large by itself is refused."""
    client.batches.remember(jobs.measures.name, 0.0001)
    texts = [os.urandom(3_000_000) for _ in range(6)]

    assert [3_000_000] * 6 == list(jobs.measures.map(texts))
    with pytest.raises(PayloadTooLarge, match="call 1: jobs:measures"):
        list(jobs.measures.map([b"", os.urandom(9_000_000)]))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"window": 0}, "window=0: use a whole number from 1"),
        ({"chunksize": 0}, "chunksize=0: use a whole number from 1"),
        ({"chunksize": "2"}, "chunksize='2'"),
        ({"errors": "ignore"}, "errors='ignore': "),
        ({"window": 5, "chunksize": 6}, "window=5 is less than chunksize=6"),
    ],
)
def test_wrong_options_are_refused_at_once(
    client: Client, options: dict[str, Any], text: str
) -> None:
    """Not only when the first value is asked for."""
    with pytest.raises(ConfigError, match=text):
        jobs.add.map([1], **options)
    with pytest.raises(ConfigError, match=text):
        jobs.add.amap([1], **options)


def test_a_map_without_iterables_is_refused(client: Client) -> None:
    """As with `map`."""
    with pytest.raises(TypeError, match="an iterable for each argument"):
        jobs.add.map()


def test_wrong_arguments_end_the_map(client: Client) -> None:
    """And cancel what is under way."""
    values = jobs.add.map([1], [2], [3])
    with pytest.raises(TypeError, match=r"call 0: jobs:add\(a, b\)"):
        next(values)
    lock = threading.Lock()
    echoes = jobs.echo.map([1, lock])
    with pytest.raises(ArgumentsNotEncodable, match="call 1: argument 1"):
        list(echoes)
    assert [] == open_jobs(client)


def test_an_iterable_that_raises_ends_the_map(client: Client) -> None:
    """With its own error."""

    def numbers() -> Iterator[int]:
        yield from range(10)
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(jobs.add.map(numbers()))
    assert [] == open_jobs(client)


def test_input_that_comes_slowly_is_stored_as_it_comes(
    client: Client, tmp_path: Path
) -> None:
    """The first calls run while later ones are not there yet."""
    path = tmp_path / "notes"

    def texts() -> Iterator[str]:
        for number in range(3):
            yield str(number)
            time.sleep(0.06)  # longer than input is gathered
            until(lambda: path.exists() and len(path.read_text()) > 2 * number)  # noqa: B023

    values = jobs.notes.map(itertools.repeat(str(path)), texts())

    assert ["0", "1", "2"] == list(values)


def test_memory_stays_flat(client: Client) -> None:
    """However many calls there are; results are not kept."""
    list(jobs.add.map(range(2_000)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in jobs.add.map(iter(range(100_000))))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert 100_000 == count
    assert 16_000_000 > peak


def test_what_was_read_is_forgotten_by_redis(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """Ten minutes later, so that an endless map does not fill it."""
    import redis

    assert [0, 1, 2] == list(jobs.add.map(range(3)))
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        prefix = "{" + client.settings.namespace + "}:"
        lives = [connection.pttl(prefix + key) for key in redis_keys("job:*")]

    assert 3 == len(lives)
    assert all(0 < life <= 600_000 for life in lives)


def test_what_has_ended_is_forgotten_by_redis(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """The list of it does not grow, and nobody is told what he cannot read."""
    import redis

    values = jobs.add.map(range(500), chunksize=1, window=50)
    assert 0 == next(values)
    assert [*range(1, 400)] == list(itertools.islice(values, 399))
    (done,) = redis_keys("done:*")
    batch = Batch.get(done.partition(":")[2])
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        length = connection.llen("{" + client.settings.namespace + "}:" + done)

    assert 150 > length
    with pytest.raises(ResultExpired, match="taken out by the map"):
        next(batch.results(timeout=5))
    assert not batch.wait(timeout=0.2)
    assert [*range(400, 500)] == list(values)
    assert batch.wait(timeout=5)
    assert 500 == batch.counts["succeeded"] == batch.total


def test_a_map_that_can_have_no_machine_says_so(
    make_client: Callable[..., Client], emulator: Emulator
) -> None:
    """As one who waits for a single job is told."""
    client = make_client(emulator, fly_api_token="wrong")

    with pytest.raises(MachineError):
        list(jobs.add.map([1, 2]))
    batch = jobs.add.delay_many([(1,), (2,)])
    with pytest.raises(MachineError):
        batch.wait(timeout=30)
    with pytest.raises(MachineError):
        list(batch.results(timeout=30))
    batch.cancel()
    assert [] == open_jobs(client)


def test_values_are_awaited_as_they_come(client: Client) -> None:
    """From iterables of either kind."""

    async def numbers() -> AsyncIterator[int]:
        for number in range(200):
            yield number

    async def main() -> None:
        assert [2 * number for number in range(200)] == [
            value async for value in jobs.add.amap(numbers(), range(1000))
        ]
        assert list(range(300)) == [
            value async for value in jobs.add.amap(range(300), chunksize=50)
        ]
        found = jobs.add.amap(range(50), ordered=False, chunksize=1)
        assert set(range(50)) == {value async for value in found}

    asyncio.run(main())
    assert [] == open_jobs(client)


def test_input_that_is_awaited_holds_up_no_result(client: Client) -> None:
    """The next call may depend on the value of the one before."""
    results: asyncio.Queue[int] = asyncio.Queue()

    async def numbers() -> AsyncIterator[int]:
        yield 1
        for _ in range(3):
            yield await results.get() * 2

    async def main() -> list[int]:
        seen = []
        async for value in jobs.add.amap(numbers()):
            seen.append(value)
            results.put_nowait(value)
        return seen

    assert [1, 2, 4, 8] == asyncio.run(main())


async def _first(values: AsyncIterator[int]) -> int:
    return await anext(values)


def test_leaving_an_awaited_map_cancels_the_rest(client: Client) -> None:
    """By `break`, an error, or the end of the task that awaits."""

    async def main() -> None:
        values = jobs.add.amap(itertools.count(), window=50)
        async for value in values:
            if value == 20:
                break
        await values.aclose()
        assert [] == open_jobs(client)
        with pytest.raises(TypeError):
            async for _ in jobs.add.amap(["x"] * 50, chunksize=1):
                pass
        waiting = asyncio.ensure_future(_first(jobs.add.options(delay="1h").amap([1])))
        await asyncio.to_thread(until, lambda: open_jobs(client))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    until(lambda: open_jobs(client) == [], within=10)


def program(client: Client, folder: Path, *lines: str) -> subprocess.Popen[bytes]:
    """Start a program that uses the same Redis and the same machines."""
    script = folder / "script.py"
    main = "".join(f"    {line}\n" for line in lines)
    head = "import itertools, os, pathlib, signal\nfrom jobs import add\n"
    # Whoever started the tests may have it ignored, as a shell does in the background.
    head += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script.write_text(f"{head}if __name__ == '__main__':\n{main}")
    settings = client.settings
    env = {
        **os.environ,
        "PYTHONPATH": settings.local_path,
        "REDIS_URL": settings.redis_url,
        "WORKER_LIB_SECRET": settings.secret,
        "WORKER_LIB_NAMESPACE": settings.namespace,
        "WORKER_IMAGE": settings.image,
        "WORKER_LIB_LOCAL_PATH": settings.local_path,
        "FLY_API_TOKEN": settings.fly_api_token,
        "FLY_TASKS_APP": settings.fly_app,
        "FLY_API_HOSTNAME": settings.api_hostname,
    }
    return subprocess.Popen(
        [sys.executable, str(script)], env=env, stderr=subprocess.PIPE
    )


def test_ctrl_c_in_the_middle_of_a_map_cancels_the_rest(
    client: Client, tmp_path: Path
) -> None:
    """The program is a real one, and gets a real signal."""
    ready = tmp_path / "ready"
    running = program(
        client,
        tmp_path,
        "for value in add.map(itertools.count(), window=100):",
        f"    pathlib.Path({str(ready)!r}).touch()",
    )
    until(ready.exists, within=30)
    running.send_signal(2)
    try:
        _, told = running.communicate(timeout=30)
    finally:
        running.kill()
        running.communicate()

    assert b"KeyboardInterrupt" in told
    assert [] == open_jobs(client)


def test_a_program_that_ends_cancels_what_it_has_not_read(
    client: Client, tmp_path: Path
) -> None:
    """A fork of it does not: the map is not its own."""
    running = program(
        client,
        tmp_path,
        "values = add.map(itertools.count(), window=100)",
        "next(values)",
        "if os.fork() == 0:",
        "    raise SystemExit",
        "os.wait()",
        "assert list(range(1, 300)) == list(itertools.islice(values, 299))",
    )
    _, told = running.communicate(timeout=50)

    assert (b"", 0) == (told, running.returncode)
    assert [] == open_jobs(client)
