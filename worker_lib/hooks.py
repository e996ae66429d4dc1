"""Hooks: functions of yours that are called when something happens to a job.

    from worker_lib import hooks

    @hooks.after_run
    def report(event: hooks.Event) -> None:
        if event.exception is not None:
            sentry_sdk.capture_exception(event.exception)

==================  =======  =====================================================
hook                side     when, and where
==================  =======  =====================================================
`before_enqueue`    caller   a call is about to be stored; may set `event.headers`
`after_enqueue`     caller   it was stored, or storing it failed (`exception`)
`before_run`        machine  an attempt begins, in the process that runs the task
`after_run`         machine  it has ended there, and was not killed from outside
`on_retry`          machine  after `after_run`: it failed, another attempt follows
`on_end`            machine  after `after_run`: it succeeded, or failed for good
`on_end`            caller   this process reads the outcome, or cancels the job;
                             once for each job and process
`on_lost`           caller   this process swept, and found a machine gone with a job
==================  =======  =====================================================

A task that makes calls is their caller. A call that could not be loaded was never run,
and a process that was killed (a crash, memory, a time-out that the task ignored) calls
nothing any more: only the caller's `on_end` tells of both. On a machine `on_retry` and
`on_end` come before Redis has taken the report, so a cancel at that moment may still
win.

Hooks are called in the order of registration, those of `after_` in reverse. One that
raises changes nothing else: its name, the class and the line are noted, never the
message. One that hangs is under the task's timeout on a machine, and holds up the call
elsewhere. On the caller's side KeyboardInterrupt passes, so that Ctrl-C works; hooks
may be called from several threads at once; and `on_end` and `on_lost` cost one more
look at Redis each.
"""

from __future__ import annotations

import sys

from worker_lib.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import suppress
    from typing import Any, Literal, TypeVar

    from worker_lib.job import Attempt, JobInfo

    Function = Callable[["Event"], object]
    F = TypeVar("F", bound=Function)
    Side = Literal["caller", "machine"]
else:
    from worker_lib.records import suppress

__all__ = [
    "Event",
    "Hook",
    "after_enqueue",
    "after_run",
    "before_enqueue",
    "before_run",
    "on_end",
    "on_lost",
    "on_retry",
    "scoped",
    "unregister",
]

_CO_COROUTINE = 0x80
_MAX_HEADERS = 8192
_on_machine = False


