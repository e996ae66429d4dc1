"""Tasks for tests, in a module that machines can import."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from waiting import until

from worker_lib import Job, Retry, current_job, fly_task

# Longer than any test takes: what opens the gate has a deadline of its own.
_LONGEST_GATE = 600.0


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
def exits_hard(code: int, says: str = "") -> None:
    """End without any clean-up."""
    print(says, end="", flush=True)
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
        until(Path(path).exists, within=_LONGEST_GATE)
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


def _note(ledger: str, what: str) -> None:
    job = current_job()
    machine = os.environ.get("FLY_MACHINE_ID", "")
    entry = (what, job.id, job.attempt, machine, os.getpid(), os.getppid())
    line = json.dumps([*entry, time.monotonic()]) + "\n"
    with Path(ledger).open("ab", buffering=0) as file:
        file.write(line.encode())


@fly_task
def works(ledger: str, gate: str = "", seconds: float = 0.0, value: int = 0) -> int:
    """Note start and end; between them wait for a file, or some seconds."""
    _note(ledger, "start")
    if gate:
        until(Path(gate).exists, within=_LONGEST_GATE)
    time.sleep(seconds)
    _note(ledger, "end")
    return value


@fly_task
def draws(seed: int) -> float:
    """Draw a random number; leave the generator in a known state."""
    drawn = random.random()
    random.seed(seed)
    return drawn


@fly_task
def dies_once(ledger: str, how: str) -> int:
    """Die in the first attempt in one of the ways there are; return the attempt."""
    _note(ledger, "start")
    if current_job().attempt > 1:
        return current_job().attempt
    if how == "exit":
        sys.exit(3)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "out_of_memory":
        raise MemoryError
    time.sleep(60)
    return 0


@fly_task
def has_children(path: str, then: str) -> None:
    """Start one process, fork another, note both, and end in one of several ways."""
    other = subprocess.Popen(["sleep", "60"])
    forked = os.fork()
    if forked == 0:
        time.sleep(60)
        os._exit(0)
    Path(path).write_text(f"{os.getpid()} {other.pid} {forked}")
    if then == "exit":
        os._exit(4)
    time.sleep(60)


@fly_task
def dies_on(number: int, bad: int) -> int:
    """Return a number, but for one at which the process ends."""
    if number == bad:
        os._exit(9)
    return number


@fly_task
def measures(data: bytes) -> int:
    """Return how many bytes there are."""
    return len(data)


@fly_task
def adds_many(count: int) -> tuple[int, int]:
    """Make many calls, and return the sum of their values and their generation."""
    batch = generation.delay_many([()] * count)
    found = list(batch.results(timeout=40))
    return len(found), max(found)


@fly_task(max_machines=3)
def generation() -> int:
    """Return how many jobs led to this one."""
    return current_job().generation


class Scale:
    """Has a method that is a task."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @fly_task
    def times(self, value: int) -> int:
        """Multiply."""
        return self.factor * value


@fly_task
def gives_a_lock() -> object:
    """Return what cannot be pickled."""
    return threading.Lock()


class OwnError(Exception):
    """An exception with a message and a number."""

    def __init__(self, text: str, number: int) -> None:
        self.number = number
        super().__init__(text, number)


class AwkwardError(Exception):
    """An exception that cannot be made from its own arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


@fly_task
def raises(error: BaseException) -> None:
    """Raise what was given."""
    raise error


@fly_task
def raises_awkward() -> None:
    """Raise what does not survive a round trip."""
    raise AwkwardError("one", "two")


@fly_task
def nests(a: int, b: int) -> str:
    """Store another call from inside a machine; return its job's id."""
    return add.delay(a, b).id


class Account:
    """A class whose methods are tasks."""

    def __init__(self, balance: int) -> None:
        self.balance = balance

    @fly_task
    def add(self, amount: int, *, times: int = 1) -> int:
        """Return a sum, and leave the caller's instance as it is."""
        self.balance += amount * times
        return self.balance

    @fly_task(queue="high")
    async def later(self, amount: int) -> int:
        """Await something."""
        await asyncio.sleep(0)
        return self.balance + amount

    @fly_task
    @classmethod
    def of(cls, balance: int) -> str:
        """Return the class's name and what was given."""
        return f"{cls.__name__}:{balance}"

    @classmethod
    @fly_task
    def made(cls, balance: int) -> str:
        """Do the same, marked the other way round."""
        return f"{cls.__name__}:{balance}"

    @fly_task
    @staticmethod
    def fee(amount: int) -> int:
        """Return a part."""
        return amount // 10

    @staticmethod
    @fly_task
    def tax(amount: int) -> int:
        """Do the same, marked the other way round."""
        return amount // 5


class Savings(Account):
    """Inherits all of them, and replaces one."""

    @fly_task
    def add(self, amount: int, *, times: int = 1) -> int:
        """Call what it replaces, here and now."""
        return 1000 + super().add(amount, times=times)


@fly_task
def gives_a_job(a: int, b: int) -> Job[int]:
    """Store another call; return its job."""
    return add.delay(a, b)


@fly_task
def descends() -> str:
    """Make a job that makes a job, and so on; return the id of the next one."""
    return descends.delay().id


@fly_task
def generations(levels: int) -> tuple[int, str]:
    """Return this job's generation, and the id of one that it made."""
    made = generations.delay(levels - 1).id if levels > 1 else ""
    return current_job().generation, made


@fly_task
def starts_a_program(code: str) -> str:
    """Run a Python program; return what it printed."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return run.stdout.decode().strip()


@fly_task(retry=Retry(max_attempts=2, backoff="50ms"))
def second_generation() -> int:
    """Fail once; return this job's generation."""
    if current_job().attempt == 1:
        raise OSError("once")
    return current_job().generation


@fly_task
def nests_a_retry() -> str:
    """Make a job that fails once; return its id."""
    return second_generation.delay().id


@fly_task
def says(text: str) -> str:
    """Print, and return what the environment of the machine is."""
    print(text, flush=True)
    return "\n".join(f"{name}={value}" for name, value in os.environ.items())


@fly_task
def says_and_raises(text: str) -> None:
    """Print, and raise with it."""
    print(text, flush=True)
    raise ValueError(text)
