"""Celery, on Redis as broker and for results."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, group

NOTE = "solo pool, no gossip, mingle or heartbeat, JSON, Redis for results"
BULK = "group"

_URL = os.environ["REDIS_URL"]
_SOCKET = _URL.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
_NEWEST = 50

app = Celery("bench", broker=_SOCKET, backend=_SOCKET)


@app.task(name="echo")
def echo(value: str) -> str:
    """Return what was given."""
    return value


@app.task(name="nap")
def nap(seconds: float) -> int:
    """Sleep."""
    time.sleep(seconds)
    return os.getpid()


def call(task: str, *args: Any) -> Any:
    """Store one call."""
    return (echo if task == "echo" else nap).delay(*args)


def bulk(task: str, arguments: list[tuple[Any, ...]]) -> Any:
    """Store many as a group."""
    one = echo if task == "echo" else nap
    return group(one.s(*args) for args in arguments).apply_async()


def result(handle: Any) -> Any:
    """Wait for its result."""
    return handle.get(timeout=60)


def gather(handle: Any) -> Any:
    """Wait for the results of all."""
    return handle.get(timeout=120)


def left(handle: Any) -> int:
    """Return how many of the last ones have no result, then of all."""
    backend = app.backend
    keys = [backend.get_key_for_task(one.id) for one in handle.results]
    newest = keys[-_NEWEST:]
    missing = len(newest) - int(backend.client.exists(*newest))
    return missing or len(keys) - int(backend.client.exists(*keys))


def worker(alone: bool) -> list[str]:
    """Return how a worker is started."""
    program = os.path.join(os.environ["BENCH_BIN"], "celery")
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    name = f"--hostname=w{time.monotonic_ns()}@bench"
    words = ["--app=use_celery", "worker", "--pool=solo", "--loglevel=ERROR", name]
    return [program, *words, *quiet]
