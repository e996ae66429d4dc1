"""Dramatiq, on Redis as broker and for results."""

from __future__ import annotations

import os
import time
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

NOTE = "one process of 8 threads (its default), JSON, Redis for results"
BULK = "group"

_NEWEST = 50

results = RedisBackend(url=os.environ["REDIS_URL"])
broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(Results(backend=results))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def echo(value: str) -> str:
    """Return what was given."""
    return value


@dramatiq.actor(store_results=True)
def nap(seconds: float) -> int:
    """Sleep."""
    time.sleep(seconds)
    return os.getpid()


def call(task: str, *args: Any) -> Any:
    """Store one call."""
    return (echo if task == "echo" else nap).send(*args)


def bulk(task: str, arguments: list[tuple[Any, ...]]) -> Any:
    """Store many as a group."""
    actor = echo if task == "echo" else nap
    return dramatiq.group(actor.message(*args) for args in arguments).run()


def result(handle: Any) -> Any:
    """Wait for its result."""
    return handle.get_result(block=True, timeout=60_000)


def gather(handle: Any) -> list[Any]:
    """Wait for the results of all."""
    return list(handle.get_results(block=True, timeout=120_000))


def left(handle: Any) -> int:
    """Return how many of the last ones have no result, then of all."""
    keys = [results.build_message_key(one) for one in handle.children]
    newest = keys[-_NEWEST:]
    missing = len(newest) - int(results.client.exists(*newest))
    return missing or len(keys) - int(results.client.exists(*keys))


def worker(alone: bool) -> list[str]:
    """Return how a worker is started."""
    program = os.path.join(os.environ["BENCH_BIN"], "dramatiq")
    threads = 1 if alone else 8
    return [program, "use_dramatiq", "--processes=1", f"--threads={threads}"]
