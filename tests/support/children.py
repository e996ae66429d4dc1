"""Real children, and the jobs that they are sent, without Redis."""

from __future__ import annotations

import itertools
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from worker_lib.calls import codec, pickling
from worker_lib.calls.codec import Codec
from worker_lib.calls.pickling import Call
from worker_lib.runtime.process import ChildProcess
from worker_lib.store.claims import ClaimedJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.runtime.frames import Channels
    from worker_lib.runtime.poller import Poller

CODEC = Codec("s" * 32, "shop", max_bytes=1 << 20)
_numbers = itertools.count(1)


def fork() -> ChildProcess:
    """Return a child as a machine has it."""
    return ChildProcess(_serve, 1 << 16)


def _serve(channels: Channels) -> None:
    from worker_lib.runtime.child import Child

    signal.set_wakeup_fd(-1)
    Child(channels, CODEC, "p1").serve()


def claimed(
    task: str, *args: Any, timeout: float = 30.0, code_hash: str = ""
) -> ClaimedJob:
    """Return a job of this task as Redis hands it over, without its code."""
    job_id, policy = f"job{next(_numbers)}", b'{"max_attempts": 1, "retry_kinds": []}'
    body = pickling.dump_call(task, Call(args, {}, None))
    place = codec.call_place(
        code_hash or task, pool="p1", timeout=timeout, policy=policy.decode()
    )
    call = CODEC.seal(body, kind=codec.CALL, job_id=job_id, fence=place)
    return ClaimedJob(job_id, "1", 1, timeout, task, code_hash, b"", policy, call, 0)


def jobs_of(*jobs: ClaimedJob) -> deque[ClaimedJob]:
    """Return jobs that wait to be sent."""
    return deque(jobs)


def turn(
    poller: Poller, until: Callable[[], object], *, act: Callable[[], object] = int
) -> None:
    """Deal with what the children say until something is true."""
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline
        poller.handle(poller.wait(0.02))
        act()
