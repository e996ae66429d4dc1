"""What happens to machines: boots, ends, restarts, destruction.

`lifecycle` decides whether something may be asked for; this carries it out, and
takes it from there when a machine ends by itself. Events made here have the source
`flyd`. Every method needs the fleet's lock held; timers and the runtime take it.
"""

from __future__ import annotations

import contextlib
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.environment import launch_spec
from worker_lib.emulator.events import Event, exit_request
from worker_lib.emulator.identifiers import ulid
from worker_lib.emulator.messages import ApiRefusal
from worker_lib.emulator.restarts import RETRY_WINDOW, Next, RestartPolicy
from worker_lib.emulator.runtimes import CommandNotExecutable, Exit, Observer
from worker_lib.emulator.state import Run
from worker_lib.emulator.termination import end_run, tell, wait_ended
from worker_lib.emulator.transitions import Fates
from worker_lib.errors import WorkerLibError
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from worker_lib.emulator.billing import BillingMeter
    from worker_lib.emulator.faults import Faults
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.machine_sockets import Doors
    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import Runtime
    from worker_lib.emulator.state import Intent, Machine

log = get_logger("emulator")

_CANNOT_EXECUTE = 127
_KILL_PATIENCE = 5.0
_MOST_DOUBLINGS = 16


class Engine:
    """Boots and ends machines on a runtime."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        runtime: Runtime,
        meter: BillingMeter,
        options: EmulatorOptions,
        faults: Faults,
        doors: Doors,
    ) -> None:
        self._fleet = fleet
        self._runtime = runtime
        self._meter = meter
        self._options = options
        self._doors = doors
        self.fates = Fates(
            faults,
            fleet,
            befall=self._befall,
            fail=self._fail_to_launch,
            retention=options.destroyed_retention,
        )

    def boot(self, machine: Machine) -> None:
        """Start a machine; one whose command cannot be executed exits with 127.

        Whatever else goes wrong, the machine is `failed` and its events say why.

        Raises:
            ApiRefusal: 503, the emulator is being stopped.
        """
        if self._fleet.is_closing:
            raise ApiRefusal(503, "unavailable: the emulator is stopping")
        self.fates.brush(machine, "starting", self._boot)

    def _boot(self, machine: Machine) -> None:
        run = machine.run = Run()
        try:
            self._launch(machine, run)
        except CommandNotExecutable as exc:
            self._note(machine, f"cannot execute the machine's command: {exc}")
            self.started(machine)
            self._exited(machine, run, Exit(code=_CANNOT_EXECUTE))
        except Exception as exc:
            log.exception("launch_failed", extra={"machine_id": machine.id})
            self._failed(machine, run, _reason(exc))

    def prepared(self, machine: Machine) -> None:
        """Leave a new machine stopped, as `skip_launch` asks."""
        machine.record(Event(type="launch", status="stopped", source="flyd"))

    def suspend(self, machine: Machine) -> None:
        """Freeze a machine's run, if it has not ended meanwhile."""
        run = machine.run
        if run is None:
            return
        if run.instance is not None:
            run.instance.suspend()
        run.frozen = True
        self._meter.end(machine.id)
        machine.record(Event(type="suspend", status="suspended", source="flyd"))
        self.fates.meet(machine)

    def resume(self, machine: Machine, run: Run) -> None:
        """Let a frozen run go on."""
        run.frozen = False
        if run.instance is not None:
            run.instance.resume()
        self.started(machine)

    def started(self, machine: Machine) -> None:
        """Note that a machine runs from now on."""
        self._charge(machine)
        machine.record(Event(type="start", status="started", source="flyd"))
        log.info("machine_started", extra={"machine_id": machine.id})
        self.fates.meet(machine)

    def end(
        self,
        machine: Machine,
        intent: Intent,
        *,
        number: int | None = None,
        grace: float | None = None,
    ) -> None:
        """Make the present run end, or go on at once if there is none.

        Args:
            machine: Its `stop_config` stands in for what is not given.
            intent: What is to follow.
            number: The signal; None as above, else SIGINT.
            grace: Seconds until SIGKILL; None as above, else 5; 0 kills at once.
        """
        machine.cancel_timer()
        if machine.run is None:
            self._go_on(machine, "destroy" if intent == "destroy" else "stop")
            return
        machine.run.intent = intent
        self.fates.meet(machine, partial(end_run, number=number, grace=grace))

    def shut_down(self, grace: float) -> None:
        """End every machine: SIGTERM, at most `grace` seconds, then SIGKILL."""
        running = [m for m in self._fleet.machines() if m.run is not None]
        for machine in running:
            tell(machine.run, int(signal.SIGTERM))
        deadline = time.monotonic() + grace
        for machine in running:
            frozen = machine.run is not None and machine.run.frozen
            left = 0.0 if frozen else deadline - time.monotonic()
            wait_ended(machine, max(0.0, left))
        for machine in running:
            tell(machine.run, int(signal.SIGKILL))
            wait_ended(machine, _KILL_PATIENCE)

    def _launch(self, machine: Machine, run: Run) -> None:
        observer = Observer(
            started=partial(self._begun, machine, run),
            exited=partial(self._exited, machine, run),
            failed=partial(self._not_begun, machine, run),
        )
        spec = launch_spec(machine, door=self._doors.path(machine.app))
        run.instance = self._runtime.launch(spec, observer)

    def _charge(self, machine: Machine) -> None:
        self._meter.begin(
            machine.id,
            app=machine.app,
            region=machine.region,
            guest=machine.config["guest"],
        )

    def _note(self, machine: Machine, line: str) -> None:
        """Add a line to a machine's log; a full disk must not stop its life here."""
        path = self._runtime.log_path(machine.id)
        with contextlib.suppress(OSError), path.open("a") as output:
            output.write(f"{line}\n")

    def _begun(self, machine: Machine, run: Run) -> None:
        """Take the runtime's word that a run has started."""
        with self._fleet.lock:
            if run.intent == "none":
                self.started(machine)
            else:  # it was told to end meanwhile, which its state says already
                self._charge(machine)

    def _not_begun(self, machine: Machine, run: Run, reason: str) -> None:
        """Take the runtime's word that there will be no run.

        A new machine goes by `launch_failed` to `destroyed`; one that has been is
        `failed`, for a person to look at. Source: "Machine states".
        """
        with self._fleet.lock:
            if not _is_new(machine):
                self._failed(machine, run, reason)
                return
            run.cancel_timers()
            machine.run = None
            self._note(machine, f"cannot launch the machine: {reason}")
            log.warning("machine_failed", extra={"machine_id": machine.id})
            self._fail_to_launch(machine, {"error": reason})

    def _failed(self, machine: Machine, run: Run, reason: str) -> None:
        """Leave a machine `failed`; its name is free for another."""
        run.cancel_timers()
        machine.run = None
        self._meter.end(machine.id)
        kind = "launch" if _is_new(machine) else "start"
        machine.record(
            Event(type=kind, status="failed", source="flyd", request={"error": reason})
        )
        self._fleet.free_name(machine)
        log.warning("machine_failed", extra={"machine_id": machine.id})
        self._note(machine, f"cannot launch the machine: {reason}")
        if run.intent == "destroy":
            self._destroyed(machine)

    def _exited(self, machine: Machine, run: Run, ended: Exit) -> None:
        """Take the runtime's word that a run is over, and go on from there."""
        with self._fleet.lock:
            run.cancel_timers()
            machine.run = None
            self._meter.end(machine.id)
            if machine.host_status != "ok" and run.intent != "destroy":
                return  # nobody is there to tell of it
            following = self._decide(machine, run, ended)
            self._record_exit(machine, run, ended, following)
            self._go_on(machine, following)

    def _decide(self, machine: Machine, run: Run, ended: Exit) -> Next:
        if self._fleet.is_closing:
            return "stop"
        oldest = time.monotonic() - RETRY_WINDOW
        while machine.restarts and machine.restarts[0] < oldest:
            machine.restarts.popleft()
        return RestartPolicy.of(machine.config).after(
            ended, intent=run.intent, recent=len(machine.restarts)
        )

    def _record_exit(
        self, machine: Machine, run: Run, ended: Exit, following: Next
    ) -> None:
        request = exit_request(
            ended,
            requested_stop=run.intent != "none",
            restarting=following in ("boot", "retry"),
            restart_count=len(machine.restarts),
        )
        machine.events.append(
            Event(type="exit", status="stopped", source="flyd", request=request)
        )
        log.info(
            "machine_exited",
            extra={"machine_id": machine.id, "exit_code": ended.code},
        )

    def _go_on(self, machine: Machine, following: Next) -> None:
        if machine.is_wedged:
            return
        if following == "stop":
            machine.enter("stopped")
        elif following == "destroy":
            self._destroyed(machine)
        else:
            pause = self._pause(machine) if following == "retry" else 0.0
            machine.enter("starting")
            self.fates.meet(machine, self._boot, delay=pause)

    def _pause(self, machine: Machine) -> float:
        """Count one more automatic restart; returns the seconds to wait before it."""
        options = self._options
        doublings = min(len(machine.restarts), _MOST_DOUBLINGS)
        machine.restarts.append(time.monotonic())
        return min(
            options.restart_backoff * 2.0**doublings, options.restart_backoff_max
        )

    def _destroyed(self, machine: Machine) -> None:
        if machine.state == "destroying":
            self._forget(machine)
            return
        machine.enter("destroying")
        self.fates.meet(machine, self._forget)

    def _forget(self, machine: Machine) -> None:
        self._runtime.discard(machine.id)
        machine.record(Event(type="destroy", status="destroyed", source="flyd"))
        self._fleet.mark_destroyed(machine, self.fates.retention(machine))

    def _fail_to_launch(
        self, machine: Machine, request: dict[str, Any] | None = None
    ) -> None:
        status = "launch_failed"
        machine.record(
            Event(type="launch", status=status, source="flyd", request=request)
        )
        self._destroyed(machine)

    def _befall(self, machine: Machine, run: Run, effect: str) -> None:
        """Have an accident happen to a run."""
        if effect == "migrate":
            self._migrate(machine)
            return
        if effect == "lose_host":
            machine.host_status = "unreachable"
        tell(run, int(signal.SIGKILL))

    def _migrate(self, machine: Machine) -> None:
        """Stop a machine for it to boot elsewhere, as another version of itself."""
        machine.instance_id = ulid()
        machine.versions.append((machine.instance_id, machine.config))
        machine.record(Event(type="update", status="replacing", source="flyd"))
        self.end(machine, "restart", number=int(signal.SIGTERM))


def _is_new(machine: Machine) -> bool:
    return machine.state == "created" and len(machine.versions) == 1


def _reason(error: Exception) -> str:
    """Why a launch failed; the words of an unknown error may hold what is secret."""
    if isinstance(error, OSError | WorkerLibError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: the emulator's log says more"
