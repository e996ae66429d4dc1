"""Any order of events, on the real scripts: what must hold after each of them.

Machines die, replies come late or twice, people cancel, Redis forgets its scripts.
Time does not pass by waiting: deadlines are moved nearer in Redis itself.
"""

from __future__ import annotations

import itertools
import json
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from worker_lib.job import FINAL, MOVES
from worker_lib.store import machine as worker_module
from worker_lib.store import store as store_module
from worker_lib.store.connection import Connection
from worker_lib.store.keys import key_prefix, new_slot_id
from worker_lib.store.machine import MachineStore, Report
from worker_lib.store.new_job import NewJob
from worker_lib.store.store import Store
from worker_lib.store.wire import Wire

if TYPE_CHECKING:
    import pytest

    from worker_lib.store.machine import Claim, ClaimedJob, Intent
    from worker_lib.store.replies import Check

MAX = {"short": 2, "lingers": 1}
LINGER = {"short": 0.0, "lingers": 60.0}
STOPPED = Report("failed", outcome=b"stopped", error="stopped", kind="lost")
QUEUES = ("high", "default", "other")
PICK = st.integers(0, 10**6)
INTENTS = st.sampled_from(["stay", "stay", "stay", "leave_if_idle", "leave"])
ENDS = st.sampled_from(["succeeded", "failed", "retrying"])


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
    holds: ClaimedJob | None = None
    said: tuple[ClaimedJob, str] | None = None


