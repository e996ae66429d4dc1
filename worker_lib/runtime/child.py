"""The process that holds the user's code: verify, unpickle, run, pickle, sign."""

from __future__ import annotations

import faulthandler
import os
import time

from worker_lib import context, hooks
from worker_lib.calls import codec, pickling
from worker_lib.calls.preview import result_preview
from worker_lib.errors import PayloadTooLarge, TaskNotRegistered, WorkerLibError
from worker_lib.runtime import streams
from worker_lib.runtime.events import Interrupted, OutOfTime, RunEvents
from worker_lib.runtime.fresh import Sources
from worker_lib.runtime.functions import Functions
from worker_lib.runtime.meter import Meter
from worker_lib.runtime.permits import GO
from worker_lib.runtime.process import AWAKE, CHANNEL_LOST, KNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Coroutine
    from functools import partial
    from typing import Any

    from worker_lib.calls.codec import Codec
    from worker_lib.calls.pickling import Body, Call, Failure
    from worker_lib.errors import FailureKind
    from worker_lib.retry import Retry
    from worker_lib.runtime.frames import Channels
else:
    import _signal as signal  # see `process`
    from _collections_abc import Coroutine

    from worker_lib.records import partial

__all__ = ["OUT_OF_TIME", "Child"]

# Chosen since user code hardly ever uses it, and its name says what it means here.
OUT_OF_TIME = signal.SIGXCPU
# Characters of a traceback in the job's record, for people; the outcome has more.
_MAX_TRACE = 4000
# What the supervisor asked the attempt to end for; "" while it has not.
_stopped_by = ""
# Between two jobs a signal has come too late for the one it was meant for.
_at_work = False


class _Forgotten(Exception):
    """The code of a function is not kept, or not any more: it must be sent again."""


