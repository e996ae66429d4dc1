"""What can be called on a machine, and how its value or its error comes back."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import (
    ArgumentsNotEncodable,
    Job,
    JobFailed,
    PayloadError,
    PayloadTooLarge,
    WaitTimeout,
    fly_task,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


def test_a_function_of_a_module_runs_and_gives_its_value(client: Client) -> None:
    """Positional, named and left-out arguments arrive as they were given."""
    assert (7, 5) == (jobs.add.remote(3, b=4), jobs.add.remote(5))


def test_a_lambda_runs(client: Client) -> None:
    """A function without a name that a machine could import travels by value."""
    assert 42 == fly_task(lambda x: x * 2).remote(21)


def test_a_closure_takes_its_surroundings_along(client: Client) -> None:
    """What a closure refers to goes with it."""
    factor = 3

    @fly_task
    def scaled(x: int) -> int:
        return x * factor

    assert 21 == scaled.remote(7)


def test_a_coroutine_function_is_awaited_on_the_machine(client: Client) -> None:
    """An async task gives its value, not a coroutine."""
    assert 8 == jobs.doubles.remote(4)


def test_code_by_value_is_stored_once_for_all_its_calls(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """Ten calls of one closure share one copy of its code."""
    twice = fly_task(lambda x: x * 2)
    running = [twice.delay(n) for n in range(10)]

    assert [n * 2 for n in range(10)] == [job.result(timeout=20) for job in running]
    assert 1 == len(redis_keys("code:*"))


def test_an_exception_keeps_its_type_and_tells_where_it_was_raised(
    client: Client,
) -> None:
    """The caller catches what the task raised; its cause holds the remote traceback."""
    job = jobs.raises.delay(jobs.OwnError("broken", 7))

    with pytest.raises(jobs.OwnError, match="broken") as caught:
        job.result(timeout=20)

    cause = caught.value.__cause__
    assert isinstance(cause, JobFailed)
    assert (7, "error", "jobs.OwnError") == (
        caught.value.number,
        cause.kind,
        cause.remote_type,
    )
    assert "jobs.py" in cause.remote_traceback
    assert "in raises" in cause.remote_traceback
    assert ("failed", "jobs.OwnError: ('broken', 7)") == (
        job.status,
        job.info().error,
    )


def test_an_exception_that_cannot_travel_is_told_as_text(client: Client) -> None:
    """One that cannot be made again here comes as JobFailed with all that is known."""
    with pytest.raises(JobFailed, match="AwkwardError: one and two") as caught:
        jobs.raises_awkward.delay().result(timeout=20)

    assert "jobs.AwkwardError" == caught.value.remote_type
    assert "cannot be made again from its args: TypeError" in str(caught.value)
    assert "in raises_awkward" in str(caught.value)


def test_a_result_that_cannot_be_pickled_fails_the_job(client: Client) -> None:
    """The message names the type and what to return instead."""
    job = jobs.gives_a_lock.delay()

    with pytest.raises(PayloadError, match="returned a lock, which cannot") as caught:
        job.result(timeout=20)

    assert isinstance(caught.value.__cause__, JobFailed)
    assert "error" == caught.value.__cause__.kind


def test_a_result_over_the_limit_fails_the_job(
    make_emulator: Callable[..., Emulator], make_client: Callable[..., Client]
) -> None:
    """Nothing of it is stored; the message has both sizes and the remedy."""
    make_client(make_emulator(), max_payload_bytes=300_000)

    with pytest.raises(PayloadTooLarge, match=r"400,0\d\d bytes .* limit is 300,000"):
        jobs.gives.remote(400_000)
    assert 20_000 == len(jobs.gives.remote(20_000))


def test_an_argument_that_cannot_be_pickled_is_refused_before_it_is_stored(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """`delay` raises, names the argument, and leaves nothing in Redis."""
    with pytest.raises(ArgumentsNotEncodable, match="argument 1 of jobs:echo is a lo"):
        jobs.echo.delay(threading.Lock())

    assert [] == redis_keys("*")


def test_an_argument_over_the_limit_is_refused_before_it_is_stored(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """`delay` raises with both sizes, and leaves nothing in Redis."""
    import os

    with pytest.raises(
        PayloadTooLarge, match=r"^jobs:echo: the call is .* pass a refer"
    ):
        jobs.echo.delay(os.urandom(9 * 1024 * 1024))

    assert [] == redis_keys("*")


def test_megabytes_travel_both_ways_unchanged(client: Client) -> None:
    """A call and a result just below the limit come through whole."""
    import os

    data = os.urandom(7 * 1024 * 1024)

    assert data == jobs.echo.options(linger=0).remote(data)


def test_a_job_can_be_awaited(client: Client) -> None:
    """`await job` and `await task.adelay(...)` do not block the event loop."""

    async def main() -> tuple[int, int]:
        job = await jobs.add.adelay(1, 2)
        return await job, await jobs.doubles.delay(5)

    assert (3, 10) == asyncio.run(main())


def test_twenty_jobs_are_gathered(client: Client) -> None:
    """`asyncio.gather` gets every value in its place."""

    async def main() -> list[int]:
        running = [jobs.add.delay(n, n) for n in range(20)]
        return await asyncio.gather(*running)

    assert [2 * n for n in range(20)] == asyncio.run(main())


def test_awaiting_raises_what_the_task_raised(client: Client) -> None:
    """An awaited job raises like a waited-for one."""

    async def main() -> None:
        await jobs.boom.delay("aloud")

    with pytest.raises(ValueError, match="aloud"):
        asyncio.run(main())


def test_waiting_ends_in_time_and_the_job_goes_on(
    client: Client, tmp_path: Path
) -> None:
    """`result(timeout)` raises WaitTimeout; a later call gets the value."""
    gate = tmp_path / "gate"
    job = jobs.waits_for.delay(str(gate))

    with pytest.raises(WaitTimeout, match="it goes on"):
        job.result(timeout=0.3)
    gate.touch()

    assert job.id == job.result(timeout=20)


def test_twenty_waiters_get_the_same_value(client: Client, tmp_path: Path) -> None:
    """Reading a result does not use it up, at the moment it comes or later."""
    gate = tmp_path / "gate"
    job = jobs.waits_for.delay(str(gate))
    values: list[str] = []
    waiters = [
        threading.Thread(target=lambda: values.append(Job.get(job.id).result(20)))
        for _ in range(20)
    ]
    for waiter in waiters:
        waiter.start()
    until(lambda: job.status == "running")
    gate.touch()
    for waiter in waiters:
        waiter.join(20)

    assert [job.id] * 20 == values
    assert job.id == job.result(timeout=1)


def test_a_method_runs_with_its_instance(client: Client) -> None:
    """By value: what it changes there, it does not change here."""
    account, savings = jobs.Account(40), jobs.Savings(1)

    assert (42, 44) == (account.add.remote(2), account.add.delay(2, times=2).result(20))
    assert (40, 1003) == (account.balance, savings.add.remote(2))
    assert 42 == account.later.remote(2)
    savings_of: Any = jobs.Savings.of  # whose class checkers take for an argument
    assert "Savings:3" == savings_of.remote(3)
    assert (4, 8) == (jobs.Account.fee.remote(40), jobs.Account.tax.remote(40))


def test_a_method_of_a_local_class_runs(client: Client) -> None:
    """Class and instance travel by value."""

    class Box:
        def __init__(self, side: int) -> None:
            self.side = side

        @fly_task
        def area(self) -> int:
            return self.side**2

    assert 49 == Box(7).area.remote()


def test_an_instance_that_cannot_be_pickled_is_refused(
    client: Client, redis_keys: Callable[[str], list[str]]
) -> None:
    """It is named as what it is."""
    account = jobs.Account(1)
    account.balance = threading.Lock()  # type: ignore[assignment]  # that is the point

    with pytest.raises(
        ArgumentsNotEncodable, match=r"^the instance of jobs:Account.add"
    ):
        account.add.delay(1)
    assert [] == redis_keys("*")


def test_a_task_that_returns_a_job_gives_that_job(client: Client) -> None:
    """Its machine does not wait for it; the caller may."""
    inner = jobs.gives_a_job.remote(20, 22)

    assert isinstance(inner, Job)
    assert 42 == inner.result(timeout=20)


def test_a_task_may_store_another_call(client: Client, emulator: Emulator) -> None:
    """Inside a machine that has a token, `delay` works as it does outside."""
    settings = client.settings
    emulator.set_secrets(
        "tests",
        {
            "FLY_API_TOKEN": settings.fly_api_token,
            "FLY_API_HOSTNAME": settings.api_hostname,
            "FLY_TASKS_APP": settings.fly_app,
        },
    )
    inner = jobs.nests.remote(20, 22)

    assert 42 == Job.get(inner).result(timeout=20)


def test_a_task_may_store_another_call_without_a_token(client: Client) -> None:
    """A machine needs no token: whoever has one and waits launches for it."""
    inner = jobs.nests.remote(20, 22)

    assert 42 == Job.get(inner).result(timeout=8)
