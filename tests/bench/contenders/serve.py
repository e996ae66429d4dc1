"""Measures one library from the calling side: `python serve.py NAME`.

Each library runs this program in an environment of its own, so all are timed by the
same loops. It reads one JSON object a line, `{"do": "trips", "calls": 300}`, and
answers with one: `{"ok": ...}` or `{"error": ...}`. `use_NAME.py` beside it says how
the library is used:

- `call(task, *args)` stores one call and returns a handle. The tasks are `echo(value)`,
  which returns its value, and `nap(seconds)`, which sleeps and returns the id of its
  process.
- `result(handle)` waits for its result.
- `bulk(task, arguments)` stores many calls as the library's documentation says and
  returns one handle for all; `gather(handle)` waits for their results. Where `BULK` is
  "" they are stored one by one, and the handle is a list.
- `left(handle)` says, in one command, how many of them have no result yet; it may look
  at the last ones only, as long as one of these has none.
- `worker(alone)` returns the command line of one worker process, in the fastest of its
  usual configurations; `alone`: one job at a time. A library that starts its workers
  itself has `Workers` instead, with the methods of `Processes`.

Each of the functions may be `async`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import processes  # type: ignore[import-not-found]  # beside this program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TEXT = "x" * 100
_DEADLINE = 120.0
_LOOK_EVERY = 0.005


class Processes:
    """Workers that are started by hand, as processes of their own."""

    def __init__(self, command: Callable[[bool], Sequence[str]]) -> None:
        self._command = command
        self._running: list[subprocess.Popen[bytes]] = []

    def prepare(self, count: int) -> None:
        """Do nothing: any worker serves any call."""

    def launch(self, count: int, *, alone: bool) -> None:
        """Start so many."""
        for _ in range(count):
            words = list(self._command(alone))
            log = subprocess.DEVNULL
            self._running.append(
                subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
            )

    def roots(self, _workers: set[int]) -> list[int]:
        """Return the first process of each."""
        return [one.pid for one in self._running]

    def stop(self) -> None:
        """End all of them at once."""
        for one in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        self._running.clear()


class Caller:
    """Does what the lines ask for.

    Args:
        library: The module that says how the library is used.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._loop = asyncio.new_event_loop()
        own = getattr(library, "Workers", None)
        self._workers = own() if own else Processes(library.worker)
        self._roots: list[int] = []

    def about(self) -> dict[str, str]:
        """Return what the library is, and how it is used here."""
        return {"note": self._library.NOTE, "bulk": self._library.BULK}

    def accepted(self, calls: int) -> float:
        """Return calls stored a second, one by one; no worker runs."""
        self._workers.prepare(0)
        self._do(self._library.call, "echo", _TEXT)
        return calls / self._timed(self._repeat, self._library.call, calls)

    def bulk(self, calls: int) -> float | None:
        """Return calls stored a second in bulk; None if the library has no such."""
        if not self._library.BULK:
            return None
        self._workers.prepare(0)
        return calls / self._timed(self._store, "echo", [(_TEXT,)] * calls)

    def start(self, workers: int, *, alone: bool = False) -> None:
        """Start workers; return when each of them has run a job."""
        self._workers.prepare(workers)
        self._workers.launch(workers, alone=alone)
        deadline, seen = time.monotonic() + _DEADLINE, set[int]()
        while len(seen) < workers:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(seen)} of {workers} workers run")
            handle = self._store("nap", [(0.05,)] * workers)
            seen.update(self._gather(handle))
        self._roots = self._workers.roots(seen)

    def stop(self) -> None:
        """End the workers."""
        self._workers.stop()
        self._roots = []

    def trips(self, calls: int) -> float:
        """Return the median milliseconds from a call to its result."""
        for _ in range(20):
            self._trip(_TEXT)
        return statistics.median(
            self._timed(self._trip, _TEXT) * 1000 for _ in range(calls)
        )

    def large(self, size: int) -> float:
        """Return the milliseconds of a round trip with so many characters each way."""
        return self._timed(self._trip, "x" * size) * 1000

    def drained(self, jobs: int) -> dict[str, float]:
        """Return jobs done a second by workers that are up and find them waiting."""
        with processes.frozen(self._roots):
            handle = self._store("echo", [(_TEXT,)] * jobs)
            began = time.perf_counter()
        looks = self._finish(handle)
        return {"rate": jobs / (time.perf_counter() - began), "looks": looks}

    def naps(self, jobs: int, seconds: float) -> float:
        """Return the seconds from the first call to the last result."""
        return self._timed(
            lambda: self._gather(self._store("nap", [(seconds,)] * jobs))
        )

    def cold(self) -> float:
        """Return the milliseconds from a call to its result, no worker being up."""
        self._workers.prepare(1)

        def step() -> None:
            handle = self._do(self._library.call, "echo", _TEXT)
            self._workers.launch(1, alone=False)
            self._check(self._do(self._library.result, handle), _TEXT)

        took = self._timed(step) * 1000
        self._workers.stop()
        return took

    def memory(self, jobs: int) -> float:
        """Return the most megabytes that one worker uses while it does these jobs."""
        samples = [processes.memory(self._roots)]
        for _ in range(0, jobs, 1000):
            handle = self._store("echo", [(_TEXT,)] * min(jobs, 1000))
            self._finish(
                handle, lambda: samples.append(processes.memory(self._roots)), 0.05
            )
        return max(samples)

    def own(self, name: str, **arguments: Any) -> Any:
        """Measure what only this library has, by a function of its module."""
        return getattr(self._library, name)(**arguments)

    def _finish(
        self,
        handle: Any,
        meanwhile: Callable[[], object] = lambda: None,
        every: float = _LOOK_EVERY,
    ) -> int:
        deadline, looks = time.monotonic() + _DEADLINE, 1
        while left := self._do(self._library.left, handle):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} jobs have not ended")
            time.sleep(every)
            meanwhile()
            looks += 1
        return looks

    def _store(self, task: str, arguments: list[tuple[Any, ...]]) -> Any:
        if self._library.BULK:
            return self._do(self._library.bulk, task, arguments)
        return self._each(self._library.call, ((task, *args) for args in arguments))

    def _gather(self, handle: Any) -> Any:
        if self._library.BULK:
            return self._do(self._library.gather, handle)
        return self._each(self._library.result, ((one,) for one in handle))

    def _trip(self, text: str) -> None:
        trip = getattr(self._library, "trip", None)
        if trip is not None:
            found = self._do(trip, text)
        else:
            handle = self._do(self._library.call, "echo", text)
            found = self._do(self._library.result, handle)
        self._check(found, text)

    def _check(self, found: object, expected: str) -> None:
        if found != expected:
            raise ValueError(f"{found!r:.100} came back")

    def _repeat(self, step: Callable[..., Any], times: int) -> None:
        # Not `_each`: nothing but the call itself is to be in this loop.
        if inspect.iscoroutinefunction(step):
            self._loop.run_until_complete(_repeat_async(step, times))
            return
        for _ in range(times):
            step("echo", _TEXT)

    def _each(
        self, step: Callable[..., Any], arguments: Iterator[tuple[Any, ...]]
    ) -> list[Any]:
        if inspect.iscoroutinefunction(step):
            return self._loop.run_until_complete(_each_async(step, arguments))
        return [step(*args) for args in arguments]

    def _do(self, step: Callable[..., Any], *args: object) -> Any:
        # A handle may be awaitable, so it is the function that is looked at.
        if inspect.iscoroutinefunction(step):
            return self._loop.run_until_complete(step(*args))
        return step(*args)

    def _timed(self, step: Callable[..., object], *args: object) -> float:
        began = time.perf_counter()
        step(*args)
        return time.perf_counter() - began


async def _repeat_async(step: Callable[..., Any], times: int) -> None:
    for _ in range(times):
        await step("echo", _TEXT)


async def _each_async(
    step: Callable[..., Any], arguments: Iterator[tuple[Any, ...]]
) -> list[Any]:
    return [await step(*args) for args in arguments]


def main() -> None:
    """Answer each line until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the library prints is no answer
    caller = Caller(importlib.import_module(f"use_{sys.argv[1]}"))
    try:
        for line in sys.stdin:
            print(json.dumps(_answer(caller, json.loads(line))), file=answers)
            answers.flush()
    finally:
        caller.stop()


def _answer(caller: Caller, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"ok": getattr(caller, asked.pop("do"))(**asked)}
    except Exception as error:  # noqa: BLE001 - told to who asked
        return {"error": f"{type(error).__name__}: {error}"[:300]}


if __name__ == "__main__":
    main()
