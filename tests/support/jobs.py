"""Tasks for tests, in a module that machines can import."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from pathlib import Path

from worker_lib import Retry, current_job, fly_task


@fly_task
def add(a: int, b: int = 0) -> int:
    """Return a sum."""
    return a + b


@fly_task
def boom(text: str) -> None:
    """Raise."""
    raise ValueError(text)


@fly_task
def exits(code: int) -> None:
    """End by sys.exit."""
    sys.exit(code)


@fly_task
def exits_hard(code: int) -> None:
    """End without any clean-up."""
    os._exit(code)


@fly_task
def crashes() -> None:
    """Read address 0."""
    ctypes.string_at(0)


@fly_task(memory_mb=256)
def eats(megabytes: int) -> int:
    """Take so much memory, in steps, and touch it."""
    taken = []
    for _ in range(megabytes // 8):
        taken.append(bytearray(os.urandom(1 << 10)) * (8 << 10))
        time.sleep(0.01)
    return len(taken)


@fly_task(timeout="0.5s")
def hangs() -> None:
    """Take longer than the timeout."""
    time.sleep(60)


@fly_task(timeout="0.5s")
def refuses_to_end() -> None:
    """Take longer than the timeout, and ignore every request to stop."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001 - that is the point
            continue


@fly_task
def waits_for(path: str, started: str = "", cleaned: str = "") -> str:
    """Run until a file exists; leave marks at the start and at the end."""
    try:
        if started:
            Path(started).write_text(str(os.getpid()))
        while not Path(path).exists():
            time.sleep(0.02)
        return current_job().id
    finally:
        if cleaned:
            Path(cleaned).touch()


@fly_task
def reports(steps: int) -> int:
    """Report progress after each step."""
    for step in range(1, steps + 1):
        current_job().progress(step, steps, f"step {step}")
        time.sleep(0.3)
    return steps


@fly_task(retry=Retry(max_attempts=3, backoff="50ms", on=(OSError,)))
def succeeds_at_last(path: str, tries: int) -> int:
    """Fail until the file holds so many lines."""
    with Path(path).open("a+") as file:
        file.write("x\n")
        file.seek(0)
        count = len(file.readlines())
    if count < tries:
        raise OSError(f"try {count}")
    return count


@fly_task
async def doubles(value: int) -> int:
    """Await something."""
    await asyncio.sleep(0.01)
    return value * 2


@fly_task
def gives(size: int) -> bytes:
    """Return so many bytes that do not compress."""
    return os.urandom(size)


@fly_task
def notes(path: str, text: str) -> str:
    """Append a line, to count executions outside Redis."""
    with Path(path).open("a") as file:
        file.write(text + "\n")
    return text


@fly_task(linger="10s")
def echo(value: object) -> object:
    """Return what was given, on a machine that stays a while."""
    return value