class Event:
    """What a hook is told. It holds neither arguments nor results.

    The same object is passed before and after, so `state` carries over.

    Attributes:
        name: Of the hook, such as `before_run`.
        side: `caller` or `machine`: the part this process plays for the job.
        job_id: The same for all attempts. Where `key=` found another job, that one's
            after the enqueue.
        task: `module:name`, "" if Redis no longer knows it.
        queue: In which the job was stored.
        attempt: From 1; 0 before the first.
        headers: Text that travels with the call, signed. `before_enqueue` may change
            it, but for `Job.retry`, which keeps what the call had; a task finds it as
            `current_job().headers`.
        status: "" so far; after a run `succeeded`, `failed`, or `interrupted` (the job
            was cancelled, or the machine must stop); `retrying` for `on_retry`; else
            the job's.
        kind: Why the attempt failed, as `JobFailed.kind`, or "".
        error_type: Qualified name of the class that was raised, or "".
        exception: What was raised, in the process that raised or loaded it; it may
            hold anything that the task put into it.
        duration: Seconds that storing or running took; 0 if not known.
        state: For hooks to keep things in, from before to after.
    """

    __slots__ = (
        "attempt",
        "duration",
        "error_type",
        "exception",
        "headers",
        "job_id",
        "kind",
        "name",
        "queue",
        "side",
        "state",
        "status",
        "task",
    )

    def __init__(
        self,
        side: Side,
        job_id: str,
        *,
        task: str = "",
        queue: str = "",
        attempt: int = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.name = ""
        self.side: Side = side
        self.job_id = job_id
        self.task = task
        self.queue = queue
        self.attempt = attempt
        self.headers: dict[str, str] = dict(headers or ())
        self.status = ""
        self.kind = ""
        self.error_type = ""
        self.exception: BaseException | None = None
        self.duration = 0.0
        self.state: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Name the hook and the job."""
        return f"<Event {self.name} {self.job_id} attempt {self.attempt}>"

    @classmethod
    def of_job(cls, info: JobInfo, attempt: Attempt | None) -> Event:
        """Return what Redis knows of a job and one of its attempts, for the caller."""
        event = cls("caller", info.id, task=info.task, queue=info.queue)
        event.status = info.status
        if attempt is not None:
            event.attempt = attempt.number
            ended_at = attempt.ended_at or attempt.started_at
            event.duration = ended_at - attempt.started_at
            event.kind = attempt.outcome if info.status == "failed" else ""
        return event

    def fail(self, error: BaseException | None, error_type: str = "") -> None:
        """Note what was raised."""
        self.exception = error
        self.error_type = error_type or ("" if error is None else type_name(error))


class Hook:
    """One kind of event. As a decorator it registers a function, and returns it.

    True if any function is registered.
    """

    def __init__(self, name: str, *, in_reverse: bool = False) -> None:
        self.name = name
        self._in_reverse = in_reverse
        self._functions: list[Function] = []

    def __call__(self, function: F) -> F:
        """Register a function; a second time changes nothing.

        Raises:
            TypeError: it is not a plain function of one argument.
        """
        code = getattr(function, "__code__", None)
        if not callable(function) or getattr(code, "co_flags", 0) & _CO_COROUTINE:
            raise TypeError(
                f"hooks.{self.name} takes a plain function of one argument, the event, "
                f"not {function!r}"
            )
        if function not in self._functions:
            self._functions.append(function)
        return function

    def __bool__(self) -> bool:
        """Whether any function is registered."""
        return bool(self._functions)

    def __repr__(self) -> str:
        """Name the hook."""
        return f"<Hook {self.name}>"

    def unregister(self, function: Function) -> None:
        """Call a function no more; nothing happens if it is not registered."""
        with suppress(ValueError):
            self._functions.remove(function)

    def fire(
        self,
        event: Event,
        *,
        catch: type[BaseException] | tuple[type[BaseException], ...] = (
            Exception,
            SystemExit,
        ),
        let_pass: tuple[type[BaseException], ...] = (),
    ) -> None:
        """Call every function; one that raises is noted, and the rest are called.

        Args:
            event: What they are told.
            catch: What counts as a mistake of the hook's.
            let_pass: What does not, although it is among those.
        """
        event.name = self.name
        functions = list(self._functions)
        for function in reversed(functions) if self._in_reverse else functions:
            try:
                function(event)
            except let_pass:
                raise
            except catch as error:
                _note(self.name, function, event, error)


before_enqueue = Hook("before_enqueue")
after_enqueue = Hook("after_enqueue", in_reverse=True)
before_run = Hook("before_run")
after_run = Hook("after_run", in_reverse=True)
on_retry = Hook("on_retry")
on_end = Hook("on_end")
on_lost = Hook("on_lost")
# For this library's own parts: user code is over, and its outcome not yet reported.
before_report = Hook("before_report")

_PUBLIC = (
    *(before_enqueue, after_enqueue, before_run, after_run),
    *(on_retry, on_end, on_lost),
)


def unregister(function: Function) -> None:
    """Remove a function from every hook that it is registered for."""
    for hook in _PUBLIC:
        hook.unregister(function)


class scoped:  # noqa: N801 - used as a function, in a `with` statement
    """Forget at the end what was registered meanwhile; for tests."""

    def __enter__(self) -> None:
        """Note what is registered."""
        self._before = [list(hook._functions) for hook in _PUBLIC]  # noqa: SLF001 - our own

    def __exit__(self, *_: object) -> None:
        """Leave it at that."""
        for hook, functions in zip(_PUBLIC, self._before, strict=True):
            hook._functions[:] = functions  # noqa: SLF001 - as above


def load(module: str) -> None:
    """Import the module that `WORKER_LIB_HOOKS` names; "" does nothing.

    Raises:
        ConfigError: it cannot be imported.
    """
    if not module:
        return
    try:
        __import__(module)
    except (Exception, SystemExit) as error:
        why = f": {error}" if isinstance(error, ImportError) else ""
        raise ConfigError(
            f"WORKER_LIB_HOOKS={module}: that module cannot be imported "
            f"({type(error).__name__}{why}): correct the name, or unset it"
        ) from error


def load_on_machine(module: str) -> None:
    """Do the same where jobs run: what fails is noted, and jobs run without hooks."""
    global _on_machine  # noqa: PLW0603 - a process is a machine's for good
    _on_machine = True
    try:
        load(module)
    except ConfigError as error:
        _print(f"jobs run without the hooks of {module}: {error}")


def checked_headers(event: Event) -> dict[str, str] | None:
    """Return the headers that may travel, None if there are none.

    What is not text, or too long all together, is left out, and that is noted.
    """
    given: Any = getattr(event, "headers", None)
    pairs = list(given.items()) if isinstance(given, dict) else []
    good = {
        name: value
        for name, value in pairs
        if isinstance(name, str) and isinstance(value, str)
    }
    if len(good) < len(pairs) or not isinstance(given, dict):
        _log(event, "headers are a dict of text: what is not was left out")
    if sum(len(name) + len(value) for name, value in good.items()) > _MAX_HEADERS:
        _log(event, f"headers over {_MAX_HEADERS} characters were left out")
        return None
    return good or None


def type_name(error: BaseException) -> str:
    """Return the qualified name of an exception's class, as `JobFailed` tells it."""
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _note(name: str, function: Function, event: Event, error: BaseException) -> None:
    # The message may hold whatever the task or the hook put into it.
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    who = getattr(function, "__qualname__", type(function).__qualname__)
    hook = f"{getattr(function, '__module__', '')}.{who}"
    _log(event, f"the {name} hook {hook} raised {type_name(error)}{place}")


def _log(event: Event, text: str) -> None:
    """Tell of a hook's mistake; never raises."""
    with suppress(Exception):
        job_id = str(getattr(event, "job_id", ""))
        if _on_machine:  # nobody listens to loggers there unless the task does
            _print(f"job {job_id}: {text}")
            return
        from worker_lib.logs import get_logger  # noqa: PLC0415 - costly, and rare

        task = str(getattr(event, "task", ""))
        extra = {"job_id": job_id, "task": task, "error": text}
        get_logger("hooks").warning("hook_failed", extra=extra)


def _print(text: str) -> None:
    with suppress(Exception):  # the task may have closed it
        sys.stderr.write(f"worker_lib: {text}\n")
        sys.stderr.flush()
