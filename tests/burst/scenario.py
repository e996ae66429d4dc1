"""One scenario: so many calls at once, until the last of them has ended."""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import redis

from worker_lib import fly_task
from worker_lib.calls.codec import Codec
from worker_lib.calls.pickling import Call
from worker_lib.client.encoding import Encoder
from worker_lib.emulator.options import EmulatorOptions
from worker_lib.fly.latencies import FLY
from worker_lib.launcher import Launcher
from worker_lib.settings import Settings
from worker_lib.store.keys import key_prefix, member_id, new_batch_id
from worker_lib.store.limits import BULK_JOBS
from worker_lib.store.new_job import BatchPart
from worker_lib.sweeper import Sweeper

from .machine import Machines, Times, Worker
from .parts import TOKEN, Clock, Fly, VirtualStore, virtual_time
from .standby import Standby
from .timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker_lib.fly.latencies import Latencies

__all__ = ["Outcome", "Scenario", "play"]

_APP = "burst"
_SENT = ("eval", "evalsha")
# Calls that are played before, and seconds until creates have a burst again.
_BEFORE, _PAUSE = 10, 10.0
# A call that takes so many seconds brings a machine of its own.
_LONG = 100.0
_BEGINNING = 1_800_000_000.0


@fly_task
def work(number: int) -> int:
    """Return its argument; machines here are models, so nobody runs it."""
    return number


