"""The life of a machine: which state follows which, and with what event.

    created -> started -> stopped | destroying -> destroyed
    started -> suspending -> suspended -> started;  started -> stopping -> stopped

Source: "Machine states"; "Suspend and resume a Machine"; flyctl and its tests for
the order of events. Whoever waits is woken by the machine's condition; no state is
ever polled for.
"""

from __future__ import annotations

import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.environment import launch_spec, write_files
from worker_lib.emulator.events import Event, exit_request
from worker_lib.emulator.identifiers import ulid
from worker_lib.emulator.messages import ApiRefusal
from worker_lib.emulator.restarts import RETRY_WINDOW, Next, RestartPolicy
from worker_lib.emulator.runtimes import Exit
from worker_lib.emulator.state import Run
from worker_lib.emulator.values import seconds, signal_number
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.emulator.billing import BillingMeter
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import Instance, Runtime
    from worker_lib.emulator.state import Intent, Machine

log = get_logger("emulator")

DEFAULT_SIGNAL = int(signal.SIGINT)
DEFAULT_GRACE = 5.0
_CANNOT_EXECUTE = 127
_KILL_PATIENCE = 5.0
_STARTABLE = frozenset({"stopped", "suspended", "failed"})
_IDLE = frozenset({"stopped", "suspended", "failed"})


