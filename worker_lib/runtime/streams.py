"""Standard output and error inside the child: whole lines, and of the right job.

Lines are written as they are printed, so that both streams keep their order and a child
that is killed has printed what it had to say.

A thread that a job left behind goes on printing while the next one runs. Its text does
not go into the pipe of that job, but on the progress channel to the supervisor, which
passes it on to the machine's output; so does that of threads which it starts. What such
a thread writes to the descriptors themselves cannot be told apart.
"""

from __future__ import annotations

import io
import os
import sys
from _thread import _count, get_native_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import suppress
    from typing import Any

    from worker_lib.runtime.frames import Progress
else:
    from worker_lib.records import suppress

__all__ = ["Marks", "flush", "install", "keep_records", "leave_threads"]

# Native ids, which the kernel does not soon use again, of the threads of earlier jobs.
_left: set[int] = set()
_follows = False
_prints_records = False
# Below the usual limit of 1,024.
_OUT_OF_REACH = 1000


class _Stream(io.TextIOWrapper):
    """A stream that keeps the text of threads of earlier jobs apart."""

    progress: Progress

    def write(self, text: str) -> int:
        """Write text, to the job's output if this thread belongs to the job."""
        if _left and get_native_id() in _left:
            with suppress(OSError):
                self.progress.send_text(text)
            return len(text)
        return super().write(text)


class Marks:
    """Tells the supervisor where in the pipe the output of a job ends.

    Args:
        marker: What is written there; nobody else knows it.
    """

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        # A number that no file of a task gets: a task may close what it did not open.
        try:
            self._pipe = os.dup2(1, _OUT_OF_REACH, inheritable=False)
        except OSError:  # this machine allows fewer files
            self._pipe = os.dup(1)

    def write(self) -> None:
        """Write the marker, whole.

        Raises:
            OSError: the task has closed the pipe.
        """
        while True:
            try:
                os.write(self._pipe, self._marker)
            except BlockingIOError:  # the task, or what it started, made it so
                os.set_blocking(self._pipe, True)
            else:
                return

    def renew(self, progress: Progress) -> None:
        """Have what is printed from here on go to another pipe."""
        reader, writer = os.pipe()
        for target in (1, 2):
            os.dup2(writer, target)
        os.dup2(writer, self._pipe, inheritable=False)
        os.close(writer)
        progress.send_file(reader)
        os.close(reader)


def install(progress: Progress) -> None:
    """Replace the standard streams.

    Args:
        progress: Takes the text of threads of earlier jobs.
    """
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        if isinstance(old, io.TextIOWrapper):
            new = _replaced(old, descriptor, progress)
            setattr(sys, name, new)
            setattr(sys, f"__{name}__", new)


def keep_records() -> None:
    """Print records of `logging` with what they say, if the task imports it.

    Only those for which nobody has configured a handler. To be called before a task is
    run, as often as that happens.
    """
    global _prints_records  # noqa: PLW0603 - once for this process
    logging = sys.modules.get("logging")
    if _prints_records or logging is None:
        return
    _prints_records = True
    last: Any = logging.lastResort
    if last is not None:
        last.level, last.emit = 0, _print_record


def flush() -> None:
    """Write what was printed so far."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(Exception):  # the task may have closed it
                stream.flush()
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None:  # libraries in C may have printed, too
        with suppress(Exception):
            ctypes.pythonapi.fflush(None)


def leave_threads() -> None:
    """Note that the threads that run now belong to no later job."""
    if not _count() and not _left:
        return
    known = _left.copy()
    alive = set(map(int, os.listdir("/proc/self/task"))) - {os.getpid()}
    # Threads print meanwhile, and start others: none is forgotten that is alive.
    _left.update(alive)
    _left.difference_update(known - alive)
    _follow_threads()


def _print_record(record: Any) -> None:
    from worker_lib.runtime.log_records import write  # noqa: PLC0415 - few log

    write(record)


def _replaced(old: io.TextIOWrapper, descriptor: int, progress: Progress) -> _Stream:
    # Not the old buffer: it was made for what the supervisor prints to.
    is_raw = isinstance(old.buffer, io.RawIOBase)
    buffer: Any = open(  # noqa: SIM115 - for as long as this process lives
        descriptor, "wb", buffering=0 if is_raw else -1, closefd=False
    )
    new = _Stream(
        buffer,
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=True,
        write_through=old.write_through,
    )
    new.progress = progress
    return new


def _follow_threads() -> None:
    """Have a thread that such a thread starts count as left behind, too."""
    global _follows  # noqa: PLW0603 - once for this process
    if _follows:
        return
    _follows = True
    import threading  # noqa: PLC0415 - what made the threads has imported it

    start = threading.Thread.start

    def start_and_mark(self: threading.Thread) -> None:
        if get_native_id() in _left:
            run = self.run

            def run_marked() -> None:
                _left.add(get_native_id())
                run()

            self.run = run_marked  # type: ignore[method-assign]  # of this one only
        start(self)

    threading.Thread.start = start_and_mark  # type: ignore[method-assign]  # for all
