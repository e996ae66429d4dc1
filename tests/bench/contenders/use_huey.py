"""Huey, on its plain Redis storage, which tells waiters of results."""

from __future__ import annotations

import os
import time
from typing import Any

from huey import RedisHuey

NOTE = "RedisHuey(notify_result=True), one worker thread, pickle"
BULK = ""

_NEWEST = 50

huey = RedisHuey("bench", url=os.environ["REDIS_URL"], notify_result=True)


@huey.task()
def echo(value: str) -> str:
    """Return what was given."""
    return value


@huey.task()
def nap(seconds: float) -> int:
    """Sleep."""
    time.sleep(seconds)
    return os.getpid()


def call(task: str, *args: Any) -> Any:
    """Store one call."""
    return (echo if task == "echo" else nap)(*args)


def result(handle: Any) -> Any:
    """Wait for its result, which Huey then deletes."""
    return handle.get(blocking=True, timeout=60)


def left(handles: list[Any]) -> int:
    """Return how many of the last ones have no result, then of all."""
    newest = handles[-_NEWEST:]
    missing = len(newest) - len(huey.storage.peek_many([one.id for one in newest]))
    if missing:
        return missing
    return len(handles) - len(huey.storage.peek_many([one.id for one in handles]))


def worker(alone: bool) -> list[str]:
    """Return how a worker is started."""
    program = os.path.join(os.environ["BENCH_BIN"], "huey_consumer")
    return [program, "use_huey.huey", "--workers=1", "--quiet"]
