"""What follows from a task's options and is the same for all its calls.

A pool is the jobs that may share machines: same image, guest, regions, env and
limits. Its id is a digest of those, so that every process finds the same pool.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.calls.codec import SPEC, content_hash
from worker_lib.calls.options import QUEUES
from worker_lib.retry import CRASHES

if TYPE_CHECKING:
    from worker_lib.calls.codec import Codec
    from worker_lib.calls.options import TaskOptions
    from worker_lib.settings import Settings

__all__ = ["Plan"]


class Plan(NamedTuple):
    """How calls with these options are queued and run.

    Attributes:
        pool: Id of the pool, 12 hexadecimal digits.
        spec: The pool as sealed JSON, for whoever launches its machines: what runs
            where is not for those to say who can merely write to Redis.
        policy: JSON that machines and sweeps read: attempts, backoff, `on_lost`.
        rank: Place of the queue, 0 first.
        max_machines: Of this pool at the same time.
        result_ttl: Seconds.
    """

    pool: str
    spec: bytes
    policy: str
    rank: int
    max_machines: int
    result_ttl: float

    @classmethod
    def of(cls, options: TaskOptions, settings: Settings, codec: Codec) -> Plan:
        """Return the plan for these options under these settings.

        Raises:
            PayloadTooLarge: `env` is larger than a call may be.
        """
        most = options.max_machines or settings.max_machines
        spec = _spec(options, settings, most).encode()
        pool = content_hash(spec)[:12]
        return cls(
            pool=pool,
            spec=codec.seal(spec, kind=SPEC, job_id=pool),
            policy=_policy(options),
            rank=QUEUES.index(options.queue),
            max_machines=most,
            result_ttl=options.result_ttl or settings.result_ttl,
        )


def _spec(options: TaskOptions, settings: Settings, most: int) -> str:
    regions = options.region or ((settings.region,) if settings.region else ())
    spec = {
        "image": settings.image,
        "regions": list(regions),
        "guest": options.guest.as_config(),
        "env": _env(options, settings),
        "max": most,
        "linger": options.linger,
    }
    return json.dumps(spec, sort_keys=True)


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
