"""One namespace on the real server: its verbs, its machines, its keys as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis

from worker_lib.calls.codec import SPEC as SPEC_KIND
from worker_lib.calls.codec import Codec
from worker_lib.job import FIELDS
from worker_lib.store.claims import Claim, ClaimedJob, Report
from worker_lib.store.enqueuer import Enqueuer
from worker_lib.store.keys import key_prefix, new_job_id
from worker_lib.store.machine import MachineStore
from worker_lib.store.new_job import NewJob
from worker_lib.store.replies import Check

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.settings import Settings
    from worker_lib.store.claims import Intent
    from worker_lib.store.replies import Loss, Stored
    from worker_lib.store.store import Store

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
STOPPED = Report("failed", outcome=b"stopped", error="stopped", kind="lost")
FINAL = ("succeeded", "failed", "cancelled", "expired")


RECORD = {
    "task": "jobs:add",
    "pool": "pool",
    "timeout": 5.0,
    "ttl": 60.0,
    "pending": 600.0,
    "call": b"the call",
}
_OTHER_NAMES = {"result_ttl": "ttl", "pending_ttl": "pending", "code_hash": "code"}


def new_job(**changes: Any) -> NewJob:
    """Return a call that differs from others in its id, and as told.

    What is told may be fields of its record, too; `code` is the code, `code_hash` the
    field.
    """
    policy = {**POLICY, **changes.pop("policy", {})}
    record: dict[str, Any] = {**RECORD, "policy": json.dumps(policy), "max_attempts": 3}
    for name in list(changes):
        field = _OTHER_NAMES.get(name, name)
        if field in FIELDS and name not in {"tags", "code", "retry_of"}:
            record[field] = changes.pop(name)
    plain = NewJob(
        id=new_job_id(),
        record=record,
        pool_spec=json.dumps(SPEC).encode(),
        queues="high,default,low",
        max_machines=2,
    )
    return replace(plain, **changes)


class RigMachine(MachineStore):
    """The verbs of a machine, and shorter ways to report."""

    def report(
        self, job: ClaimedJob, status: str, *, intent: Intent = "stay", **told: Any
    ) -> tuple[bool, Claim]:
        """Report how a job ended."""
        done = self.finish([(job, Report(status, **told))], intent=intent)
        return done.accepted[0], done.claim

    def give_back(self, job: ClaimedJob, *, charge: bool = False) -> bool:
        """Hand a job back, as a machine that is stopped does."""
        return self.release(job, STOPPED, charge=charge)


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
        self._machines: list[RigMachine] = []

    def close(self) -> None:
        """Close every connection."""
        for machine in self._machines:
            machine.close()
        self.redis.close()

    def enqueue(self, **changes: Any) -> tuple[str, Stored]:
        """Store a call; return its id and what became of it."""
        job = new_job(**changes)
        spec = self.codec.seal(
            job.pool_spec, kind=SPEC_KIND, job_id=str(job.of("pool"))
        )
        job = replace(job, pool_spec=spec)
        return job.id, self.store.enqueue(job)

    def as_another_process(self) -> None:
        """Forget what this process takes for stored."""
        store: Any = self.store
        store._enqueuer = Enqueuer(store._connection, self.prefix)

    def machine(
        self,
        slot: str,
        machine_id: str = "",
        *,
        lease_ttl: float = 30.0,
        parking: tuple[int, float] = (0, 0.0),
    ) -> RigMachine:
        """Return the verbs of a machine that holds this slot."""
        made = RigMachine(
            self.settings.redis_url,
            self.settings.namespace,
            slot=slot,
            machine_id=machine_id or f"m-{slot}",
            region="ams",
            lease_ttl=lease_ttl,
            parking=parking,
        )
        self._machines.append(made)
        return made

    def running(self, **changes: Any) -> tuple[RigMachine, ClaimedJob]:
        """Return a machine and the job that it holds."""
        _, stored = self.enqueue(**changes)
        machine = self.machine(stored.slot)
        return machine, claimed(machine)

    def key(self, *parts: str) -> str:
        """Return a key of this namespace."""
        return ":".join((self.prefix, *parts))

    def record(self, job: str) -> dict[str, str]:
        """Return a job's record, with the defaults of what it has not."""
        found: dict[str, str] = self.redis.hgetall(self.key("job", job))
        defaults = {field.name: field.default for field in FIELDS.values()}
        return {**defaults, **found} if found else {}

    def fields(self, job: str) -> set[str]:
        """Return the names of the fields that a job's record has."""
        return set(self.redis.hkeys(self.key("job", job)))

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

    def ready(self, pool: str = "pool", queue: str = "default") -> list[str]:
        """Return the jobs of a queue that may run now, the next one first."""
        found: list[str] = self.redis.zrange(self.key("ready", pool, queue), 0, -1)
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

    def check(self, slot: str) -> Check:
        """Return what a sweep would say of this slot."""
        about: dict[str, Any] = {**self.slot(slot)}
        return Check(
            slot,
            about["state"],
            about.get("machine", ""),
            about["pool"],
            about.get("holds", ""),
            0.0,
        )

    def lose(self, slot: str) -> str:
        """Have a sweep find a slot's machine gone; return the slot owed instead."""
        self.pass_time(3600)
        assert slot in [one.slot for one in self.store.sweep().checks]
        return self.told_lost(self.check(slot)).slot

    def told_lost(self, seen: Check) -> Loss:
        """Report a machine as gone that was seen so."""
        return self.store.lose(
            seen, envelope=b"sealed", error="it is gone", kind="lost", gone=True
        )

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
                *("launched_at", "owed_at", "latched", "due_at", "parked_until"),
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
