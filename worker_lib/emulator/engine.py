"""Carries out what happens to machines: boot, exit, restart, destruction.

`lifecycle` checks what a client may ask for in which state; this does it, and decides
what follows when a machine exits by itself. Events made here have the source `flyd`.
Every method needs the fleet's lock held; timers and the runtime take it themselves.
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
from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.restarts import RETRY_WINDOW, Next, after_exit
from worker_lib.emulator.runtimes import CommandNotExecutable, Exit, Observer
from worker_lib.emulator.state import Run
from worker_lib.emulator.termination import send_signal, terminate, wait_exited
from worker_lib.emulator.transitions import Transitions
from worker_lib.errors import WorkerLibError
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from worker_lib.emulator.billing import BillingMeter
    from worker_lib.emulator.faults import FaultInjector
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.machine_sockets import MachineSockets
    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import Runtime
    from worker_lib.emulator.state import Intent, Machine

log = get_logger("emulator")

_CANNOT_EXECUTE = 127
_KILL_TIMEOUT = 5.0
_MAX_DOUBLINGS = 16
_MAX_RESTART_PAUSE = 10.0


class Engine:
    """Boots and ends machines on a runtime."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        runtime: Runtime,
        meter: BillingMeter,
        options: EmulatorOptions,
        injector: FaultInjector,
        sockets: MachineSockets,
    ) -> None:
        self._fleet = fleet
        self._runtime = runtime
        self._meter = meter
        self._options = options
        self._sockets = sockets
        self.transitions = Transitions(
            injector,
            fleet,
            disrupt=self._disrupt,
            fail=self._fail_to_launch,
            retention=options.destroyed_retention,
        )

    def boot(self, machine: Machine, *, delay: float = 0.0) -> None:
        """Start a machine; one whose command cannot be executed exits with 127.

        After any other error the machine is `failed` and its events say why.

        Args:
            machine: It has no run.
            delay: Seconds that it is `starting` before.

        Raises:
            ApiError: 503, the emulator is being stopped.
        """
        if self._fleet.is_closing:
            raise ApiError(503, "unavailable: the emulator is stopping")
        self.transitions.pass_through(machine, "starting", self._boot, delay=delay)

    def _boot(self, machine: Machine) -> None:
        run = machine.run = Run()
        try:
            self._launch(machine, run)
        except CommandNotExecutable as exc:
            self._append_log(machine, f"cannot execute the machine's command: {exc}")
            self.mark_started(machine)
            self._on_exited(machine, run, Exit(code=_CANNOT_EXECUTE))
        except Exception as exc:
            log.exception("launch_failed", extra={"machine_id": machine.id})
            self._mark_failed(machine, run, _reason(exc))

    def mark_prepared(self, machine: Machine) -> None:
        """Leave a new machine stopped, as `skip_launch` asks."""
        machine.record(Event(type="launch", status="stopped", source="flyd"))

    def suspend(self, machine: Machine) -> None:
        """Freeze a machine's run, unless it has exited meanwhile."""
        run = machine.run
        if run is None:
            return
        if run.instance is not None:
            run.instance.suspend()
        run.frozen = True
        self._meter.end(machine.id)
        machine.record(Event(type="suspend", status="suspended", source="flyd"))
        self.transitions.proceed(machine)

    def resume(self, machine: Machine) -> None:
        """Continue a frozen run, after the seconds that this takes."""
        delay = self._options.latencies.resume
        self.transitions.pass_through(machine, "starting", self._resume, delay=delay)

    def _resume(self, machine: Machine) -> None:
        run = machine.run
        if run is None or run.has_vanished:  # its exit says what follows
            return
        run.frozen = False
        if run.instance is not None:
            run.instance.resume()
        self.mark_started(machine)

    def mark_started(self, machine: Machine) -> None:
        """Record that a machine runs from now on."""
        self._meter.begin(machine)
        machine.record(Event(type="start", status="started", source="flyd"))
        log.info("machine_started", extra={"machine_id": machine.id})
        self.transitions.proceed(machine)

    def end(
        self,
        machine: Machine,
        intent: Intent,
        *,
        number: int | None = None,
        grace: float | None = None,
    ) -> None:
        """End the present run; without one, do at once what follows.

        Args:
            machine: Its `stop_config` gives what is None here.
            intent: What follows the exit.
            number: The signal; None: that of `stop_config`, else SIGINT.
            grace: Seconds until SIGKILL; None: that of `stop_config`, else 5; 0: at
                once.
        """
        machine.cancel_timer()
        if machine.run is None:
            self._follow_up(machine, "destroy" if intent == "destroy" else "stop")
            return
        machine.run.intent = intent
        end_run = partial(terminate, number=number, grace=grace)
        self.transitions.proceed(machine, end_run)

    def shut_down(self, grace: float) -> None:
        """End every machine: SIGTERM, at most `grace` seconds, then SIGKILL."""
        running = [m for m in self._fleet.machines() if m.run is not None]
        for machine in running:
            send_signal(machine.run, int(signal.SIGTERM))
        deadline = time.monotonic() + grace
        for machine in running:
            frozen = machine.run is not None and machine.run.frozen
            left = 0.0 if frozen else deadline - time.monotonic()
            wait_exited(machine, max(0.0, left))
        for machine in running:
            send_signal(machine.run, int(signal.SIGKILL))
            wait_exited(machine, _KILL_TIMEOUT)

    def _launch(self, machine: Machine, run: Run) -> None:
        observer = Observer(
            started=partial(self._on_started, machine, run),
            exited=partial(self._on_exited, machine, run),
            failed=partial(self._on_failed, machine, run),
        )
        spec = launch_spec(machine, socket=self._sockets.path(machine.app))
        run.instance = self._runtime.launch(spec, observer)

    def _append_log(self, machine: Machine, line: str) -> None:
        """Add a line to a machine's log; a full disk must not stop the machine."""
        path = self._runtime.log_path(machine.id)
        with contextlib.suppress(OSError), path.open("a") as output:
            output.write(f"{line}\n")

    def _on_started(self, machine: Machine, run: Run) -> None:
        """The runtime reports that a run has started."""
        with self._fleet.lock:
            if run.intent == "none":
                self.mark_started(machine)
            else:  # it was told to end meanwhile, and its state says so already
                self._meter.begin(machine)

    def _on_failed(self, machine: Machine, run: Run, reason: str) -> None:
        """The runtime reports that a run will not start.

        A new machine goes from `launch_failed` to `destroyed`; an older one is `failed`
        and stays for a person to look at. Source: "Machine states".
        """
        with self._fleet.lock:
            if not _is_new(machine):
                self._mark_failed(machine, run, reason)
                return
            self._close_run(machine, run)
            self._append_log(machine, f"cannot launch the machine: {reason}")
            log.warning("machine_failed", extra={"machine_id": machine.id})
            self._fail_to_launch(machine, {"error": reason})

    def _mark_failed(self, machine: Machine, run: Run, reason: str) -> None:
        """Leave a machine `failed`; its name is free for another."""
        self._close_run(machine, run)
        kind = "launch" if _is_new(machine) else "start"
        machine.record(
            Event(type=kind, status="failed", source="flyd", request={"error": reason})
        )
        self._fleet.free_name(machine)
        log.warning("machine_failed", extra={"machine_id": machine.id})
        self._append_log(machine, f"cannot launch the machine: {reason}")
        if run.intent == "destroy":
            self._destroy(machine)

    def _on_exited(self, machine: Machine, run: Run, ended: Exit) -> None:
        """The runtime reports the exit of a run; do what follows."""
        with self._fleet.lock:
            self._close_run(machine, run)
            if machine.host_status != "ok" and run.intent != "destroy":
                return  # an unreachable host reports nothing
            if run.has_vanished and run.intent == "none":
                if machine.state == "starting":  # it was to be resumed meanwhile
                    self._boot(machine)
                return
            following = self._decide(machine, run, ended)
            self._record_exit(machine, run, ended, following)
            self._follow_up(machine, following)

    def _close_run(self, machine: Machine, run: Run) -> None:
        run.cancel_timers()
        machine.run = None
        self._meter.end(machine.id)

    def _decide(self, machine: Machine, run: Run, ended: Exit) -> Next:
        if self._fleet.is_closing:
            return "stop"
        oldest = time.monotonic() - RETRY_WINDOW
        while machine.restarts and machine.restarts[0] < oldest:
            machine.restarts.popleft()
        recent = len(machine.restarts)
        return after_exit(machine.config, ended, intent=run.intent, recent=recent)

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
            "machine_exited", extra={"machine_id": machine.id, "exit_code": ended.code}
        )

    def _follow_up(self, machine: Machine, following: Next) -> None:
        if machine.hangs:
            return
        takes = self._options.latencies
        if following == "stop":
            machine.settled_at = time.monotonic() + takes.settle
            machine.enter("stopped")
        elif following == "destroy":
            self._destroy(machine)
        else:
            pause = self._restart_pause(machine) if following == "retry" else 0.0
            machine.enter("starting")
            delay = pause + takes.start
            self.transitions.proceed(machine, self._boot, delay=delay)

    def _restart_pause(self, machine: Machine) -> float:
        """Count one more automatic restart; return the seconds to wait before it."""
        first = self._options.restart_backoff
        doublings = min(len(machine.restarts), _MAX_DOUBLINGS)
        machine.restarts.append(time.monotonic())
        return min(first * 2.0**doublings, max(first, _MAX_RESTART_PAUSE))

    def _destroy(self, machine: Machine) -> None:
        if machine.state == "destroying":
            self._finish_destroy(machine)
            return
        machine.enter("destroying")
        self.transitions.proceed(machine, self._finish_destroy)

    def _finish_destroy(self, machine: Machine) -> None:
        self._runtime.discard(machine.id)
        machine.record(Event(type="destroy", status="destroyed", source="flyd"))
        self._fleet.mark_destroyed(machine, self.transitions.retention(machine))

    def _fail_to_launch(
        self, machine: Machine, request: dict[str, Any] | None = None
    ) -> None:
        machine.record(
            Event(type="launch", status="launch_failed", source="flyd", request=request)
        )
        if machine.run is not None:  # it was frozen, and cannot be resumed
            machine.run.intent = "destroy"
            send_signal(machine.run, int(signal.SIGKILL))
            return
        self._destroy(machine)

    def _disrupt(self, machine: Machine, run: Run, effect: str) -> None:
        """Carry out a disruption of a run: one of `faults.effects.DISRUPTIONS`."""
        if effect == "migrate":
            self._migrate(machine)
            return
        if effect == "lose_host":
            machine.host_status = "unreachable"
        if effect == "lose_snapshot":
            if not run.frozen:
                return
            run.has_vanished = True
        send_signal(run, int(signal.SIGKILL))

    def _migrate(self, machine: Machine) -> None:
        """Stop a machine and boot it with a new `instance_id`, as on another host."""
        machine.instance_id = ulid()
        machine.versions.append((machine.instance_id, machine.config))
        machine.record(Event(type="update", status="replacing", source="flyd"))
        self.end(machine, "restart", number=int(signal.SIGTERM))


def _is_new(machine: Machine) -> bool:
    return machine.state == "created" and len(machine.versions) == 1


def _reason(error: Exception) -> str:
    """Why a launch failed; the text of an unknown error may contain secrets."""
    if isinstance(error, OSError | WorkerLibError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: see the emulator's log"
