"""Machines, as models: each takes its time, and calls the machine's real verbs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.runtimes import Exit
from worker_lib.fly.protocol import PARKING_VARIABLE
from worker_lib.runtime.budget import Pace
from worker_lib.runtime.park import Parking
from worker_lib.store.claims import Report
from worker_lib.store.machine import MachineStore

from .timeline import PARKED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from worker_lib.emulator.runtimes import LaunchSpec, Observer
    from worker_lib.store.claims import ClaimedJob

    from .parts import Clock
    from .timeline import Timeline

    Steps = Generator[float, None, None]
    Life = Callable[[LaunchSpec], Steps]

__all__ = ["Machines", "Times", "Worker"]

_OUTCOME = b"x" * 100
# A call that takes longer makes its machine listen on the control channel.
_LISTEN_AFTER = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long things take, in seconds, besides what Fly takes.

    Attributes:
        run: A call.
        begin: From `started` to the first claim: the interpreter and what it imports,
            on a shared CPU. `make bench` measures 0.06 s on a computer of its own.
        end: From the last answer to the end of the machine.
        round_trip: To Redis and back, within a region.
    """

    run: float
    begin: float = 0.25
    end: float = 0.1
    round_trip: float = 0.001


class Machines:
    """The emulator's runtime: each machine is a model on the timeline.

    Args:
        timeline: Where they live.
        life: Yields the seconds of each step of a machine's life, or `PARKED`.
        fell_asleep: Called with a machine's id once it stands still.

    Attributes:
        awake: Machines that run now.
        most: That ran at the same time.
    """

    def __init__(
        self,
        timeline: Timeline,
        life: Life,
        fell_asleep: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.most = self.awake = 0
        self._timeline, self._life, self._fell_asleep = timeline, life, fell_asleep

    def launch(self, spec: LaunchSpec, observer: Observer) -> _Model:
        """Boot a machine."""

        def steps() -> Steps:
            self._wake()
            observer.started()
            yield from self._life(spec)
            self.awake -= 1
            observer.exited(Exit(code=0))

        def suspend() -> None:
            self.awake -= 1
            self._fell_asleep(spec.machine_id)

        model = _Model(self._timeline, steps(), self._wake, suspend)
        self._timeline.after(0.0, model.go_on)
        return model

    def _wake(self) -> None:
        self.awake += 1
        self.most = max(self.most, self.awake)

    def log_path(self, machine_id: str) -> Path:
        """Return no real file: nothing is written."""
        return Path("/dev/null") / machine_id

    def discard(self, machine_id: str) -> None:
        """Forget a machine's disk, which there never was."""

    def open(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""


class _Model:
    """One run of one machine, as the emulator sees it.

    Attributes:
        suspend: Lets it stand still: it has said itself that it would.
    """

    def __init__(
        self,
        timeline: Timeline,
        steps: Steps,
        wake: Callable[[], None],
        suspend: Callable[[], None],
    ) -> None:
        self._timeline, self._steps = timeline, steps
        self._wake, self.suspend = wake, suspend

    def go_on(self) -> None:
        """Do the next steps."""
        self._timeline.follow(self._steps)

    def resume(self) -> None:
        """Go on where it stood."""
        self._wake()
        self._timeline.after(0.0, self.go_on)

    def signal(self, number: int) -> None:
        """Refuse: in no scenario is a machine stopped from outside."""
        raise RuntimeError(f"a model of a machine cannot take signal {number}")

    def processes(self) -> list[Any]:
        """Return none: nobody looks into a model."""
        return []

    def execute(self, *_: object, **__: object) -> Any:
        """Refuse, likewise."""
        raise OSError("a model of a machine executes nothing")


class Worker:
    """What a machine of ours does: `life` is its supervisor, without a child.

    It claims and reports by the machine's real verbs, and asks for as many jobs at once
    as the real one. Unlike that one it fetches no jobs while others run, which makes a
    difference only for calls below 50 ms.

    Attributes:
        times: From now on.
        done: Calls whose success was accepted.
        commands: That were sent besides scripts.
        left: Called whenever a machine has no more work.
        suspend: Has Fly suspend a machine; returns the seconds to wait if it will not.
    """

    def __init__(self, clock: Clock, times: Times, redis_url: str) -> None:
        self.times = times
        self.done = self.commands = 0
        self.left: Callable[[], None] = lambda: None
        self.suspend: Callable[[LaunchSpec], float] = lambda _: 0.0
        self._clock, self._redis_url = clock, redis_url

    def life(self, spec: LaunchSpec) -> Steps:
        """Yield the seconds of each step, as long as there is work or it may park."""
        yield self.times.begin
        while (yield from self._session(spec)) == "park":
            if self.suspend(spec) > 0:  # as it may not, it ends, and Fly stops it
                return
            yield PARKED
        yield self.times.end

    def _session(self, spec: LaunchSpec) -> Generator[float, None, str]:
        """Work until there is none; return the last verdict."""
        env = spec.env
        lease_ttl = float(env["WORKER_LIB_LEASE_TTL"])
        store = MachineStore(
            self._redis_url,
            env["WORKER_LIB_NAMESPACE"],
            slot=env["WORKER_LIB_SLOT"],
            machine_id=spec.machine_id,
            region=env["FLY_REGION"],
            lease_ttl=lease_ttl,
            parking=Parking.read(env[PARKING_VARIABLE]).limits
            if PARKING_VARIABLE in env
            else (0, 0.0),
        )
        pace = Pace()
        claim = self._say(store.claim, want=1)
        yield self.times.round_trip
        if claim.jobs and self.times.run > _LISTEN_AFTER:
            self.commands += 1
        while claim.jobs:
            reports = yield from self._run(store, claim.jobs, lease_ttl / 3)
            for _ in reports:
                pace.note(self.times.run)
            finished = self._say(store.finish, reports, want=max(1, pace.want(0)))
            self.done += sum(finished.accepted)
            claim = finished.claim
            yield self.times.round_trip
        store.close()
        self.left()
        return str(claim.verdict)

    def _run(
        self,
        store: MachineStore,
        jobs: tuple[ClaimedJob, ...],
        renew_after: float,
    ) -> Generator[float, None, list[tuple[ClaimedJob, Report]]]:
        """Run jobs one after the other; return what is to be reported."""
        reports = []
        for job in jobs:
            left = self.times.run
            while left > renew_after:
                yield renew_after
                left -= renew_after
                self._say(store.heartbeat, job)
            yield left
            report = Report("succeeded", outcome=_OUTCOME, ran=self.times.run)
            reports.append((job, report))
        return reports

    def _say(self, verb: Callable[..., Any], *told: Any, **named: Any) -> Any:
        self._clock.set()
        return verb(*told, **named)
