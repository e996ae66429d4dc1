"""RQ, with the worker that does not fork for each job."""

from __future__ import annotations

import os
import time
from typing import Any

from redis import Redis
from rq import Queue

NOTE = "SimpleWorker (no fork for each job), pickle; results are read from a stream"
BULK = "Queue.enqueue_many"

redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue(connection=redis)


def echo(value: str) -> str:
    """Return what was given."""
    return value


def nap(seconds: float) -> int:
    """Sleep."""
    time.sleep(seconds)
    return os.getpid()


def call(task: str, *args: Any) -> Any:
    """Store one call."""
    return queue.enqueue(echo if task == "echo" else nap, *args)


def bulk(task: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Store many in one pipeline."""
    function = echo if task == "echo" else nap
    return queue.enqueue_many([Queue.prepare_data(function, one) for one in arguments])


def result(handle: Any) -> Any:
    """Wait for its result."""
    return handle.latest_result(timeout=60).return_value


def gather(handles: list[Any]) -> list[Any]:
    """Wait for the results of all."""
    return [result(one) for one in handles]


def left(_handles: list[Any]) -> int:
    """Return how many wait or run; each run is listed while it lasts."""
    pipe = redis.pipeline(transaction=False)
    pipe.llen(queue.key)
    pipe.zcard(queue.started_job_registry.key)
    waiting, running = pipe.execute()
    return int(waiting) + int(running)


def worker(alone: bool) -> list[str]:
    """Return how a worker is started."""
    program = os.path.join(os.environ["BENCH_BIN"], "rq")
    words = ["worker", "--quiet", "--worker-class", "rq.worker.SimpleWorker"]
    return [program, *words, "--url", os.environ["REDIS_URL"]]
