"""One namespace on the real server: its verbs, its machines, its keys as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis

from worker_lib.calls.codec import SPEC as SPEC_KIND
from worker_lib.calls.codec import Codec
from worker_lib.store.keys import key_prefix, new_job_id
from worker_lib.store.machine import ClaimedJob, MachineStore
from worker_lib.store.store import NewJob, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.settings import Settings
    from worker_lib.store.replies import Stored

POLICY = {
    "max_attempts": 3,
    "on_lost": "retry",
    "retry_kinds": [],
    "backoff": 1.0,
    "factor": 2.0,
    "max_backoff": 10.0,
    "jitter": False,
}
SPEC = {"image": "local", "regions": [], "guest": {}, "env": {}}
# What a machine says that is stopped while it runs a job.
STOPPED: Any = {"outcome": b"stopped", "error": "stopped", "kind": "lost"}
FINAL = ("succeeded", "failed", "cancelled", "expired")


def new_job(**changes: Any) -> NewJob:
    """Return a call that differs from others in its id, and as told."""
    policy = {**POLICY, **changes.pop("policy", {})}
    plain = NewJob(
        id=new_job_id(),
        task="jobs:add",
        pool="pool",
        pool_spec=json.dumps(SPEC).encode(),
        queue="default",
        rank=1,
        timeout=5.0,
        result_ttl=60.0,
        pending_ttl=600.0,
        policy=json.dumps(policy),
        call=b"the call",
        code_hash="",
        code=b"",
        delay=0.0,
        max_machines=2,
        linger=0.0,
        may_launch=True,
    )
    return replace(plain, **changes)


class StoreRig:
    """What a test stands on."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.prefix = key_prefix(settings.namespace)
        self.codec = Codec(settings.secret, settings.namespace, max_bytes=1_000_000)
        self.redis: Any = redis.Redis.from_url(
            settings.redis_url, decode_responses=True, encoding_errors="replace"
        )
        self._machines: list[MachineStore] = []

    def close(self) -> None:
        """Close every connection."""
        for machine in self._machines:
            machine.close()
        self.redis.close()

    def enqueue(self, **changes: Any) -> tuple[str, Stored]:
        """Store a call; return its id and what became of it."""
        job = new_job(**changes)
        spec = self.codec.seal(job.pool_spec, kind=SPEC_KIND, job_id=job.pool)
        job = replace(job, pool_spec=spec)
        return job.id, self.store.enqueue(job)

    def machine(
        self, slot: str, machine_id: str = "", *, lease_ttl: float = 30.0
    ) -> MachineStore:
        """Return the verbs of a machine that holds this slot."""
        made = MachineStore(
            self.settings.redis_url,
            self.settings.namespace,
            slot=slot,
            machine_id=machine_id or f"m-{slot}",
            region="ams",
            lease_ttl=lease_ttl,
        )
        self._machines.append(made)
        return made

    def running(self, **changes: Any) -> tuple[MachineStore, ClaimedJob]:
        """Return a machine and the job that it holds."""
        _, stored = self.enqueue(**changes)
        machine = self.machine(stored.slot)
        return machine, claimed(machine)

    def key(self, *parts: str) -> str:
        """Return a key of this namespace."""
        return ":".join((self.prefix, *parts))

    def record(self, job: str) -> dict[str, str]:
        """Return a job's record."""
        found: dict[str, str] = self.redis.hgetall(self.key("job", job))
        return found

    def status(self, job: str) -> str:
        """Return a job's status."""
        return self.record(job).get("status", "")

    def slots(self, pool: str = "pool") -> set[str]:
        """Return the slots of a pool."""
        found: set[str] = self.redis.smembers(self.key("slots", pool))
        return found

    def slot(self, slot: str) -> dict[str, str]:
        """Return what is known of a slot."""
        found: dict[str, str] = self.redis.hgetall(self.key("slot", slot))
        return found

    def ready(self, pool: str = "pool") -> list[str]:
        """Return the jobs that may run now, the next one first."""
        found: list[str] = self.redis.zrange(self.key("ready", pool), 0, -1)
        return found

    def timers(self) -> dict[str, float]:
        """Return every timer with the seconds until it is due."""
        now, micro = self.redis.time()
        found = self.redis.zrange(self.key("timers"), 0, -1, withscores=True)
        return {name: at - now - micro / 1e6 for name, at in found}

    def names(self) -> list[str]:
        """Return the keys of this namespace, without its prefix."""
        found = self.redis.scan_iter(f"{self.prefix}:*", count=1000)
        return sorted(key.removeprefix(f"{self.prefix}:") for key in found)

    def snapshot(self) -> dict[str, Any]:
        """Return all that is stored here."""
        readers: dict[str, Callable[[str], Any]] = {
            "string": self.redis.get,
            "hash": self.redis.hgetall,
            "set": self.redis.smembers,
            "list": lambda key: self.redis.lrange(key, 0, -1),
            "zset": lambda key: self.redis.zrange(key, 0, -1, withscores=True),
        }
        names = [self.key(name) for name in self.names()]
        return {name: readers[self.redis.type(name)](name) for name in names}

    def expire(self, job: str) -> None:
        """Have a job wait longer than it may."""
        self.redis.hset(self.key("job", job), "expires", "1")
        self.redis.zadd(self.key("timers"), {f"j:{job}": 1})
        self.store.sweep()

    def pass_time(self, seconds: float) -> None:
        """Put every deadline so many seconds nearer, as if they had passed."""
        for name in self.names():
            key = self.key(name)
            if name == "timers" or name.startswith("due:"):
                for member in self.redis.zrange(key, 0, -1):
                    self.redis.zincrby(key, -seconds, member)
            for field in (
                *("at", "hold_until", "failed_at", "trouble_at", "trouble_until"),
                *("launched_at", "owed_at", "latched"),
            ):
                if name.startswith(("bucket", "pool:", "slot:")) and self.redis.hexists(
                    key, field
                ):
                    self.redis.hincrbyfloat(key, field, -seconds)


def claimed(machine: MachineStore) -> ClaimedJob:
    """Return the job that a machine gets when it asks."""
    claim = machine.claim("stay")
    assert claim.job is not None, claim
    return claim.job