class Jobs(RuleBasedStateMachine):
    """One namespace, its jobs and its machines."""

    def __init__(self, url: str) -> None:
        super().__init__()
        # Ids in order of creation, so that a run can be repeated.
        numbers = itertools.count()
        modules: tuple[Any, ...] = (store_module, worker_module)
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

    # What people do.

    @initialize(calls=st.lists(st.sampled_from([*MAX]), min_size=1, max_size=4))
    def begin(self, calls: list[str]) -> None:
        for pool in calls:
            self.enqueue(pool, "default", 0, late=False)

    @rule(
        pool=st.sampled_from([*MAX]),
        queue=st.sampled_from(QUEUES),
        priority=st.integers(-1, 1),
        late=st.booleans(),
        once=st.booleans(),
    )
    def enqueue(
        self, pool: str, queue: str, priority: int, late: bool, once: bool = False
    ) -> None:
        job = NewJob(
            id=f"j{len(self.jobs):03}",
            record={
                "task": "m:f",
                "pool": pool,
                "queue": queue,
                "priority": priority,
                "timeout": 5.0,
                "ttl": 600.0,
                "pending": 86400.0,
                "policy": json.dumps({"on_lost": "fail" if once else "retry"}),
                "call": b"call",
            },
            pool_spec=b"{}",
            delay=20.0 if late else 0.0,
            max_machines=MAX[pool],
            linger=LINGER[pool],
            queues="high,default",
        )
        stored = self.store.enqueue(job)
        self.jobs[job.id] = Known(pool, once, stored.status)
        SEEN.add(("", stored.status))
        assert ("scheduled" if late else "queued") == stored.status
        assert self.store.enqueue(job).status == stored.status

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        """Let a job's time to wait pass; one that runs or is final stays as it is."""
        job = sorted(self.jobs)[pick % len(self.jobs)]
        record = self.key("job", job)
        waits = self.redis.hget(record, "status") in {"queued", "scheduled", "retrying"}
        if waits:
            self.redis.hset(record, "expires", "1")
        self.store.look(job)
        if waits:
            self.end(job, "expired")

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        job = sorted(self.jobs)[pick % len(self.jobs)]
        known = self.jobs[job]

        assert (known.final is None) is self.store.cancel(job)
        self.end(job, "cancelled")

    @precondition(lambda self: self.jobs)
    @rule(
        pick=PICK,
        queue=st.sampled_from(QUEUES),
        delay=st.sampled_from([None, 0.0, 20.0]),
        first=st.booleans(),
    )
    def edit(self, pick: int, queue: str, delay: float | None, first: bool) -> None:
        """Move a job that waits to another queue, time or place in line."""
        job = sorted(self.jobs)[pick % len(self.jobs)]
        record = self.redis.hgetall(self.key("job", job))
        verdict = self.store.edit(
            job,
            fence=record.get("fence", "0"),
            queue=queue,
            priority=pick % 3,
            delay=delay,
            first=first,
        )
        waits = record["status"] in {"queued", "scheduled", "retrying"}
        assert verdict == ("changed" if waits else record["status"])

    @rule(queue=st.sampled_from(QUEUES), pause=st.booleans())
    def pause(self, queue: str, pause: bool) -> None:
        if pause:
            self.store.pause(queue)
        else:
            self.store.resume(queue)

    # What launchers and machines do.

    @rule(pick=PICK, refused=st.booleans())
    def launch(self, pick: int, refused: bool) -> None:
        slots = self.slots()
        if not slots:
            return
        slot = slots[pick % len(slots)]
        self.redis.delete(self.key("bucket"))
        launch = self.store.launch(slot, 10.0, "me")
        if refused and launch.verdict == "go":
            self.store.refuse(slot, '{"message": "no"}', 30.0, who="me", tell=True)

    @rule(pick=PICK)
    def boot(self, pick: int) -> None:
        """Have a machine come up for any slot, also where there is one."""
        self.come_up(pick, "stay")

    @rule(pick=PICK)
    def boot_to_leave(self, pick: int) -> None:
        """Have it told to stop before its first claim."""
        self.come_up(pick, "leave")

    def come_up(self, pick: int, intent: Intent) -> None:
        slots = self.slots()
        if slots:
            slot = slots[pick % len(slots)]
            verbs = MachineStore(
                self.url,
                self.name,
                slot=slot,
                machine_id=f"m{len(self.machines)}",
                region="ams",
                lease_ttl=30.0,
            )
            verbs.wire = self.wire
            machine = Machine(verbs, slot)
            self.machines.append(machine)
            self.took(machine, verbs.claim(intent))

    @precondition(lambda self: self.machines)
    @rule(pick=PICK)
    def restart(self, pick: int) -> None:
        """Start a machine again under its id, whatever it was doing."""
        before = self.machines[pick % len(self.machines)]
        verbs = MachineStore(
            self.url,
            self.name,
            slot=before.slot,
            machine_id=before.verbs._machine_id,
            region="ams",
            lease_ttl=30.0,
        )
        verbs.wire = self.wire
        claim = verbs.claim("stay")
        job = claim.job
        if job is None or claim.verdict != "interrupted":
            self.machines.append(Machine(verbs, before.slot))
            self.took(self.machines[-1], claim)
            return
        lost = int(self.redis.hget(self.key("job", job.id), "lost") or 0)
        assert verbs.release(job, STOPPED, charge=True)
        if self.jobs[job.id].once or lost == 2:
            self.end(job.id, "failed")
        for machine in self.machines:
            if machine.slot == before.slot:
                self.lost(machine)

    @precondition(lambda self: self.machines)
    @rule(pick=PICK, intent=INTENTS)
    def claim(self, pick: int, intent: Intent) -> None:
        machine = self.machines[pick % len(self.machines)]
        self.took(machine, machine.verbs.claim(intent))

    @precondition(lambda self: self.holding())
    @rule(pick=PICK, status=ENDS, intent=INTENTS, wait=st.sampled_from([3.0, 50.0]))
    def finish(self, pick: int, status: str, intent: Intent, wait: float) -> None:
        holding = self.holding()
        machine = holding[pick % len(holding)]
        assert machine.holds is not None
        self.report(machine, machine.holds, status, intent, wait)

    @precondition(lambda self: any(one.said for one in self.machines))
    @rule(pick=PICK)
    def finish_again(self, pick: int) -> None:
        """Send the last report again: its reply was lost."""
        spoke = [one for one in self.machines if one.said]
        machine = spoke[pick % len(spoke)]
        assert machine.said is not None
        job, status = machine.said
        report = Report(status, outcome=b"again", retry_in=3.0)
        _, claim = machine.verbs.finish(job, report)
        self.took(machine, claim)

    @precondition(lambda self: self.old)
    @rule(pick=PICK, status=ENDS)
    def finish_late(self, pick: int, status: str) -> None:
        """Report a job that somebody else has got since."""
        machine, job = self.old[pick % len(self.old)]
        self.report(machine, job, status, "stay", 3.0)

    @precondition(lambda self: self.holding())
    @rule(pick=PICK)
    def heartbeat(self, pick: int) -> None:
        holding = self.holding()
        machine = holding[pick % len(holding)]
        assert machine.holds is not None
        ours = machine.verbs.heartbeat(machine.holds, '{"done": 1}')

        known = self.jobs[machine.holds.id]
        if known.final is None:
            assert ours is (int(machine.holds.fence) == self.fence(machine.holds.id))

    @precondition(lambda self: self.holding())
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        holding = self.holding()
        machine = holding[pick % len(holding)]
        assert machine.holds is not None
        job = machine.holds
        mine = self.is_held(machine, job)

        assert mine is machine.verbs.release(job, STOPPED)
        if mine and self.jobs[job.id].once:
            self.end(job.id, "failed")
        elif mine:
            assert self.fence(job.id) > int(job.fence), "the old holder still holds it"
        self.lost(machine)

    # What time and trouble do.

    @rule(seconds=st.sampled_from([5.0, 31.0, 61.0]))
    def pass_time(self, seconds: float) -> None:
        for name in ("timers", *(f"due:{pool}" for pool in MAX)):
            for member in self.redis.zrange(self.key(name), 0, -1):
                self.redis.zincrby(self.key(name), -seconds, member)
        for pool in MAX:
            for name in ("hold_until", "due_at"):
                if self.redis.hexists(self.key("pool", pool), name):
                    self.redis.hincrbyfloat(self.key("pool", pool), name, -seconds)

    @rule(dead=st.booleans())
    def sweep(self, dead: bool) -> None:
        for check in self.store.sweep().checks:
            self.seen.append(check)
            if dead:
                self.lose(check)
            else:
                self.store.extend(check, 30.0)

    @precondition(lambda self: self.seen)
    @rule(pick=PICK)
    def lose_late(self, pick: int) -> None:
        """Decide on what a sweep saw long ago."""
        self.lose(self.seen[pick % len(self.seen)])

    @rule()
    def forget_scripts(self) -> None:
        self.redis.script_flush()

    def lose(self, check: Check) -> None:
        job = check.job_id
        lost = int(self.redis.hget(self.key("job", job), "lost") or 0) if job else 0
        gone = len(self.machines) % 2 == 0
        loss = self.store.lose(
            check, envelope=b"lost", error="gone", kind="lost", gone=gone
        )
        if loss.is_lost and not gone:
            assert f"m:{check.slot}" in self.redis.zrange(self.key("timers"), 0, -1)
        if job and self.jobs[job].once:
            if lost < int(self.redis.hget(self.key("job", job), "lost") or 0):
                self.end(job, "failed")
        elif job and lost < int(self.redis.hget(self.key("job", job), "lost") or 0) < 3:
            assert self.fence(job) > int(check.fence), "the old holder still holds it"
        for machine in self.machines:
            gone = not self.redis.exists(self.key("slot", check.slot))
            if gone and machine.slot == check.slot:
                self.lost(machine)
        if job and self.redis.hget(self.key("job", job), "lost") == "3" and lost == 2:
            self.end(job, "failed")

    # What the model makes of it.

    def holding(self) -> list[Machine]:
        return [one for one in self.machines if one.holds]

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
        job = claim.job
        if machine.holds and (job is None or job.fence != machine.holds.fence):
            self.lost(machine)
        if job is None:
            return
        known = self.jobs[job.id]
        assert known.final is None, "a final job was handed out"
        if machine.holds is None or machine.holds.id != job.id:
            assert all(int(job.fence) > fence for fence in known.fences)
            known.fences.append(int(job.fence))
        machine.holds = job

    def lost(self, machine: Machine) -> None:
        if machine.holds is not None:
            self.old.append((machine, machine.holds))
            machine.holds = None

    def report(
        self,
        machine: Machine,
        job: ClaimedJob,
        status: str,
        intent: Intent,
        wait: float,
    ) -> None:
        mine = self.is_held(machine, job)
        same = self.fence(job.id) == int(job.fence)
        report = Report(status, outcome=b"out", error="e", kind="error", retry_in=wait)
        ok, claim = machine.verbs.finish(job, report, intent=intent)
        assert ok is same
        if machine.holds is job:
            machine.holds = None
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
                assert (job, record["fence"]) == (slot["job"], slot["fence"])
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

    def teardown(self) -> None:
        """Whatever has happened: machines that work bring everything to its end."""
        for queue in QUEUES:
            self.store.resume(queue)
        for _ in range(20):
            if not self.redis.exists(self.key("timers")):
                break
            self.pass_time(120.0)
            found = self.store.sweep()
            for check in found.checks:
                self.lose(check)
            for stray in found.strays:
                self.store.forget_stray(stray.slot)
            for slot in self.slots():
                self.come_up(self.slots().index(slot), "leave_if_idle")
            while holding := self.holding():
                for machine in holding:
                    assert machine.holds is not None
                    self.report(
                        machine, machine.holds, "succeeded", "leave_if_idle", 3.0
                    )
        self.every_job_is_in_exactly_one_place()
        assert [] == [job for job, known in self.jobs.items() if known.final is None]
        assert ([], 0) == (self.slots(), self.redis.exists(self.key("timers")))
        for name in self.redis.scan_iter(f"{self.prefix}:*", count=1000):
            assert self.redis.pttl(name) > 0, f"{name} is kept for ever"
        self.connection.close()
        self.store.close()
        self.wire.close()
        self.news.close()
        self.redis.close()


def test_whatever_happens_each_job_ends_once_and_nothing_is_left_over(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promises hold after any order of events, and all is idle at the end."""
    for module in (store_module, worker_module):
        monkeypatch.setattr(module, "new_slot_id", new_slot_id)
    machine: Any = partial(Jobs, redis_url)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert {(move.source, move.target) for move in MOVES} >= SEEN