class Lifecycle:
    """Moves machines from state to state. Every method takes the fleet's lock."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        runtime: Runtime,
        meter: BillingMeter,
        options: EmulatorOptions,
    ) -> None:
        self._fleet = fleet
        self._runtime = runtime
        self._meter = meter
        self._options = options
        self._closing = False

    def launched(self, machine: Machine) -> None:
        """Note that a machine was asked for."""
        machine.record(Event(type="launch", status="created", source="user"))

    def begin(self, machine: Machine, *, skip_launch: bool) -> None:
        """Take a new machine out of `created`: boot it, or leave it prepared."""
        act = self._prepared if skip_launch else self._boot
        with self._fleet.lock:
            self._after_delay(machine, self._options.created_delay, "created", act)

    def start(self, machine: Machine) -> str:
        """Boot or resume a machine; returns the state it was in.

        Raises:
            ApiRefusal: 412, it is in no state to be started from.
        """
        with self._fleet.lock:
            previous = machine.state
            if previous in ("started", "starting"):
                return previous
            if previous in ("stopping", "suspending", "replacing"):
                raise ApiRefusal(
                    412, "failed_precondition: machine still active, refusing to start"
                )
            if previous not in _STARTABLE:
                raise _wrong_state("start", previous)
            machine.record(Event(type="start", status="starting", source="user"))
            self._resume(machine) if previous == "suspended" else self._boot(machine)
            return previous

    def stop(
        self, machine: Machine, *, number: int | None = None, grace: float | None = None
    ) -> None:
        """Signal a machine, and kill it after a grace; returns at once.

        Args:
            machine: Any; nothing happens to one that is stopped.
            number: Signal; None: that of the machine's `stop_config`, else SIGINT.
            grace: Seconds; None: that of `stop_config`, else 5.

        Source: "Stop a Machine"; "Fly Launch configuration" (kill_signal SIGINT,
        kill_timeout 5 s; another page says SIGTERM).
        """
        with self._fleet.lock:
            if machine.state in ("stopped", "stopping", "failed"):
                return
            if machine.state not in ("started", "starting", "suspended"):
                raise _wrong_state("stop", machine.state)
            machine.record(Event(type="stop", status="stopping", source="user"))
            self._end(machine, "stop", number=number, grace=grace)

    def restart(
        self, machine: Machine, *, number: int | None = None, grace: float | None = None
    ) -> None:
        """Stop a machine and boot it again, or boot it if it is stopped."""
        with self._fleet.lock:
            if machine.state in ("stopped", "failed"):
                self.start(machine)
                return
            if machine.state not in ("started", "suspended"):
                raise _wrong_state("restart", machine.state)
            machine.record(Event(type="restart", status="restarting", source="user"))
            self._end(machine, "restart", number=number, grace=grace)

    def update(self, machine: Machine, config: dict[str, Any], *, launch: bool) -> None:
        """Replace a machine's config; a running one stops and boots with it.

        One that does not run is `created` anew, for `begin` to go on with.

        Source: "Update a Machine".
        """
        with self._fleet.lock:
            if machine.state not in (*_IDLE, "started"):
                raise _wrong_state("update", machine.state)
            machine.config = config
            machine.instance_id = ulid()
            machine.versions.append((machine.instance_id, config))
            if machine.run is not None:
                status = "replacing" if launch else "stopping"
                machine.record(Event(type="update", status=status, source="user"))
                self._end(machine, "restart" if launch else "stop")
                return
            status = "created" if launch else "stopped"
            machine.record(Event(type="update", status=status, source="user"))

    def suspend(self, machine: Machine) -> None:
        """Freeze a running machine.

        Raises:
            ApiRefusal: 412, it does not run.
        """
        with self._fleet.lock:
            run = machine.run
            if machine.state != "started" or run is None or run.instance is None:
                raise _wrong_state("suspend", machine.state)
            machine.record(Event(type="suspend", status="suspending", source="user"))
            run.instance.suspend()
            run.frozen = True
            self._meter.end(machine.id)
            machine.record(Event(type="suspend", status="suspended", source="flyd"))

    def instance(self, machine: Machine) -> Instance:
        """The running instance of a machine.

        Raises:
            ApiRefusal: 412, it does not run.
        """
        with self._fleet.lock:
            run = machine.run
            if machine.state != "started" or run is None or run.instance is None:
                raise ApiRefusal(
                    412,
                    "failed_precondition: machine not running, "
                    f"current state: '{machine.state}'",
                )
            return run.instance

    def destroy(self, machine: Machine, *, force: bool) -> None:
        """Destroy a machine; a running one is killed.

        Raises:
            ApiRefusal: 412, it runs and `force` is not given.
        """
        with self._fleet.lock:
            if machine.state in ("destroying", "destroyed"):
                return
            if machine.state not in _IDLE and not force:
                raise ApiRefusal(
                    412,
                    "failed_precondition: unable to destroy machine, not currently in "
                    f"stopped, suspended or failed state: '{machine.state}'",
                )
            machine.record(Event(type="destroy", status="destroying", source="user"))
            self._end(machine, "destroy", number=int(signal.SIGKILL), grace=0.0)

    def shut_down(self, grace: float) -> None:
        """End every machine: SIGTERM, at most `grace` seconds, then SIGKILL."""
        with self._fleet.lock:
            self._closing = True
            machines = list(self._fleet.machines())
            for machine in machines:
                machine.cancel_timer()
                frozen = machine.run is not None and machine.run.frozen
                self._tell(machine, int(signal.SIGKILL if frozen else signal.SIGTERM))
            deadline = time.monotonic() + grace
            for machine in machines:
                _wait_ended(machine, max(0.0, deadline - time.monotonic()))
            for machine in machines:
                self._tell(machine, int(signal.SIGKILL))
                _wait_ended(machine, _KILL_PATIENCE)

    def _after_delay(
        self, machine: Machine, delay: float, state: str, act: Callable[[Machine], None]
    ) -> None:
        """Do something with a machine if it is still in this state by then."""
        if not delay:
            act(machine)
            return

        def due() -> None:
            with self._fleet.lock:
                if machine.state == state and not self._closing:
                    machine.timer = None
                    act(machine)

        machine.timer = _timer(delay, due)

    def _prepared(self, machine: Machine) -> None:
        machine.record(Event(type="launch", status="stopped", source="flyd"))

    def _boot(self, machine: Machine) -> None:
        app = self._fleet.app(machine.app)
        run = machine.run = Run()
        root = self._runtime.root(machine.id)
        try:
            write_files(machine.config, app, root)
            spec = launch_spec(machine, app, base_env=self._options.base_env, root=root)
            run.instance = self._runtime.launch(
                spec, partial(self._exited, machine, run)
            )
        except OSError as exc:
            self._cannot_execute(machine, run, exc)
            return
        self._started(machine)

    def _cannot_execute(self, machine: Machine, run: Run, error: OSError) -> None:
        with self._runtime.log_path(machine.id).open("a") as output:
            output.write(f"cannot execute the command of the machine: {error}\n")
        self._started(machine)
        self._exited(machine, run, Exit(code=_CANNOT_EXECUTE))

    def _resume(self, machine: Machine) -> None:
        run = machine.run
        if run is not None and run.instance is not None:
            run.frozen = False
            run.instance.resume()
        self._started(machine)

    def _started(self, machine: Machine) -> None:
        self._meter.begin(
            machine.id,
            app=machine.app,
            region=machine.region,
            guest=machine.config["guest"],
        )
        machine.record(Event(type="start", status="started", source="flyd"))
        log.info("machine_started", extra={"machine_id": machine.id})

    def _end(
        self,
        machine: Machine,
        intent: Intent,
        *,
        number: int | None = None,
        grace: float | None = None,
    ) -> None:
        """Make the present run end, or go on at once if there is none."""
        machine.cancel_timer()
        run = machine.run
        if run is None:
            self._go_on(machine, "destroy" if intent == "destroy" else "stop")
            return
        run.intent = intent
        stop = machine.config.get("stop_config") or {}
        if run.frozen:
            grace = 0.0
        elif grace is None:
            grace = seconds(stop["timeout"]) if stop.get("timeout") else DEFAULT_GRACE
        if number is None:
            number = signal_number(stop.get("signal") or DEFAULT_SIGNAL)
        self._tell(machine, number if grace else int(signal.SIGKILL))
        if grace:
            kill = partial(self._tell_run, run, int(signal.SIGKILL))
            run.kill_timer = _timer(grace, kill)

    def _tell(self, machine: Machine, number: int) -> None:
        if machine.run is not None:
            self._tell_run(machine.run, number)

    def _tell_run(self, run: Run, number: int) -> None:
        if run.instance is not None:
            run.instance.signal(number)

    def _exited(self, machine: Machine, run: Run, ended: Exit) -> None:
        """The runtime's word that a run is over."""
        with self._fleet.lock:
            if run.kill_timer is not None:
                run.kill_timer.cancel()
            machine.run = None
            self._meter.end(machine.id)
            following = self._decide(machine, run, ended)
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
            self._go_on(machine, following)

    def _decide(self, machine: Machine, run: Run, ended: Exit) -> Next:
        if self._closing:
            return "stop"
        while (
            machine.restarts and time.monotonic() - machine.restarts[0] > RETRY_WINDOW
        ):
            machine.restarts.popleft()
        return RestartPolicy.of(machine.config).after(
            ended, intent=run.intent, recent=len(machine.restarts)
        )

    def _go_on(self, machine: Machine, following: Next) -> None:
        if following == "stop":
            machine.enter("stopped")
        elif following == "destroy":
            self._destroyed(machine)
        elif following == "boot":
            machine.enter("starting")
            self._boot(machine)
        else:
            self._retry(machine)

    def _retry(self, machine: Machine) -> None:
        options = self._options
        pause = options.restart_backoff * 2 ** min(len(machine.restarts), 16)
        machine.restarts.append(time.monotonic())
        machine.enter("starting")
        pause = min(pause, options.restart_backoff_max)
        self._after_delay(machine, pause, "starting", self._boot)

    def _destroyed(self, machine: Machine) -> None:
        if machine.state != "destroying":
            machine.record(Event(type="destroy", status="destroying", source="flyd"))
        self._runtime.discard(machine.id)
        self._fleet.mark_destroyed(machine)
        machine.record(Event(type="destroy", status="destroyed", source="flyd"))


def _wait_ended(machine: Machine, timeout: float) -> None:
    machine.changed.wait_for(lambda: machine.run is None, timeout)


def _timer(delay: float, act: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(delay, act)
    timer.daemon = True
    timer.start()
    return timer


def _wrong_state(verb: str, state: str) -> ApiRefusal:
    return ApiRefusal(
        412,
        f"failed_precondition: unable to {verb} machine from current state: '{state}'",
    )
