"""What a task can ask while it runs: which job it is, and a way to report progress.

Also what the library asks about its own process: whether it is a machine's, whether it
is importing a task, and how many generations of jobs led to the one it runs.
"""

from __future__ import annotations

import os
import sys

from worker_lib.errors import CallRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from worker_lib.job_logs import JobLogger

__all__ = [
    "GENERATION",
    "CurrentJob",
    "allow_call",
    "current_job",
    "enter",
    "enter_machine",
    "generation",
    "in_machine",
    "loading",
    "on_wake",
    "woken",
]

# Tells the programs that a job starts which generation it is.
GENERATION = "WORKER_LIB_GENERATION"
_MAX_MESSAGE = 500
_present: CurrentJob | None = None
_latest_generation = 0
_machine = False
_loading = ""
_on_wake: list[Callable[[], None]] = []


class CurrentJob:
    """The job that is running in this process.

    Attributes:
        id: The same for all attempts, so it can serve as an idempotency key.
        attempt: From 1.
        task: `module:name`.
        generation: 1 for a job stored by no job, 2 for a job stored by such a one, and
            so on.
        headers: What hooks of the caller added to the call; see `worker_lib.hooks`.
    """

    def __init__(
        self,
        job_id: str,
        attempt: int,
        task: str,
        report: Callable[[str], None],
        *,
        generation: int = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.id = job_id
        self.attempt = attempt
        self.task = task
        self.generation = generation
        self.headers: dict[str, str] = dict(headers or ())
        self._report = report

    def __repr__(self) -> str:
        """Name the job."""
        return f"<CurrentJob {self.id} attempt {self.attempt}>"

    def progress(
        self, done: float, total: float | None = None, message: str = ""
    ) -> None:
        """Report how far the job is; stored at most a few times a second.

        Args:
            done: Steps done.
            total: Steps in all; None if unknown.
            message: A short text for people; cut at 500 characters.

        Raises:
            ValueError: a number is not finite.
        """
        import math  # noqa: PLC0415 - only tasks that report need it

        if not math.isfinite(done) or (total is not None and not math.isfinite(total)):
            raise ValueError(f"progress({done!r}, {total!r}): numbers must be finite")
        import json  # noqa: PLC0415 - as above

        text = str(message)[:_MAX_MESSAGE]
        self._report(json.dumps({"done": done, "total": total, "message": text}))

    @property
    def log(self) -> JobLogger:
        """A logger with the name of the task's module.

        Its records carry `job_id` and `attempt`, and what a call adds as `extra`.
        """
        from worker_lib.job_logs import JobLogger  # noqa: PLC0415 - it imports logging

        module = self.task.partition(":")[0]
        return JobLogger(module or "worker_lib.task", self.id, self.attempt)


def current_job() -> CurrentJob:
    """Return the job that is running in this process.

    In a plain call there is no job: the result then has the id "", and its progress is
    dropped. So tasks can be called and tested as functions.
    """
    return _present or CurrentJob("", 1, "", lambda _text: None)


def enter(job: CurrentJob | None) -> None:
    """Set what `current_job` returns. The runtime calls this around each job."""
    global _present, _latest_generation  # noqa: PLW0603 - one job at a time
    _present = job
    if job is not None:
        _latest_generation = job.generation


def enter_machine() -> None:
    """Mark this process as a machine's, until it ends."""
    global _machine  # noqa: PLW0603 - as above
    _machine = True


def on_wake(function: Callable[[], None]) -> None:
    """Have a function called when this machine was suspended, and runs again."""
    _on_wake.append(function)


def woken() -> None:
    """Forget what does not survive the sleep of a machine: connections, and luck.

    Whoever resumes the same memory twice must not draw the same random numbers.
    """
    if "random" in sys.modules:
        sys.modules["random"].seed()
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)
    for function in _on_wake:
        function()


def in_machine() -> bool:
    """Return whether this process runs jobs of a machine."""
    return _machine


def generation() -> int:
    """Return the generation of the job that makes a call now; 0 outside of jobs.

    Threads that a job left behind and programs that it started count as part of it.
    """
    if _present is not None:
        return _present.generation
    if _machine:
        return _latest_generation
    told = os.environ.get(GENERATION, "")
    return int(told) if told.isdecimal() else 0


class loading:  # noqa: N801 - used as a function, in a `with` statement
    """Refuse calls while a machine imports modules.

    Args:
        name: Of the module, or of a task in it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Refuse calls from now on."""
        _set_loading(self._name)

    def __exit__(self, *_: object) -> None:
        """Refuse them no more."""
        _set_loading("")


def _set_loading(name: str) -> None:
    global _loading  # noqa: PLW0603 - as above
    _loading = name


def allow_call(name: str) -> None:
    """Check that a call of the task `name` may be made now.

    Raises:
        CallRefused: a machine is importing the module that makes it. The machine for
            this call would import that module again, and start the next machine.
    """
    if not _loading:
        return
    module, place = _importing()
    module = module or _loading.partition(":")[0]
    raise CallRefused(
        f"the module {module} calls {name} whenever it is imported{place}: every "
        "machine that imports it would start another machine, without an end; "
        'put the call under `if __name__ == "__main__":`, or into a function'
    )


def _importing() -> tuple[str, str]:
    """Return the module whose top level is running, and the line it is at."""
    # `inspect` does the same, but costs an import.
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name == "<module>" and module != "__main__":
            file = frame.f_code.co_filename
            return module, f" ({file}, line {frame.f_lineno})"
        frame = frame.f_back
    return "", ""
