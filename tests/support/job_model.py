"""What is known of jobs and machines while any order of events goes over them."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis
from hypothesis.stateful import RuleBasedStateMachine, invariant

from worker_lib.job import FINAL
from worker_lib.store import enqueuer
from worker_lib.store import machine as worker_module
from worker_lib.store import store as store_module
from worker_lib.store.claims import Report
from worker_lib.store.connection import Connection
from worker_lib.store.keys import key_prefix
from worker_lib.store.store import Store
from worker_lib.store.wire import Wire

if TYPE_CHECKING:
    from worker_lib.store.claims import Claim, ClaimedJob, Intent
    from worker_lib.store.machine import MachineStore
    from worker_lib.store.replies import Check

MAX = {"short": 2, "lingers": 1}
QUEUES = ("high", "default", "other")
# Every move that was seen, by status before and after.
SEEN: set[tuple[str, str]] = set()


@dataclass
class Known:
    """What the model knows of a job."""

    pool: str
    once: bool = False
    status: str = ""
    fences: list[int] = field(default_factory=list)
    holder: str = ""
    final: Any = None


@dataclass
class Machine:
    """A machine and what it believes to hold."""

    verbs: MachineStore
    slot: str
    holds: list[ClaimedJob] = field(default_factory=list)
    said: tuple[ClaimedJob, str] | None = None


class JobModel(RuleBasedStateMachine):
    """One namespace, its jobs and its machines, and what must hold of them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        # Ids in order of creation, so that a run can be repeated.
        numbers = itertools.count()
        modules: tuple[Any, ...] = (store_module, enqueuer, worker_module)
        for module in modules:
            module.new_slot_id = lambda: f"{next(numbers):012}"
        name = f"prop-{secrets.token_hex(6)}"
        self.prefix = key_prefix(name)
        self.url, self.name = url, name
        self.connection = Connection(url, self.prefix)
        self.store = Store(self.connection, name)
        self.wire = Wire(url, self.prefix)
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True)
        listener: Any = self.redis.pubsub
        self.news = listener()
        self.news.psubscribe(self.key("changed", "*"))
        self.jobs: dict[str, Known] = {}
        self.machines: list[Machine] = []
        self.old: list[tuple[Machine, ClaimedJob]] = []
        self.seen: list[Check] = []

    def key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    def slots(self) -> list[str]:
        return sorted(
            slot
            for pool in MAX
            for slot in self.redis.smembers(self.key("slots", pool))
        )

    # What the model makes of it.

    def holding(self) -> list[Machine]:
        return [one for one in self.machines if one.holds]

    def held(self, pick: int) -> tuple[Machine, ClaimedJob]:
        """Return a machine and a job that it holds."""
        holding = self.holding()
        machine = holding[pick % len(holding)]
        return machine, machine.holds[pick % len(machine.holds)]

    def fence(self, job: str) -> int:
        return int(self.redis.hget(self.key("job", job), "fence") or 0)

    def is_held(self, machine: Machine, job: ClaimedJob) -> bool:
        about = self.redis.hgetall(self.key("job", job.id))
        return bool(
            "running" == about["status"]
            and about["fence"] == job.fence
            and about["slot"] == machine.slot
        )

    def took(self, machine: Machine, claim: Claim) -> None:
        """Note what a claim gave; a new hand-over has a higher fence than all."""
        if claim.verdict in {"idle", "empty", "gone"}:
            self.lost(machine)
        for job in claim.jobs:
            known = self.jobs[job.id]
            assert known.final is None, "a final job was handed out"
            if not self.was_held(machine.slot, job):
                assert all(int(job.fence) > fence for fence in known.fences)
                known.fences.append(int(job.fence))
            machine.holds.append(job)
        behind = machine.holds[1:]
        assert not [job for job in behind if self.jobs[job.id].once], "it waits"

    def was_held(self, slot: str, job: ClaimedJob) -> bool:
        """Take a job from an earlier or later start of the same machine."""
        for machine in self.machines:
            if machine.slot == slot and job in machine.holds:
                machine.holds.remove(job)
                return True
        return False

    def lost(self, machine: Machine) -> None:
        self.old += [(machine, job) for job in machine.holds]
        machine.holds = []

    def report(
        self,
        machine: Machine,
        job: ClaimedJob,
        status: str,
        intent: Intent,
        wait: float,
        *,
        want: int = 1,
    ) -> None:
        mine = self.is_held(machine, job)
        same = self.fence(job.id) == int(job.fence)
        report = Report(status, outcome=b"out", error="e", kind="error", retry_in=wait)
        others = [one for one in machine.holds if one is not job]
        done = machine.verbs.finish(
            [(job, report)], intent=intent, want=want, holds=others
        )
        (ok,), claim = done.accepted, done.claim
        assert ok is same
        if job in machine.holds:
            machine.holds = others
            self.old.append((machine, job))
        if mine and status != "retrying":
            self.end(job.id, status)
        machine.said = (job, status)
        self.took(machine, claim)

    def end(self, job: str, status: str) -> None:
        """Note a job's end, for it to be compared ever after."""
        known = self.jobs[job]
        if known.final is None:
            known.final = self.stored(job)
            assert status == known.final[0]["status"]

    def stored(self, job: str) -> tuple[dict[str, str], list[str]]:
        record = self.redis.hgetall(self.key("job", job))
        return record, sorted(self.redis.lrange(self.key("out", job), 0, -1))

    # What must hold after each step.

    @invariant()
    def every_job_is_in_exactly_one_place(self) -> None:
        for job, known in self.jobs.items():
            record, out = self.stored(job)
            status = record["status"]
            places = {
                queue: self.redis.zscore(self.key("ready", known.pool, queue), job)
                for queue in QUEUES
            }
            places["due"] = self.redis.zscore(self.key("due", known.pool), job)
            found = {place for place, score in places.items() if score is not None}
            expected = {
                "queued": {record.get("queue", "default")},
                "scheduled": {"due"},
                "retrying": {"due"},
            }.get(status, set())
            assert expected == found, (status, found)
            if status in FINAL:
                assert known.final == (record, out), "a final job changed"
            else:
                assert known.final is None, "a final job came back"
            assert int(record.get("fence", 0)) >= max(known.fences, default=0)
            assert int(record.get("lost", 0)) <= 3
            if status == "running":
                slot = self.redis.hgetall(self.key("slot", record["slot"]))
                assert f"{job}:{record['fence']}" in slot["holds"].split(",")
                assert self.redis.sismember(
                    self.key("busy", known.pool), record["slot"]
                )

    @invariant()
    def slots_are_bounded_and_looked_after(self) -> None:
        timers = set(self.redis.zrange(self.key("timers"), 0, -1))
        for pool, most in MAX.items():
            slots = self.redis.smembers(self.key("slots", pool))
            assert len(slots) <= most
            for kind in ("busy", "idle"):
                members = self.redis.smembers(self.key(kind, pool))
                assert members <= slots
                assert {kind} >= {
                    self.redis.hget(self.key("slot", slot), "state") for slot in members
                }
            for slot in slots:
                assert f"s:{slot}" in timers
                assert pool == self.redis.hget(self.key("slot", slot), "pool")
            if self.may_run(pool):
                assert slots or f"p:{pool}" in timers, "nobody will look"
            if self.redis.exists(self.key("due", pool)):
                assert f"p:{pool}" in timers, "nobody will look"

    @invariant()
    def jobs_move_as_the_table_says(self) -> None:
        """What the scripts announce are moves, each of them one of the table."""
        while (message := self.news.get_message(timeout=0)) is not None:
            if message["type"] != "pmessage" or message["data"] == "trouble":
                continue
            known = self.jobs.get(message["channel"].rpartition(":")[2])
            if known is not None and message["data"] != known.status:
                SEEN.add((known.status, message["data"]))
                known.status = message["data"]
        for job, known in self.jobs.items():
            assert known.status == self.redis.hget(self.key("job", job), "status")

    def may_run(self, pool: str) -> bool:
        paused = set(self.redis.hkeys(self.key("paused")))
        return any(
            self.redis.exists(self.key("ready", pool, queue))
            for queue in QUEUES
            if queue not in paused
        )
