"""Awaiting jobs: what it takes, what a cancelled wait leaves, what it rides out."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
import redis
from waiting import until

from worker_lib import Job, JobCancelled, JobLost, JobNotFound, StoreError
from worker_lib.client import client as client_module
from worker_lib.client import waiters
from worker_lib.client.client import Client
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from servers import OwnServer

    from worker_lib.settings import Settings

# A job that nobody runs: its end is up to the test.
later = jobs.add.options(delay="1h")


@pytest.fixture
def calling(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Client]]:
    """Clients without machines, of any server; the latest is the default."""
    made: list[Client] = []

    def make(**changes: Any) -> Client:
        made.append(Client(dataclasses.replace(settings, **changes)))
        monkeypatch.setattr(client_module, "_default", made[-1])
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def _nobody_waits() -> None:
    """What the test before awaited is over."""
    until(lambda: not waiting_threads())


def waiting_threads() -> int:
    """Return how many threads wait for jobs."""
    return sum(one.name == "worker_lib-await" for one in threading.enumerate())


def followed(client: Client) -> int:
    """Return how many of this namespace's jobs somebody has subscribed to."""
    prefix = key_prefix(client.settings.namespace)
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        return len(connection.pubsub_channels(f"{prefix}:changed:*"))


def connections(url: str) -> int:
    """Return how many clients the server has, this question not counted."""
    with redis.Redis.from_url(url) as connection:
        return len(connection.client_list()) - 1


async def soon(condition: Callable[[], object]) -> None:
    """Wait for a condition without blocking the loop."""
    await asyncio.to_thread(until, condition)


async def value_of(job: Awaitable[Any]) -> Any:
    """Return what a job gives, or the exception it raises."""
    try:
        return await job
    except Exception as error:  # noqa: BLE001 - that is what is asked for
        return error


def test_a_cancelled_await_leaves_no_thread_and_no_connection(
    calling: Callable[..., Client], own_server: OwnServer
) -> None:
    """Within half a second of the cancel both are gone, and the job goes on."""
    calling(redis_url=own_server.url)
    job = later.delay(1)
    before = connections(own_server.url)

    async def main() -> tuple[float, int]:
        waiting = [asyncio.ensure_future(value_of(job)) for _ in range(5)]
        await soon(lambda: connections(own_server.url) > before)
        began = time.monotonic()
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        took = time.monotonic() - began
        await soon(lambda: not waiting_threads())
        return took, connections(own_server.url)

    took, after = asyncio.run(main())

    assert took < 0.5
    assert before >= after - 1, "the look may have opened the pool's own"
    assert "scheduled" == job.status


def test_an_await_with_a_time_limit_leaves_nothing_behind(
    calling: Callable[..., Client],
) -> None:
    """`asyncio.timeout` cancels what it limits."""
    calling()

    async def main() -> None:
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(value_of(later.delay(1)), 0.01)

    asyncio.run(main())

    until(lambda: not waiting_threads(), within=2)


def test_a_thousand_awaits_take_one_thread_and_one_connection(
    calling: Callable[..., Client], own_server: OwnServer
) -> None:
    """And no command while nothing happens; each is told of the end of its own job."""
    client = calling(redis_url=own_server.url)
    running = [later.delay(n) for n in range(1_000)]
    before = connections(own_server.url)
    others = threading.active_count()

    async def main() -> tuple[int, int, int, list[Any]]:
        waiting = [asyncio.ensure_future(value_of(job)) for job in running]
        await soon(lambda: followed(client) == len(running))
        await soon(lambda: quiet(own_server.url))
        seen = waiting_threads(), connections(own_server.url)
        commands = await asyncio.to_thread(commands_within, own_server.url, 1.0)
        for job in running:
            job.cancel()
        return *seen, commands, await asyncio.gather(*waiting)

    one_thread, after, commands, ends = asyncio.run(main())

    assert (1, 1, 0) == (one_thread, after - before, commands)
    assert {JobCancelled} == {type(end) for end in ends}
    assert [job.id for job in running] == [end.job_id for end in ends]
    until(lambda: threading.active_count() <= others)


def quiet(url: str) -> bool:
    """Whether nobody has a command for a twentieth of a second."""
    return not commands_within(url, 0.05)


def commands_within(url: str, seconds: float) -> int:
    """Return how many commands others send in so many seconds."""
    with redis.Redis.from_url(url) as connection:
        first = connection.info("stats")["total_commands_processed"]
        time.sleep(seconds)
        last = connection.info("stats")["total_commands_processed"]
    return int(last - first) - 1


def test_a_job_that_ended_before_is_awaited_at_once(
    calling: Callable[..., Client],
) -> None:
    """By its handle, by another one, and by several tasks at a time."""
    calling()
    job = later.delay(1)
    job.cancel()

    async def main() -> list[Any]:
        same = [value_of(job), value_of(job), value_of(Job.get(job.id))]
        async with asyncio.timeout(5):
            return await asyncio.gather(*same)

    assert [job.id] * 3 == [end.job_id for end in asyncio.run(main())]


