"""`Job`: the caller's handle on one call, in this process or any other."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar, overload

from worker_lib.client.edits import Changes
from worker_lib.errors import JobCancelled, JobExpired, ResultExpired, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Unpack

    from worker_lib.client.client import Client
    from worker_lib.job import Attempt, JobInfo, JobStatus

__all__ = ["Job"]

R_co = TypeVar("R_co", covariant=True)


class Otherwise(TypedDict, total=False):
    """What a job that is made from another has otherwise; None is as there.

    Attributes:
        args: All its positional arguments, as `Job.edit` takes them.
        kwargs: All its named arguments.
        queue: The queue that it waits in.
        priority: -100 to 100; higher goes first.
        delay: It starts no sooner than this from now.
        timeout: How long an attempt may run.
    """

    args: Sequence[Any] | None
    kwargs: Mapping[str, Any] | None
    queue: str | None
    priority: int | None
    delay: float | str | timedelta | None
    timeout: float | str | timedelta | None


class Job(Generic[R_co]):
    """One call of a task. Cheap: holds an id; all else is asked of Redis.

    Attributes:
        id: 20 hexadecimal digits, 24 for one of a batch; `Job.get(id)` opens it again
            anywhere.
    """

    def __init__(self, job_id: str, client: Client, *, fresh: bool = False) -> None:
        self.id = job_id
        self._client = client
        # Stored a moment ago without trouble: no need to look before waiting.
        self._fresh = fresh

    @classmethod
    def get(cls, job_id: str) -> Job[Any]:
        """Return the job of this id, stored by any process.

        Raises:
            JobNotFound: Redis has none, or no longer has it.
            StoreUnavailable: Redis cannot be reached.
        """
        from worker_lib.client.client import default_client  # noqa: PLC0415 - it imports us

        client = default_client()
        client.look(job_id)
        return cls(job_id, client)

    def __repr__(self) -> str:
        """Name the job."""
        return f"<Job {self.id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the id alone."""
        return _reopen, (self.id,)

    def __eq__(self, other: object) -> bool:
        """Two handles on one job are equal."""
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.id)

    @property
    def status(self) -> JobStatus:
        """The status now. Raises `JobNotFound` if Redis has forgotten the job."""
        return self.info().status

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every run of the job so far, with its machine, times and outcome."""
        return self.info().attempts

    def info(self) -> JobInfo:
        """Return all that is known of the job, but for arguments and result.

        Raises:
            JobNotFound: Redis has no such job, or no longer has it.
        """
        return self._client.look(self.id).info

    def result(self, timeout: float | None = None) -> R_co:
        """Return the task's value; wait for it if need be.

        Args:
            timeout: Seconds; None waits as long as it takes, 0 not at all.

        Raises:
            Exception: what the task raised, with a `JobFailed` as its cause that
                holds the remote traceback.
            JobFailed: the task ended without an exception that can be raised here.
            JobCancelled: somebody cancelled it.
            JobExpired: it waited for a machine longer than `pending_ttl`.
            WaitTimeout: not final yet; the job goes on.
            ResultExpired: it ended longer ago than `result_ttl`.
            JobLost: Redis lost it.
            StoreUnavailable: Redis refuses us, or was away when time was over; until
                then it retries.
            MachineError: no machine can be had until a person acts; the job waits.
        """
        good, value = self._client.outcome(self.id, timeout, fresh=self._fresh)
        self._fresh = False
        if good:
            return value  # type: ignore[no-any-return]  # what the task returned
        raise value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what `result` would raise for a failed job; None if it succeeded.

        Raises:
            WaitTimeout: not final yet.
            JobError: there is no outcome to tell of.
        """
        good, value = self._client.outcome(self.id, timeout, fresh=self._fresh)
        return None if good else value

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job is final; False if `timeout` seconds were not enough."""
        try:
            self._client.outcome(self.id, timeout, fresh=self._fresh)
        except WaitTimeout:
            return False
        except (JobCancelled, JobExpired, ResultExpired):
            return True
        return True

    def cancel(self) -> bool:
        """End the job wherever it is; True if this call did it.

        The status is `cancelled` at once and no later success is accepted. A running
        task is interrupted (`KeyboardInterrupt` is raised in it, so `finally` blocks
        run) and killed if it has not ended two seconds later.

        Raises:
            JobNotFound: Redis has no such job.
        """
        return self._client.cancel(self.id)

    def retry(self, **changes: Unpack[Otherwise]) -> Job[R_co]:
        """Run a job that failed, was cancelled or expired again, as a new job.

        The call, its options, tags and headers are the same, but for what is given;
        its attempts start anew, and the new job's `retry_of` names this one. While the
        new job has not ended, a further `retry` of this one returns it too.

        Args:
            changes: What the new job has otherwise.

        Raises:
            JobError: it has not ended yet, or it succeeded; or something is to be
                changed, and a job that runs this one again has not ended.
            JobNotFound: Redis has no such job, or no longer has it.
            SignatureMismatch: its call is not signed with our secret.
            ConfigError: a value cannot be.
            TypeError: the function does not take these arguments.
            PayloadError: only some arguments are to be others, and the old ones cannot
                be loaded here.
        """
        if all(value is None for value in changes.values()):
            return self._client.retry(self.id)
        return self._client.retry(self.id, Changes.of(**changes))

    def clone(self, **changes: Unpack[Otherwise]) -> Job[R_co]:
        """Make a new job from this one, whatever its status.

        The new one has the same call, options and tags, but for what is given, and no
        key: it goes its own way. Of a job that succeeded Redis keeps no call: then
        `args` or `kwargs` have to be given, and the task is called as it is declared
        in this program, which has to have imported it.

        Args:
            changes: What the new job has otherwise.

        Raises:
            JobError: it succeeded, and no arguments are given.
            TaskNotRegistered: it succeeded, and this program has not imported its task.

        Else it raises what `retry` raises.
        """
        return self._client.clone(self.id, Changes.checked(**changes))

    def edit(
        self,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        delay: float | str | timedelta | None = None,
        first: bool = False,
    ) -> None:
        """Change a job that waits for its first run, or its next; all at once.

        What is not given stays as it is. New arguments are pickled and signed here; the
        old ones are unpickled if only `args` or only `kwargs` are given. A method's
        first argument is its instance.

        Args:
            args: All its positional arguments.
            kwargs: All its named arguments.
            queue: The queue that it moves to.
            priority: -100 to 100; higher goes first.
            delay: It starts no sooner than this from now; 0: it may start now.
            first: Have it go before all others that wait in its queue now.

        Raises:
            JobError: it runs, or has ended.
            JobNotFound: Redis has no such job, or no longer has it.
            ConfigError: a value cannot be, or nothing is to be changed.
            TypeError: the function does not take these arguments.
            ArgumentsNotEncodable: one of them cannot be pickled.
            PayloadError: the old arguments cannot be loaded here.
        """
        wanted = {"args": args, "kwargs": kwargs, "queue": queue, "first": first}
        changes = Changes.of(**wanted, priority=priority, delay=delay)
        self._client.edit(self.id, changes)

    def delete(self) -> None:
        """Forget a job that waits, which is cancelled first, or that has ended.

        Raises:
            JobError: it runs.
            JobNotFound: Redis has no such job, or no longer has it.
        """
        self._client.delete(self.id)

    @overload
    def logs(
        self, attempt: int | None = None, *, follow: Literal[False] = False
    ) -> str: ...

    @overload
    def logs(
        self,
        attempt: int | None = None,
        *,
        follow: Literal[True],
        timeout: float | None = None,
    ) -> Iterator[str]: ...

    @overload
    def logs(
        self,
        attempt: int | None = None,
        *,
        follow: bool,
        timeout: float | None = None,
    ) -> str | Iterator[str]: ...

    def logs(
        self,
        attempt: int | None = None,
        *,
        follow: bool = False,
        timeout: float | None = None,
    ) -> str | Iterator[str]:
        """Return what the job has printed to stdout and stderr, in order.

        Args:
            attempt: Only of this attempt, from 1; None: of all, each after a line
                that names it if there were several.
            follow: Yield text instead: what was printed so far, then what is printed,
                within about a second, until the job (or the attempt) has ended. It
                may be yet to begin. Where a job prints more than can be sent, a line
                says how many bytes are left out.
            timeout: Seconds to follow; None follows to the end.

        Of the attempt that runs there is only what somebody follows, and the same of
        one whose machine was lost.

        Raises:
            ConfigError: the job has had no such attempt, or ended without it.
            JobNotFound: Redis has no such job, or no longer has it.
            SignatureMismatch: it is not signed by a machine of ours.
        """
        if not follow:
            return self._client.logs.read(self.id, attempt)
        return self._followed(attempt, timeout)

    async def alogs(self, attempt: int | None = None) -> AsyncGenerator[str]:
        """Follow what the job prints, as `logs(follow=True)`, in async code.

        To stop sooner, cancel what iterates, or close it (`aclose`).
        """
        news = self._client.logs.afollow(self.id, attempt=attempt)
        async with aclosing(news):
            async for one in news:
                for text in one.texts:
                    yield text.name + text.text

    def watch(self, timeout: float | None = 60.0) -> Iterator[JobInfo]:
        """Yield the job as it is, then again at each change, until it is final.

        Args:
            timeout: Seconds to watch; None watches to the end.

        Blocks without polling: the scripts announce changes to whoever watches.
        """
        return self._client.watch(self.id, timeout)

    def _followed(self, attempt: int | None, timeout: float | None) -> Iterator[str]:
        news = self._client.logs.follow(self.id, attempt=attempt, timeout=timeout)
        for one in news:
            for text in one.texts:
                yield text.name + text.text

    def __await__(self) -> Generator[Any, None, R_co]:
        """Wait for the value without blocking the event loop.

        Raises what `result` raises. A task that is cancelled while it awaits stops
        waiting at once; the job goes on.
        """
        return self._awaited().__await__()

    async def _awaited(self) -> R_co:
        good, value = await self._client.aoutcome(self.id, fresh=self._fresh)
        self._fresh = False
        if good:
            return value  # type: ignore[no-any-return]  # what the task returned
        raise value


def _reopen(job_id: str) -> Job[Any]:
    from worker_lib.client.client import default_client  # noqa: PLC0415 - it imports us

    return Job(job_id, default_client())
