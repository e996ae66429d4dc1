"""Starts the child anew when the code on disk has changed; locally only.

On Fly the code is that of the image, which never changes under a machine. Where a
machine is a process of a developer's computer, it may have been edited since the child
imported it. The child then executes itself once more before it runs the next job:
same process, same channels, nothing imported yet. The supervisor notices nothing.

It looks at the source files of modules that have been imported, except for those of
the interpreter, of installed packages and of this library. An edit within the second of
an earlier one that leaves a file's size as it was is hidden by Python's own cache.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from worker_lib.runtime.meter import reset_peak

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from worker_lib.runtime.frames import Channels

__all__ = ["Sources", "start_anew"]

# Times of files are taken from a clock that ticks every few milliseconds.
_TICK_NS = 10_000_000
_LIBRARY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Sources:
    """The files that code was imported from, as they were then."""

    def __init__(self) -> None:
        self._began_ns = time.time_ns() - _TICK_NS
        self._modules = 0
        self._seen: dict[str, tuple[int, int] | None] = {}
        self._folder = os.getcwd()

    @classmethod
    def of_this_machine(cls) -> Sources | None:
        """Return them; None where code cannot change under a machine."""
        return cls() if os.environ.get("WORKER_LIB_LOCAL_PATH") else None

    def note(self) -> None:
        """Look at what has been imported since the last time."""
        if len(sys.modules) == self._modules:
            return
        for path in _files():
            if path not in self._seen:
                self._seen[path] = self._look(path)
        self._modules = len(sys.modules)

    def have_changed(self) -> bool:
        """Whether a file is not as it was when its code was imported."""
        return any(_state(path) != state for path, state in self._seen.items())

    def run_anew(self, frame: list[bytes], channels: Channels) -> NoReturn:
        """Start over with a job, where the machine was started."""
        os.chdir(self._folder)
        start_anew(frame, channels)

    def _look(self, path: str) -> tuple[int, int] | None:
        state = _state(path)
        if state is None:
            return None
        # Written since this process began: whether before its import is not known. A
        # time in the future tells nothing, and must not make every job begin anew.
        written_since = self._began_ns <= state[0] <= time.time_ns()
        return None if written_since else state


def start_anew(frame: list[bytes], channels: Channels) -> NoReturn:
    """Execute a fresh child in the place of this one; it begins with a job.

    Args:
        frame: The job, as the supervisor sent it.
        channels: To and from the supervisor; what was read of them goes along.
    """
    frames, progress, permits, marker = channels
    job = os.memfd_create("job")
    with open(job, "wb", closefd=False) as file:
        file.write(marshal.dumps((frame, frames.unread(), marker)))
    os.lseek(job, 0, os.SEEK_SET)
    ends = (frames.channel, progress.channel, permits)
    descriptors = (job, *(one.fileno() for one in ends))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    reset_peak()  # else the next program would begin with this one's
    words = ["-m", "worker_lib.runtime.fresh", *map(str, descriptors)]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - no shell


def _files() -> Iterator[str]:
    foreign = (sys.prefix, sys.base_prefix, sys.exec_prefix, _LIBRARY)
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and not path.startswith(foreign):
            yield path


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _main() -> None:
    """Go on as the child that executed this."""
    import socket  # noqa: PLC0415 - a child that was forked has it already

    from worker_lib.runtime.__main__ import go_on  # noqa: PLC0415 - the same
    from worker_lib.runtime.frames import Channels, Frames, Progress  # noqa: PLC0415

    job, *descriptors = map(int, sys.argv[1:])
    with open(job, "rb") as file:
        frame, unread, marker = marshal.loads(file.read())  # noqa: S302 - of this very process
    for one in descriptors:
        os.set_inheritable(one, False)
    ours, reports, permits = (socket.socket(fileno=one) for one in descriptors)
    go_on(Channels(Frames(ours, unread), Progress(reports), permits, marker), frame)


if __name__ == "__main__":
    status = 1
    try:
        _main()
        status = 0
    except KeyboardInterrupt:
        pass
    except BaseException:  # noqa: BLE001 - as in a child that was forked
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