def test_who_comes_late_to_an_awaited_job_is_told_too(
    calling: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is followed already is looked at again for each who joins."""
    client = calling()
    job = later.delay(1)

    async def main() -> list[Any]:
        first = asyncio.ensure_future(value_of(job))
        await soon(lambda: followed(client) == 1)
        unheard: list[object] = []
        with monkeypatch.context() as patch:
            patch.setattr(waiters._Waiter, "settle", lambda *said: unheard.append(said))
            job.cancel()
            await soon(lambda: unheard)
        second = asyncio.ensure_future(value_of(job))
        async with asyncio.timeout(5):
            return [await first, await second]

    assert [JobCancelled] * 2 == [type(end) for end in asyncio.run(main())]


def test_awaits_of_several_loops_share_the_thread(
    calling: Callable[..., Client],
) -> None:
    """Each loop is told in its own thread."""
    client = calling()
    running = [later.delay(n) for n in range(3)]
    ends: list[Any] = []

    def loop(job: Job[int]) -> None:
        ends.append(asyncio.run(value_of(job)))

    loops = [threading.Thread(target=loop, args=(job,)) for job in running]
    for one in loops:
        one.start()
    until(lambda: followed(client) == 3)
    assert 1 == waiting_threads()
    for job in running:
        job.cancel()
    for one in loops:
        one.join(10)

    assert {job.id for job in running} == {end.job_id for end in ends}


def test_an_await_rides_out_a_restart_of_redis(
    calling: Callable[..., Client], own_server: OwnServer
) -> None:
    """The end that nobody could announce is found when Redis is back."""
    calling(redis_url=own_server.url)
    job = later.delay(1)

    async def main() -> Any:
        waiting = asyncio.ensure_future(value_of(job))
        await soon(lambda: own_server.ask("PUBSUB", "CHANNELS"))
        own_server.kill()
        own_server.start()
        job.cancel()
        return await asyncio.wait_for(waiting, 10)

    assert isinstance(asyncio.run(main()), JobCancelled)


def test_an_await_can_be_cancelled_while_redis_is_away(
    calling: Callable[..., Client], own_server: OwnServer
) -> None:
    """The thread that tries to reach it ends as well."""
    calling(redis_url=own_server.url)
    job = later.delay(1)

    async def main() -> None:
        waiting = asyncio.ensure_future(value_of(job))
        await soon(lambda: own_server.ask("PUBSUB", "CHANNELS"))
        own_server.kill()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, 0.5)

    asyncio.run(main())

    until(lambda: not waiting_threads(), within=3)


@pytest.mark.parametrize(
    ("place", "words"),
    [("/nowhere", "cannot be reached"), (":wrong@{}", "password")],
)
def test_an_await_is_told_at_once_what_waiting_does_not_help(
    calling: Callable[..., Client], settings: Settings, place: str, words: str
) -> None:
    """A Redis that never answered, or that refuses us."""
    path = settings.redis_url.removeprefix("unix://")
    client = calling(redis_url="unix://" + place.format(path))

    end = asyncio.run(asyncio.wait_for(value_of(Job("0123456789", client)), 5))

    assert isinstance(end, StoreError)
    assert words in str(end)


def test_a_job_that_redis_lost_is_told_to_who_awaits_it(
    calling: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody announces that; it is looked for now and then."""
    monkeypatch.setattr(waiters, "MAX_BLOCK", 0.3)
    client = calling()
    job = later.delay(1)

    async def main() -> Any:
        waiting = asyncio.ensure_future(value_of(job))
        await soon(lambda: followed(client) == 1)
        prefix = key_prefix(client.settings.namespace)
        with redis.Redis.from_url(client.settings.redis_url) as connection:
            connection.delete(f"{prefix}:job:{job.id}")
        return await asyncio.wait_for(waiting, 10)

    assert isinstance(asyncio.run(main()), JobLost)


def test_a_job_that_never_was_is_told_at_once(calling: Callable[..., Client]) -> None:
    """A handle can be made of any id."""
    stray: Job[int] = Job("0123456789", calling())

    end = asyncio.run(asyncio.wait_for(value_of(stray), 5))

    assert (JobNotFound, "0123456789") == (type(end), end.job_id)


def test_a_user_without_the_channels_is_told_which_right_is_missing(
    calling: Callable[..., Client], own_server: OwnServer
) -> None:
    """Redis 7 gives new users none."""
    client = calling(redis_url=own_server.url)
    job = later.delay(1)
    own_server.ask(
        *("ACL", "SETUSER", "app", "on", ">word", "resetchannels", "~*", "+@all")
    )
    path = own_server.url.removeprefix("unix://")
    stranger = calling(redis_url=f"unix://app:word@{path}")
    assert client.settings.namespace == stranger.settings.namespace

    end = asyncio.run(asyncio.wait_for(value_of(Job(job.id, stranger)), 5))

    assert isinstance(end, StoreError)
    assert "channel" in str(end)


def test_progress_is_no_news_for_who_awaits(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that reports several times a second costs its waiters no look."""
    looks: list[str] = []
    look = client.store.look

    def counted(*job_ids: str) -> Any:
        looks.extend(job_ids)
        return look(*job_ids)

    monkeypatch.setattr(client.store, "look", counted)

    async def main() -> int:
        return await jobs.reports.delay(4)

    assert 4 == asyncio.run(main())
    assert 2 == len(looks), "one when subscribed, one at the end"
