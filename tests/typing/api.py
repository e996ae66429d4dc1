"""What type checkers see of every public name. Checked by mypy and pyright, not run.

A line with an ignore must be an error: mypy reports an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_type

import worker_lib
from worker_lib import (
    ApiUnavailable,
    ArgumentsNotEncodable,
    Attempt,
    Batch,
    BatchNotFound,
    CallRefused,
    ConfigError,
    Crashed,
    FlyExecutor,
    Guest,
    InvalidRequest,
    Job,
    JobCancelled,
    JobError,
    JobFailed,
    JobInfo,
    JobLost,
    JobNotFound,
    JobTimeout,
    MachineConflict,
    MachineError,
    MachineLost,
    MachineNotFound,
    MachinesApiError,
    MachineWaitTimeout,
    NoCapacity,
    NotLoadable,
    OutOfMemory,
    PartlyStored,
    PayloadError,
    PayloadTooLarge,
    Progress,
    Queue,
    RateLimited,
    ResultExpired,
    Retry,
    Settings,
    SignatureMismatch,
    StartFailed,
    StoreError,
    StoreUnavailable,
    Task,
    TaskError,
    TaskNotRegistered,
    Unauthorized,
    UnknownVersion,
    WaitTimeout,
    WorkerLibError,
    current_job,
    fly_task,
    hooks,
    iter_jobs,
    jobs,
    queues,
)
from worker_lib.context import CurrentJob
from worker_lib.errors import FailureKind, Problem
from worker_lib.job import JobStatus

if TYPE_CHECKING:
    import concurrent.futures


@fly_task
def add(a: int, b: int = 0) -> int:
    return a + b


@fly_task(
    queue="high",
    machine="shared-cpu-2x",
    memory_mb=512,
    region=["ams", "fra"],
    timeout="10m",
    retry=Retry(max_attempts=5, backoff="30s", on=(IOError,)),
    max_machines=20,
    result_ttl=timedelta(days=1),
    env={"TZ": "UTC"},
    on_lost="fail",
    linger=10,
    park=2,
    park_for="12h",
    priority=5,
    tags={"tenant": "x"},
    key="nightly",
    unique_for="1h",
    expires="10m",
    queues="high=5,low=1",
)
def report(user_id: int, *, pages: int = 1) -> str:
    return f"{user_id}:{pages}"


@fly_task()
def nothing() -> None: ...


@fly_task
async def later(text: str) -> bytes:
    return text.encode()


@fly_task
def chained(a: int) -> Job[int]:
    return add.delay(a)


def decorating() -> None:
    # A task is called like its function.
    assert_type(add(1, 2), int)
    assert_type(report(7, pages=2), str)
    add("x")  # type: ignore[arg-type]
    add(1, 2, 3)  # type: ignore[call-arg]
    report(7, 2)  # type: ignore[call-arg]
    report(7, page=2)  # type: ignore[call-arg]

    # Bare, with options and with none: the same type.
    task: Task[..., str] = report
    assert_type(task(1), str)
    assert_type(add.name, str)
    assert_type(add.fn(1), int)

    # Options are checked by name and type.
    fly_task(queue=5)  # type: ignore[call-overload]
    fly_task(timeuot=5)  # type: ignore[call-overload]
    fly_task(retry="often")  # type: ignore[call-overload]
    fly_task(5)  # type: ignore[call-overload]
    fly_task(priority="high")  # type: ignore[call-overload]
    fly_task(tags={"tenant": 7})  # type: ignore[dict-item]


def calling() -> None:
    # A call elsewhere keeps arguments and value.
    assert_type(add.delay(1, 2), Job[int])
    assert_type(add.delay(1, b=2), Job[int])
    assert_type(add.delay(1).result(), int)
    assert_type(add.delay(1).result(timeout=30), int)
    assert_type(report.delay(7).result(), str)
    assert_type(nothing.delay(), Job[None])
    assert_type(add.remote(1, 2), int)
    add.delay("x")  # type: ignore[arg-type]
    add.delay()  # type: ignore[call-arg]
    add.delay(1, c=2)  # type: ignore[call-arg]
    add.remote("x")  # type: ignore[arg-type]

    # A coroutine is awaited on the machine; a job that a task returns is not.
    assert_type(later.delay("x"), Job[bytes])
    assert_type(later.remote("x"), bytes)
    assert_type(chained.delay(1), Job[Job[int]])
    assert_type(chained.delay(1).result().result(), int)

    # So it does with options for a single call.
    assert_type(add.options(delay="5m").delay(1), Job[int])
    assert_type(report.options(queue="low").remote(7, pages=3), str)
    add.options(delay="5m").delay("x")  # type: ignore[arg-type]
    add.options(dely="5m")  # type: ignore[call-arg]
    add.options(queue=5)  # type: ignore[arg-type]
    fly_task(delay="5m")  # type: ignore[call-overload]


class Shop:
    @fly_task
    def order(self, item: str, *, count: int = 1) -> int:
        return count

    @fly_task(timeout="1m")
    async def ship(self, item: str) -> bytes:
        return item.encode()

    @fly_task
    @staticmethod
    def price(item: str) -> float:
        return len(item)


def methods(shop: Shop) -> None:
    # A method is called, here and elsewhere, without the instance.
    assert_type(shop.order("x", count=2), int)
    assert_type(shop.order.delay("x"), Job[int])
    assert_type(shop.order.options(delay="5m").delay("x", count=2), Job[int])
    assert_type(shop.ship.delay("x"), Job[bytes])
    assert_type(Shop.order(shop, "x"), int)
    assert_type(Shop.order.delay(shop, "x"), Job[int])
    shop.order.delay(5)  # type: ignore[arg-type]
    shop.order.delay(shop, "x")  # type: ignore[call-arg, arg-type]
    Shop.order.delay("x")  # type: ignore[call-arg, arg-type]

    # A static method takes none.
    assert_type(Shop.price("x"), float)
    assert_type(Shop.price.delay("x"), Job[float])
    Shop.price.delay(5)  # type: ignore[arg-type]


async def awaiting() -> None:
    assert_type(await add.delay(1, 2), int)
    assert_type(await add.adelay(1, 2), Job[int])
    assert_type(await (await report.adelay(7)), str)
    await add.adelay("x")  # type: ignore[arg-type]


def handles(job: Job[int]) -> None:
    assert_type(Job.get("id"), Job[Any])
    assert_type(job.id, str)
    assert_type(job.status, JobStatus)
    assert_type(job.info(), JobInfo)
    assert_type(job.attempts, tuple[Attempt, ...])
    assert_type(job.exception(), BaseException | None)
    assert_type(job.wait(1.5), bool)
    assert_type(job.cancel(), bool)
    assert_type(job.watch(), Iterator[JobInfo])
    assert_type(job.retry(), Job[int])
    assert_type(job.retry(queue="low", delay="5m"), Job[int])
    assert_type(job.clone(args=[1], kwargs={}), Job[int])
    assert_type(job.logs(), str)
    assert_type(job.logs(2), str)
    assert_type(job.logs(follow=True), Iterator[str])
    assert_type(job.logs(2, follow=True, timeout=1.5), Iterator[str])
    assert_type(job.alogs(), AsyncGenerator[str])
    job.logs(timeout=1.5)  # type: ignore[call-overload]
    job.edit(args=[1], kwargs={"b": 2}, queue="high", priority=5, first=True)
    job.edit(delay="5m")
    job.edit(delay=timedelta(minutes=5))
    job.edit(5)  # type: ignore[call-arg, arg-type]
    job.edit(priority="high")  # type: ignore[arg-type]
    job.delete()
    wider: Job[int | str] = job
    narrower: Job[bool] = job  # type: ignore[assignment]
    del wider, narrower


def many() -> None:
    # Many calls at once keep the value's type; their arguments are not checked.
    assert_type(add.delay_many([(1, 2), (3,)]), Batch[int])
    assert_type(later.delay_many(iter([("x",)])), Batch[bytes])
    assert_type(chained.delay_many([(1,)]), Batch[Job[int]])
    add.delay_many([1, 2])  # type: ignore[list-item]
    add.delay_many(5)  # type: ignore[arg-type]
    assert_type(add.map([1], [2]), Generator[int, None, None])
    assert_type(next(add.map([1], errors="collect")), int | BaseException)
    assert_type(list(later.map("xy", chunksize=2, window=10)), list[bytes])
    assert_type(next(later.map("xy", errors="collect")), bytes | BaseException)
    add.map([1], errors="ignore")  # type: ignore[call-overload]
    add.map([1], chunk=5)  # type: ignore[call-overload]


async def many_async(batch: Batch[int]) -> None:
    assert_type(await add.adelay_many([(1, 2)]), Batch[int])
    assert_type(await later.adelay_many([("x",)]), Batch[bytes])
    assert_type(add.amap([1], ordered=False), AsyncGenerator[int, None])
    assert_type(later.amap("xy"), AsyncGenerator[bytes, None])
    async for value in later.amap("xy", errors="collect", progress=True):
        assert_type(value, bytes | BaseException)
    assert_type(await batch, list[int])
    assert_type(batch.aresults(), AsyncIterator[int])
    async for either in batch.aresults(errors="collect"):
        assert_type(either, int | BaseException)


def batches(batch: Batch[int], partly: PartlyStored) -> None:
    assert_type(Batch.get("id"), Batch[Any])
    assert_type((batch.id, len(batch), batch.stored), tuple[str, int, int])
    assert_type(batch.total, int | None)
    assert_type(batch.counts, dict[str, int])
    assert_type((batch.done, batch.wait(1.5), batch.cancel()), tuple[bool, bool, int])
    assert_type(batch.jobs(), Iterator[Job[int]])
    assert_type(batch.results(ordered=False, timeout=5), Iterator[int])
    assert_type(batch.results(errors="collect"), Iterator[int | BaseException])
    assert_type(batch.retry_failed(), Batch[int])
    batch.results(True)  # type: ignore[call-overload]
    assert_type((partly.stored, partly.total), tuple[int, int | None])


def lists(info: JobInfo) -> None:
    assert_type(jobs(), list[JobInfo])
    assert_type(jobs(status="failed", tag="a=b", since="1h", limit=5), list[JobInfo])
    assert_type(jobs(queue="high", task="m:t", after=info), list[JobInfo])
    assert_type(jobs(since=datetime.now(UTC), after=info.id), list[JobInfo])
    assert_type(iter_jobs(tag="a=b"), Iterator[JobInfo])
    jobs("failed")  # type: ignore[call-arg]
    jobs(limit="5")  # type: ignore[arg-type]
    high = Queue("high")
    assert_type((high.name, high.paused, high.waiting), tuple[str, bool, int])
    high.pause()
    assert_type(high.purge(), int)
    high.resume()
    assert_type([one.waiting for one in queues()], list[int])
    assert_type([one.paused_at for one in queues()], list[float | None])


def records(info: JobInfo, attempt: Attempt, progress: Progress) -> None:
    assert_type(info.status, JobStatus)
    assert_type(info.final, bool)
    assert_type(info.progress, Progress | None)
    assert_type(info.attempts, tuple[Attempt, ...])
    assert_type(info.priority, int)
    assert_type(info.tags, Mapping[str, str])
    assert_type((info.key, info.retry_of, info.retried_as), tuple[str, str, str])
    assert_type(attempt.boot_s, float | None)
    assert_type(attempt.ended_at, float | None)
    assert_type(progress.done, float)
    info.status = "queued"  # type: ignore[misc]


def inside_a_task() -> None:
    job = current_job()
    assert_type(job, CurrentJob)
    assert_type(job.id, str)
    assert_type(job.attempt, int)
    assert_type(job.generation, int)
    assert_type(job.progress(3, 10, "resizing"), None)
    job.progress("3")  # type: ignore[arg-type]


def declaring() -> None:
    assert_type(Retry(max_attempts=3).delay(1), float)
    assert_type(Retry().wants(ValueError()), bool)
    Retry(5)  # type: ignore[call-arg]
    assert_type(Guest.parse("shared-cpu-2x").memory_mb, int)
    assert_type(Settings.load({}).redis_url, str)
    assert_type(Settings.load({}, region="ams").max_machines, int)
    assert_type(worker_lib.__version__, str)


def errors(failed: JobFailed, api: MachinesApiError, config: ConfigError) -> None:
    assert_type(failed.kind, FailureKind)
    assert_type(failed.exit_code, int | None)
    assert_type(JobFailed.type_of("timeout"), type[JobFailed])
    assert_type(Crashed("").signal_number, int | None)
    assert_type(Crashed("").signal_name, str)
    assert_type(failed.remote_traceback, str)
    assert_type(failed.job_id, str)
    assert_type(api.status, int)
    assert_type(api.retry_after, float)
    assert_type(config.problems, tuple[Problem, ...])
    assert_type(PayloadTooLarge("").limit_bytes, int)
    every: list[type[WorkerLibError]] = [
        *(ConfigError, TaskError, TaskNotRegistered, ArgumentsNotEncodable),
        CallRefused,
        *(PayloadError, PayloadTooLarge, SignatureMismatch, UnknownVersion),
        *(StoreError, StoreUnavailable, PartlyStored, WaitTimeout),
        *(JobError, JobFailed, JobCancelled, JobNotFound, JobLost, ResultExpired),
        BatchNotFound,
        *(OutOfMemory, JobTimeout, MachineLost, Crashed, StartFailed, NotLoadable),
        *(MachineError, NoCapacity, MachineWaitTimeout, MachinesApiError),
        *(Unauthorized, MachineNotFound, MachineConflict, InvalidRequest),
        *(RateLimited, ApiUnavailable),
    ]
    timeout: TimeoutError = WaitTimeout()
    del every, timeout


def passing_on(fn: Callable[[int], int]) -> None:
    # A task goes wherever a function is wanted, and any function can become one.
    take: Callable[[int], int] = add
    assert_type(fly_task(fn).delay(1), Job[int])
    assert_type(fly_task(queue="low")(fn)(1), int)
    del take


@hooks.before_enqueue
def inject(event: hooks.Event) -> None:
    """Set a header."""
    event.headers["traceparent"] = event.job_id
    event.headers["number"] = 1  # type: ignore[assignment]  # headers are text


@hooks.before_run
@hooks.after_run
def count(event: hooks.Event) -> int:
    """Return something, which nobody wants."""
    return event.attempt


@hooks.on_end  # type: ignore[type-var]  # a hook takes one argument
def no_hook() -> None:
    """Take no event."""


assert_type(count(hooks.Event("caller", "j1")), int)
assert_type(add.plan([1, 2], run="1s", boot=2.5, machines=4).machines, int)
add.plan(iter([1, 2]))  # type: ignore[arg-type]  # it would be used up
assert_type(current_job().headers, dict[str, str])


def executing() -> None:
    with FlyExecutor(4, machine="performance-2x", timeout="1h") as pool:
        assert_type(pool.submit(add, 1, 2).result(), int)
        assert_type(pool.submit(len, "x").result(timeout=1), int)
        assert_type(pool.submit(report.fn, 7, pages=2).job_id, str)
        pool.submit(len, 5)  # type: ignore[arg-type]
        pool.submit(add, 1, 2, 3)  # type: ignore[call-arg]
        assert_type(pool.map(len, ["a", "b"], chunksize=2), Iterator[int])
        assert_type(pool.map(len, ["a"], timeout=1.0, buffersize=5), Iterator[int])
    executors: list[concurrent.futures.Executor] = [FlyExecutor(max_machines=2)]
    executors[0].shutdown(cancel_futures=True)
    FlyExecutor(machine=5)  # type: ignore[arg-type]
    FlyExecutor(initializer=print)  # type: ignore[call-arg]
