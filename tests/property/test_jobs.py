"""Any order of events, on the real scripts: what must hold after each of them.

Machines die, replies come late or twice, people cancel, Redis forgets its scripts.
Time does not pass by waiting: deadlines are moved nearer in Redis itself.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from job_model import MAX, QUEUES, SEEN, JobModel, Known, Machine

from worker_lib.job import MOVES
from worker_lib.store import enqueuer
from worker_lib.store import machine as worker_module
from worker_lib.store import store as store_module
from worker_lib.store.claims import Report
from worker_lib.store.keys import new_slot_id
from worker_lib.store.machine import MachineStore
from worker_lib.store.new_job import NewJob

if TYPE_CHECKING:
    import pytest

    from worker_lib.store.claims import Intent
    from worker_lib.store.replies import Check

LINGER = {"short": 0.0, "lingers": 60.0}
STOPPED = Report("failed", outcome=b"stopped", error="stopped", kind="lost")
PICK = st.integers(0, 10**6)
WANT = st.integers(1, 3)
INTENTS = st.sampled_from(["stay", "stay", "stay", "leave_if_idle", "leave"])
ENDS = st.sampled_from(["succeeded", "failed", "retrying"])


class Jobs(JobModel):
    """All that may happen to jobs and machines, in any order."""

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
        SEEN.add(("", "scheduled" if late else "queued"))
        # A machine that waits may have been handed it.
        assert stored.status in ({"scheduled"} if late else {"queued", "running"})
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
        if claim.verdict != "interrupted":
            self.machines.append(Machine(verbs, before.slot))
            self.took(self.machines[-1], claim)
            return
        job, *others = claim.jobs
        lost = int(self.redis.hget(self.key("job", job.id), "lost") or 0)
        assert verbs.release(job, STOPPED, charge=True, back=others)
        if self.jobs[job.id].once or lost == 2:
            self.end(job.id, "failed")
        for machine in self.machines:
            if machine.slot == before.slot:
                self.lost(machine)

    @precondition(lambda self: self.machines)
    @rule(pick=PICK, intent=INTENTS, want=WANT)
    def claim(self, pick: int, intent: Intent, want: int) -> None:
        machine = self.machines[pick % len(self.machines)]
        claim = machine.verbs.claim(intent, want=want, holds=machine.holds)
        self.took(machine, claim)

    @precondition(lambda self: self.holding())
    @rule(
        pick=PICK,
        status=ENDS,
        intent=INTENTS,
        wait=st.sampled_from([3.0, 50.0]),
        want=WANT,
    )
    def finish(
        self, pick: int, status: str, intent: Intent, wait: float, want: int
    ) -> None:
        machine, job = self.held(pick)
        self.report(machine, job, status, intent, wait, want=want)

    @precondition(lambda self: self.holding())
    @rule(pick=PICK, want=st.integers(0, 2))
    def give_back(self, pick: int, want: int) -> None:
        """Give back all but the first, in a command that may be sent twice."""
        machine, _ = self.held(pick)
        first, *back = machine.holds
        for _ in range(1 + pick % 2):
            done = machine.verbs.finish([], want=want, holds=[first], back=back)
        machine.holds = [first]
        self.old += [(machine, job) for job in back]
        self.took(machine, done.claim)

    @precondition(lambda self: any(one.said for one in self.machines))
    @rule(pick=PICK)
    def finish_again(self, pick: int) -> None:
        """Send the last report again: its reply was lost."""
        spoke = [one for one in self.machines if one.said]
        machine = spoke[pick % len(spoke)]
        assert machine.said is not None
        job, status = machine.said
        report = Report(status, outcome=b"again", retry_in=3.0)
        done = machine.verbs.finish([(job, report)], holds=machine.holds)
        self.took(machine, done.claim)

    @precondition(lambda self: self.old)
    @rule(pick=PICK, status=ENDS)
    def finish_late(self, pick: int, status: str) -> None:
        """Report a job that somebody else has got since."""
        machine, job = self.old[pick % len(self.old)]
        self.report(machine, job, status, "stay", 3.0)

    @precondition(lambda self: self.holding())
    @rule(pick=PICK)
    def heartbeat(self, pick: int) -> None:
        machine, job = self.held(pick)
        ours = machine.verbs.heartbeat(job, '{"done": 1}')

        if self.jobs[job.id].final is None:
            assert bool(ours) is (int(job.fence) == self.fence(job.id))

    @precondition(lambda self: self.holding())
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        machine, _ = self.held(pick)
        job, *back = machine.holds
        mine = self.is_held(machine, job)

        assert mine is machine.verbs.release(job, STOPPED, back=back)
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
                self.store.strays.forget(stray.slot)
            for slot in self.slots():
                self.come_up(self.slots().index(slot), "leave_if_idle")
            while holding := self.holding():
                for machine in holding:
                    job = machine.holds[0]
                    self.report(machine, job, "succeeded", "leave_if_idle", 3.0)
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
    for module in (store_module, enqueuer, worker_module):
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
