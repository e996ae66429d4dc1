"""Functions and classes that are no tasks, for executors."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from worker_lib import FlyExecutor, current_job


class ExitsWhenLoaded:
    """Ends the process that unpickles it, if that lets it."""

    def __reduce__(self) -> tuple[object, ...]:
        return sys.exit, (3,)


class Sign:
    """Says in a file in which process it is gone."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __del__(self) -> None:
        with Path(self.path).open("a") as file:
            file.write(f"{os.getpid()}\n")


def header(name: str) -> str:
    """Return what a hook of the caller sent along."""
    return current_job().headers[name]


def path_of(sign: Sign) -> str:
    """Return where a sign writes."""
    return sign.path


def squares_on_machines(count: int) -> list[int]:
    """Have other machines do the work."""
    with FlyExecutor(1) as pool:
        return list(pool.map(pow, range(count), [2] * count))


def noted(path: str, number: int, seconds: float = 0.0) -> int:
    """Add the number to a file as a line; return it."""
    time.sleep(seconds)
    with Path(path).open("a") as file:
        file.write(f"{number}\n")
    return number


class FailsWhenLoaded:
    """Raises where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return _fail, ()


def _fail() -> None:
    raise ValueError("not here")