Kind = Literal["naive", "naive parked", "ours", "ours parked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is played.

    Attributes:
        kind: `naive` is one machine per call; `parked` has machines stand by.
        calls: Stored at once.
        machines: At the same time, of ours, or that stand by.
        times: How long things take.
        latencies: Fly's.
        known: Play a few such calls before, so that it is known what they take.
        limit: Virtual seconds after which it is given up.
    """

    kind: Kind
    calls: int
    machines: int
    times: Times
    latencies: Latencies = FLY
    known: bool = False
    limit: float = 200_000.0

    @property
    def is_ours(self) -> bool:
        """Whether machines run more than one call."""
        return self.kind.startswith("ours")

    @property
    def name(self) -> str:
        """For people."""
        who = "ours" if self.is_ours else "one machine per call"
        return f"{who}, {'parked' if 'parked' in self.kind else 'cold'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went.

    Attributes:
        done: Calls that succeeded.
        seconds: From the storing of the calls to the end of the last one.
        machines: That ran at the same time, at most.
        creates: Of machines.
        starts: Of machines that were parked.
        refused: Requests that Fly refused for their rate (429).
        told: Refusals that a caller could hear of.
        machine_seconds: That Fly bills.
        usd: For these.
        commands: That Redis bills.
        measured: What Redis knows of the pool in the end.
    """

    done: int
    seconds: float
    machines: int
    creates: int
    starts: int
    refused: int
    told: int
    machine_seconds: float
    usd: float
    commands: int
    measured: dict[str, float] = field(default_factory=dict)


def play(scenario: Scenario, redis_path: Path) -> Outcome:
    """Play a scenario on a real server, in a namespace of its own.

    Args:
        scenario: What.
        redis_path: The server's socket; nobody else may use it meanwhile.
    """
    timeline = Timeline(_BEGINNING)
    with (
        virtual_time(timeline),
        redis.Redis(unix_socket_path=str(redis_path)) as server,
    ):
        played: _Standby | _Library
        if scenario.kind == "naive parked":
            played = _Standby(scenario, timeline, server)
        else:
            played = _Library(scenario, timeline, server, f"unix://{redis_path}")
        server.config_set("appendonly", "no")  # nothing of it is to last
        try:
            return played.run()
        finally:
            timeline.close()
            server.flushall()


class _Played:
    """What all ways have in common: Fly, and what is counted."""

    def __init__(self, scenario: Scenario, timeline: Timeline, server: Any) -> None:
        self.scenario, self.timeline, self.server = scenario, timeline, server
        self.calls = scenario.calls

    def make_fly(self, machines: Machines) -> Fly:
        """Return Fly with these machines."""
        takes = self.scenario.latencies
        options = EmulatorOptions(
            apps=(_APP,), tokens=(TOKEN,), latencies=takes, region="iad"
        )
        self.machines, self.fly = machines, Fly(self.timeline, options, machines)
        return self.fly

    def until(self, condition: Callable[[], bool]) -> float:
        """Let time pass until something holds; return how long it took."""
        began = self.timeline.now
        self.timeline.run(until=condition, limit=self.scenario.limit)
        return self.timeline.now - began

    def count(self) -> dict[str, Any]:
        """Return what was billed and asked for up to now."""
        bill, calls = self.fly.meter.report(), self.fly.backend.calls
        found = self.server.info("commandstats")
        sent = (found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in _SENT)
        return {
            "creates": len(bill["machines"]),
            "starts": calls["start"],
            "refused": self.fly.answers.get(429, 0),
            "machine_seconds": bill["started_s"],
            "usd": bill["usd"],
            "commands": sum(sent),
        }

    def counted(self, before: dict[str, Any], **more: Any) -> Outcome:
        """Return what was added since."""
        added = {name: value - before[name] for name, value in self.count().items()}
        commands = added.pop("commands") + more.pop("commands", 0)
        return Outcome(commands=commands, machines=self.machines.most, **added, **more)


class _Standby(_Played):
    """One machine per call, of machines that stand by."""

    def __init__(self, scenario: Scenario, timeline: Timeline, server: Any) -> None:
        super().__init__(scenario, timeline, server)
        self._standby = Standby(timeline, scenario.times)
        machines = Machines(timeline, self._standby.life, self._standby.suspended)
        self._standby.fly = self.make_fly(machines)

    def run(self) -> Outcome:
        """Have machines stand by, then make the calls."""
        standby, wanted = self._standby, self.scenario.machines
        standby.create(wanted)
        self.until(lambda: standby.ready == wanted)
        self.timeline.run_for(_PAUSE)
        before = self.count()
        standby.call(self.calls)
        seconds = self.until(lambda: standby.done == self.calls)
        self.until(lambda: self.machines.awake == 0)
        return self.counted(before, done=standby.done, seconds=seconds, told=0)


class _Library(_Played):
    """Calls of the library; a machine for each if they are isolated."""

    def __init__(
        self, scenario: Scenario, timeline: Timeline, server: Any, redis_url: str
    ) -> None:
        super().__init__(scenario, timeline, server)
        settings = Settings(
            redis_url=redis_url,
            secret=secrets.token_hex(32),
            namespace=f"burst-{secrets.token_hex(4)}",
            fly_api_token=TOKEN,
            fly_app=_APP,
            image="burst",
            region="iad",
        )
        prefix = key_prefix(settings.namespace)
        clock = Clock(timeline, server, prefix)
        codec = Codec(settings.secret, settings.namespace, max_bytes=1_000_000)
        self._store = VirtualStore(settings, prefix, clock)
        self._worker = Worker(clock, scenario.times, redis_url)
        self._worker.left = self._store.tell_callers
        fly = self.make_fly(Machines(timeline, self._worker.life))
        self._worker.suspend = fly.suspend
        self._launcher = Launcher(self._store, lambda: fly.api, codec, settings)
        self._sweeper = Sweeper(self._store, self._launcher, codec, settings)
        task = work.options(**_options(scenario))
        self._template = Encoder(settings, codec).template(task, "")

    def run(self) -> Outcome:
        """Store the calls, and let time pass until the last has ended."""
        try:
            if self.scenario.known:
                self._play_before(self.scenario.times, _BEFORE)
            if self.scenario.kind == "ours parked":
                self._park_all()
            return self._play()
        finally:
            self._store.close()

    def _park_all(self) -> None:
        """Have as many machines parked as may be, and it known what calls take."""
        times, machines = self.scenario.times, self.scenario.machines
        self._play_before(dataclasses.replace(times, run=_LONG), machines)
        self._play_before(times, 10 * machines)

    def _play_before(self, times: Times, calls: int) -> None:
        """Play calls that do not count, until no machine runs any more."""
        self._worker.times = times
        wanted = self._worker.done + calls
        self._store_calls(calls)
        self.until(lambda: self._worker.done == wanted)
        self.until(lambda: self.machines.awake == 0)
        self.timeline.run_for(_PAUSE)
        self._worker.commands = self.machines.most = 0

    def _play(self) -> Outcome:
        before, done = self.count(), self._worker.done
        batch_id = self._store_calls(self.calls)
        seconds = self.until(lambda: self._worker.done - done >= self.calls)
        pool = str(self._template.new.of("pool"))
        measured = self._store.measured(pool)
        succeeded = self._read(batch_id)
        self.until(lambda: self.machines.awake == 0)
        return self.counted(
            before,
            done=succeeded,
            seconds=seconds,
            told=len(self._store.refused),
            commands=self._worker.commands,
            measured=measured,
        )

    def _store_calls(self, calls: int) -> str:
        """Store calls as a batch; return its id."""
        batch_id, call = new_batch_id(), Call((0,), {}, None)
        for start in range(0, calls, BULK_JOBS):
            sealed = [
                self._template.seal(member_id(batch_id, index), call)
                for index in range(start, min(calls, start + BULK_JOBS))
            ]
            part = BatchPart(batch_id, start, calls)
            stored = self._store.batches.enqueue(self._template.new, sealed, part)
            for slot in stored.slots:
                self._launcher.launch(slot)
            self._sweeper.attend(stored.job_id, stored.next_in)
        return batch_id

    def _read(self, batch_id: str) -> int:
        """Read all outcomes, as their caller does; return how many succeeded."""
        news = self._store.batches.news(batch_id, limit=0)
        for start in range(0, self.calls, BULK_JOBS):
            some = range(start, min(self.calls, start + BULK_JOBS))
            self._store.batches.outcomes([member_id(batch_id, index) for index in some])
        return news.seen.counts["succeeded"] if news else 0


def _options(scenario: Scenario) -> Any:
    if scenario.kind == "naive":
        return {"isolate": True, "max_machines": scenario.calls}
    if scenario.kind == "ours parked":
        return {"max_machines": scenario.machines, "park": scenario.machines}
    return {"max_machines": scenario.machines}