class Child:
    """Runs jobs that the supervisor sends, one after the other.

    Args:
        channels: To and from the supervisor.
        codec_: Verifies calls and signs outcomes.
        pool: Of this machine, as its sealed spec says.
        hooks_module: To import before the first job; "" for none.
    """

    def __init__(
        self,
        channels: Channels,
        codec_: Codec,
        pool: str,
        hooks_module: str = "",
    ) -> None:
        self._channels = channels
        self._frames = channels.frames
        self._progress = channels.progress
        self._codec = codec_
        self._pool = pool
        self._hooks_module = hooks_module
        self._named: dict[str, Callable[..., Any]] = {}
        self._sent = Functions()
        self._sources = Sources.of_this_machine()

    def serve(self, job: list[bytes] | None = None) -> None:
        """Run jobs until the supervisor is gone.

        Args:
            job: To begin with; None waits for one.
        """
        context.enter_machine()
        streams.install(self._progress)
        faulthandler.enable()
        signal.signal(signal.SIGTERM, _raise_interrupt)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(OUT_OF_TIME, _raise_out_of_time)
        with context.loading(self._hooks_module):
            hooks.load_on_machine(self._hooks_module)
        meter, marks = Meter(), streams.Marks(self._channels.marker)
        frame = job or self._next()
        while frame is not None:
            self._work(frame, meter, marks)
            frame = self._next()

    def _next(self) -> list[bytes] | None:
        """Return the next job that may begin; None once the supervisor is gone."""
        while (frame := self._frames.receive()) is not None:
            if frame == [AWAKE]:
                context.woken()
                continue
            permit = self._channels.permits.recv(1)
            if permit == GO:
                return frame
            if not permit:
                break
        return None

    def _work(self, frame: list[bytes], meter: Meter, marks: streams.Marks) -> None:
        global _at_work  # noqa: PLW0603 - one job at a time
        _at_work = True
        meter.begin()
        done = self._run_from_disk(frame)
        # In this order: what a thread prints from here on belongs to no job.
        streams.leave_threads()
        streams.flush()
        usage = meter.end()
        told = *done, usage.packed(), self._kept(frame)
        try:
            marks.write()
            if usage.left_processes:  # they must not print into the next job's pipe
                marks.renew(self._progress)
            self._frames.send(*told)
        except OSError:  # the task closed the channel, or the supervisor is gone
            os._exit(CHANNEL_LOST)
        _at_work = False

    def _run_from_disk(self, frame: list[bytes]) -> tuple[bytes, ...]:
        """Run a job by the code that is on disk now, where that can change."""
        if self._sources is None:
            return self._run(frame)
        if self._sources.have_changed():
            self._sources.run_anew(frame, self._channels)
        done = self._run(frame)
        self._sources.note()
        return done

    def _kept(self, frame: list[bytes]) -> bytes:
        """Return whether a next call of the same code can do without it."""
        if self._sources is not None:  # it may have to start anew for that call
            return b""
        return b"1" if self._sent.get(frame[4].decode()) else b""

    def _run(self, frame: list[bytes]) -> tuple[bytes, ...]:
        """Return status, kind, error, whether to retry, and signed outcome.

        The error is one line, and a traceback in the further ones.
        """
        job_id, fence, attempt, task, code_hash, code, sealed, timeout, policy = frame
        place = {"job_id": job_id.decode(), "fence": fence.decode()}
        try:
            signed_along = codec.call_place(
                (code_hash or task).decode(),
                pool=self._pool,
                timeout=float(timeout),
                policy=policy.decode(),
            )
            with context.loading(task.decode()):
                call, preview = self._call(place["job_id"], signed_along, sealed)
                function = self._function(task.decode(), code_hash.decode(), code)
        except _Forgotten:
            return b"forgotten", b"", b"", b"", b""
        except (Exception, SystemExit) as error:  # noqa: BLE001 - user modules may raise anything
            failure = pickling.describe(error)._replace(kind="refused")
            return self._failed(failure, place, retry=False)
        streams.keep_records()
        job = context.CurrentJob(
            place["job_id"],
            int(attempt),
            task.decode(),
            partial(self._progress.send, *place.values()),
            generation=call.generation,
            headers=call.headers,
        )
        os.environ[context.GENERATION] = str(call.generation)
        context.enter(job)
        try:
            events = RunEvents(job, call, policy)
            return self._attempt(job, function, call, (place, preview), events)
        finally:
            context.enter(None)
            _settle(job)

    def _attempt(
        self,
        job: context.CurrentJob,
        function: Callable[..., Any],
        call: Call,
        shown: tuple[dict[str, Any], bytes | None],
        events: RunEvents,
    ) -> tuple[bytes, ...]:
        global _stopped_by  # noqa: PLW0603 - one attempt at a time
        _stopped_by = ""
        place, preview = shown
        began = time.monotonic()
        try:
            events.begin()
            try:
                value = _value(function, call, events)
            finally:
                events.over()
        except BaseException as error:  # noqa: BLE001 - whatever the task raised
            failure = _failure(error, time.monotonic() - began)
            events.fail(error, failure.remote_type)
            retry = _retries(call, error, failure)
            done = self._failed(failure, place, retry=retry)
        else:
            dump = partial(_dumped, value, job.task, is_chunk=bool(call.items))
            if preview is not None:
                preview += b"\0" + result_preview(value)
            done = self._succeeded(dump, (place, preview), job.task, events)
        status, kind, _, wanted, _ = done
        events.end(
            status.decode(), kind.decode(), retry=bool(wanted), stopped_by=_stopped_by
        )
        return done

    def _function(self, task: str, code_hash: str, code: bytes) -> Callable[..., Any]:
        if not code_hash:
            if task not in self._named:
                self._named[task] = pickling.resolve(task)
            return self._named[task]
        function = self._sent.get(code_hash)
        if function is not None:
            return function
        if code == KNOWN:
            raise _Forgotten
        if not code:
            raise TaskNotRegistered(
                f"the code of {task} is no longer in Redis: it was lost or evicted; "
                "call the task again, and check Redis's maxmemory-policy"
            )
        body = self._codec.open(code, kind=codec.CODE, job_id=code_hash)
        function = pickling.load_code(body)
        self._sent.put(code_hash, function, len(body))
        return function

    def _call(
        self, job_id: str, signed_along: str, sealed: bytes
    ) -> tuple[Call, bytes | None]:
        # What is called is signed along: else a genuine argument could be given to
        # `os:system`. So it is checked before any module is imported for it.
        place = {"job_id": job_id, "fence": signed_along}
        body, preview = self._codec.opened(sealed, kind=codec.CALL, **place)
        return pickling.load_call(body), preview

    def _succeeded(
        self,
        dump: Callable[[], Body],
        shown: tuple[dict[str, Any], bytes | None],
        task: str,
        events: RunEvents,
    ) -> tuple[bytes, ...]:
        place, preview = shown
        try:
            envelope = self._codec.seal(
                dump(),
                kind=codec.OUTCOME,
                preview=preview,
                **place,
            )
        except WorkerLibError as error:
            told = error.of(task) if isinstance(error, PayloadTooLarge) else error
            failure = pickling.describe(told)
            events.fail(told, failure.remote_type)
            return self._failed(failure, place, retry=False)
        return b"succeeded", b"", b"", b"", envelope

    def _failed(
        self, failure: Failure, place: dict[str, Any], *, retry: bool
    ) -> tuple[bytes, ...]:
        body = pickling.dump_failure(failure)
        envelope = self._codec.seal(body, kind=codec.OUTCOME, **place)
        error = failure.summary.partition("\n")[0][:500]
        if failure.remote_traceback:
            error += f"\n{pickling.shortened(failure.remote_traceback, _MAX_TRACE)}"
        safe = error.encode("utf-8", "backslashreplace")
        return b"failed", failure.kind.encode(), safe, b"1" if retry else b"", envelope


