"""What follows from a task's options and is the same for all its calls.

A pool is the jobs that may share machines: same image, guest, regions, env and
limits. Its id is a digest of those, so that every process finds the same pool.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.calls.codec import SPEC, content_hash
from worker_lib.fly.prices import affordable
from worker_lib.retry import CRASHES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.calls.codec import Codec
    from worker_lib.calls.options import TaskOptions
    from worker_lib.settings import Settings

__all__ = ["Plan"]


class Plan(NamedTuple):
    """How calls with these options are queued and run.

    Attributes:
        pool: Id of the pool, 12 hexadecimal digits.
        size: Of its machines, as `shared-cpu-1x@256mb`.
        spec: The pool as sealed JSON, for whoever launches its machines: what runs
            where is not for those to say who can merely write to Redis.
        policy: JSON that machines and sweeps read: attempts, backoff, `on_lost`.
        queues: The order in which the pool's machines serve queues.
        max_machines: Of this pool at the same time, as many as its price allows.
        isolate: Each machine runs one job.
        park: How many machines stay parked when there are no more jobs.
        target_latency: Seconds that a job is to wait at most; 0 if that is not said.
        record: What the options say in the record of each job.
    """

    pool: str
    size: str
    spec: bytes
    policy: str
    queues: str
    max_machines: int
    isolate: bool
    park: int
    target_latency: float
    record: dict[str, str | float]

    @classmethod
    def of(cls, options: TaskOptions, settings: Settings, codec: Codec) -> Plan:
        """Return the plan for these options under these settings.

        Raises:
            PayloadTooLarge: `env` is larger than a call may be.
            ConfigError: one machine costs more than `max_hourly_cost`.
        """
        spec = _spec(options, settings)
        body = json.dumps(spec, sort_keys=True).encode()
        pool, policy = content_hash(body)[:12], _policy(options)
        return cls(
            pool=pool,
            size=str(options.guest),
            spec=codec.seal(body, kind=SPEC, job_id=pool),
            policy=policy,
            queues=spec["queues"],
            max_machines=spec["max"],
            isolate=options.isolate,
            park=spec.get("park", 0),
            target_latency=spec["target"],
            record={
                "pool": pool,
                "policy": policy,
                "max_attempts": options.retry.max_attempts,
                "ttl": options.result_ttl or settings.result_ttl,
                "pending": settings.pending_ttl,
            },
        )


def _spec(options: TaskOptions, settings: Settings) -> dict[str, Any]:
    regions = options.region or ((settings.region,) if settings.region else ())
    return {
        "image": settings.image,
        "regions": list(regions),
        "guest": options.guest.as_config(),
        "env": _env(options, settings),
        "max": _most(options, settings, regions),
        "isolate": options.isolate,
        "target": options.target_latency or 0.0,
        "linger": options.linger,
        "queues": options.queues or settings.queues,
        **_parking(options, settings),
    }


def _parking(options: TaskOptions, settings: Settings) -> dict[str, Any]:
    park = settings.park if options.park is None else options.park
    if not park or options.isolate:
        return {}
    return {"park": park, "park_for": options.park_for}


def _most(options: TaskOptions, settings: Settings, regions: Sequence[str]) -> int:
    most, dollars = (
        options.max_machines or settings.max_machines,
        options.max_hourly_cost,
    )
    if dollars is None:
        return most
    return min(most, affordable(options.guest, regions, dollars))


def _env(options: TaskOptions, settings: Settings) -> dict[str, str]:
    env = dict(options.env)
    if settings.local_path:
        env.setdefault("PYTHONPATH", settings.local_path)
        env["WORKER_LIB_LOCAL_PATH"] = settings.local_path
    if settings.local_env:  # machines are shared by callers of one environment only
        env["WORKER_LIB_LOCAL_ENV"] = settings.local_env
    return env


def _policy(options: TaskOptions) -> str:
    retry = options.retry
    policy = {
        "max_attempts": retry.max_attempts,
        "on_lost": options.on_lost,
        "retry_kinds": [kind for kind in CRASHES if retry.wants_kind(kind)],
        "backoff": retry.backoff,
        "factor": retry.factor,
        "max_backoff": retry.max_backoff,
        "jitter": retry.jitter,
    }
    return json.dumps(policy)
