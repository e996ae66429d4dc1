"""Tasks whose module registers hooks, on machines by itself, here when asked.

Every hook notes its event in the file that `HOOK_NOTES` names. `HOOK_FAULT` has all
hooks of one kind misbehave in the first attempt: `before_run=raise`, for one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from worker_lib import Retry, current_job, fly_task, hooks
from worker_lib.context import in_machine

__all__ = ["HOOKS", "events", "register"]

HOOKS = (
    *(hooks.before_enqueue, hooks.after_enqueue, hooks.before_run, hooks.after_run),
    *(hooks.on_retry, hooks.on_end, hooks.on_lost),
)


def note(event: hooks.Event) -> None:
    """Append all that the event tells, as one line."""
    event.state.setdefault("begun_by", event.name)
    facts = {name: getattr(event, name) for name in event.__slots__}
    facts["exception"] = type(event.exception).__name__
    facts["pid"] = os.getpid()
    path = os.environ.get("HOOK_NOTES")
    if path:
        with Path(path).open("ab", buffering=0) as file:
            file.write(json.dumps(facts).encode() + b"\n")


def fail(event: hooks.Event) -> None:
    """Misbehave as `HOOK_FAULT` says."""
    name, _, fault = os.environ.get("HOOK_FAULT", "").partition("=")
    if event.name != name or event.attempt > 1:
        return
    if fault == "spoil":  # what the library needs it must not take from the event
        for fact in event.__slots__:
            delattr(event, fact)
    if fault == "raise":
        raise ValueError("CANARY")
    if fault == "exit":
        sys.exit(3)
    if fault == "interrupt":
        raise KeyboardInterrupt
    if fault == "hang":
        time.sleep(60)


def register() -> None:
    """Register both for every hook."""
    for hook in HOOKS:
        hook(note)
        hook(fail)


def events(path: Path, side: str = "") -> list[dict[str, Any]]:
    """Return what was noted, in order; of one side if asked."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    return [one for one in found if side in ("", one["side"])]


if in_machine():
    register()


@fly_task
def add(a: int, b: int) -> int:
    """Return a sum."""
    return a + b


@fly_task(queue="high")
def headers() -> dict[str, str]:
    """Return what came along."""
    return current_job().headers


@fly_task(retry=Retry(max_attempts=2, backoff="50ms"))
def fails_once() -> int:
    """Fail in the first attempt."""
    if current_job().attempt == 1:
        raise OSError("once")
    return current_job().attempt


@fly_task
def raises(text: str) -> None:
    """Raise."""
    raise ValueError(text)


@fly_task
def exits_hard() -> None:
    """End without any clean-up."""
    os._exit(4)


@fly_task(timeout="0.5s")
def hangs() -> None:
    """Take longer than the timeout."""
    time.sleep(60)


@fly_task
def swallows(started: str) -> str:
    """Note the start; return normally when asked to end."""
    try:
        Path(started).write_text(str(os.getppid()))
        time.sleep(60)
    except BaseException:  # noqa: BLE001 - that is the point
        return "swallowed"
    return ""


@fly_task
def gives_a_generator() -> object:
    """Return what cannot be pickled."""
    return (number for number in range(3))


@fly_task(timeout="2s", retry=Retry(max_attempts=2, backoff="50ms", on=TimeoutError))
def attempt() -> int:
    """Return the number of the attempt that succeeded."""
    return current_job().attempt
