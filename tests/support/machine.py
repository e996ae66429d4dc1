"""A machine's program started by hand, without anything that stands for Fly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from worker_lib.store.keys import key_prefix

SUPPORT = Path(__file__).resolve().parent
SECRET = "s" * 32


class Program:
    """The runtime as a process of this computer.

    Args:
        redis_url: What the machine is told.
        before: Python that runs in it first, to shorten what takes minutes.
        variables: Of its environment, besides what it needs.
    """

    def __init__(self, redis_url: str, *, before: str = "", **variables: str) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(SUPPORT), str(SUPPORT.parents[1])]),
            "REDIS_URL": redis_url,
            "WORKER_LIB_SECRET": SECRET,
            "WORKER_LIB_SLOT": "0" * 12,
        }
        run = "from runpy import run_module; "
        run += "run_module('worker_lib.runtime.__main__', run_name='__main__')"
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{run}"],
            env=environ | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, within: float = 10.0) -> tuple[int, str]:
        """Return exit code and stderr; fail if it takes longer."""
        try:
            _, err = self.process.communicate(timeout=within)
        finally:
            self.process.kill()
        return self.process.returncode, err

    def says(self, words: str) -> None:
        """Wait until it prints a line with these words."""
        assert self.process.stderr is not None
        while words not in (line := self.process.stderr.readline()):
            assert line, f"it ended without {words!r}"


def place_of(redis_url: str, namespace: str) -> dict[str, str]:
    """Return what tells a machine its slot and pool: those that are owed."""
    import redis

    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        (key,) = connection.keys(f"{key_prefix(namespace)}:slot:*")
        pool = connection.hget(key, "pool")
    return {"WORKER_LIB_SLOT": key.rpartition(":")[2], "WORKER_LIB_POOL": str(pool)}