def _value(function: Callable[..., Any], call: Call, events: RunEvents) -> Any:
    """Run a call, or each call of a chunk."""

    def run_one(*args: Any) -> Any:
        return _await(function(*args, **call.kwargs))

    if not call.items:
        return run_one(*call.args)
    from worker_lib.calls import chunks  # noqa: PLC0415 - few jobs are chunks

    retry = call.retry
    has_retry = partial(_has_retry, retry, events) if retry else lambda _: False
    return chunks.run(call, run_one, has_retry)


def _has_retry(retry: Retry, events: RunEvents, error: Exception) -> bool:
    return events.is_followed("error", retry=retry.wants(error))


def _dumped(value: Any, task: str, *, is_chunk: bool) -> Body:
    if not is_chunk:
        return pickling.dump_value(value, task)
    from worker_lib.calls import chunks  # noqa: PLC0415 - as above

    return chunks.dump_value(value, task)


def _await(value: Any) -> Any:
    # Only what an async function returns: a Job, for one, can be awaited as well, but
    # is what the task was to return.
    if not isinstance(value, Coroutine):
        return value
    import asyncio  # noqa: PLC0415 - only for tasks that are coroutines

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def _failure(error: BaseException, ran: float) -> Failure:
    failure = pickling.describe(error)
    if isinstance(error, OutOfTime):
        text = (
            f"the attempt ran longer than its timeout: it was ended after {ran:.1f} s"
        )
        return _untyped(failure, "timeout", text)
    if isinstance(error, SystemExit):
        text = f"the task called sys.exit({error.code!r})"
        return _untyped(failure, "exit", text)._replace(exit_code=_exit_code(error))
    return failure


def _untyped(failure: Failure, kind: FailureKind, message: str) -> Failure:
    """Return a failure whose exception is none of the task's; the traceback stays."""
    return failure._replace(
        kind=kind, message=message, remote_type="", exception=b"", rebuild_error=""
    )


def _exit_code(error: SystemExit) -> int:
    """Return what the process would have ended with."""
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def _retries(call: Call, error: BaseException, failure: Failure) -> bool:
    if call.retry is None:
        return False
    if failure.kind == "error":
        return call.retry.wants(error)
    return call.retry.wants_kind(failure.kind)


def _settle(job: context.CurrentJob) -> None:
    """Finish what the task left to the background: the machine may end any moment."""
    if hooks.before_report:
        event = hooks.Event("machine", job.id, task=job.task)
        hooks.before_report.fire(event, catch=Exception)


def _raise_interrupt(_signal: int, _frame: object) -> None:
    global _stopped_by  # noqa: PLW0603 - one attempt at a time
    if _at_work:
        _stopped_by = "interrupted"
        raise Interrupted


def _raise_out_of_time(_signal: int, _frame: object) -> None:
    global _stopped_by  # noqa: PLW0603 - as above
    if _at_work:
        _stopped_by = "timeout"
        raise OutOfTime
