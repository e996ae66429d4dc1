"""What a client may ask of a machine in which state.

    created -> started -> stopped | destroying -> destroyed
    started -> suspending -> suspended -> started;  started -> stopping -> stopped

Events made here have the source `user`; `engine` carries out what was asked.
Source: "Machine states"; "Suspend and resume a Machine"; flyctl and its tests for
the order of events.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.events import Event
from worker_lib.emulator.identifiers import ulid
from worker_lib.emulator.messages import failed_precondition
from worker_lib.fly.protocol import MAX_SUSPENDED_MB

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from worker_lib.emulator.engine import Engine
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import Instance
    from worker_lib.emulator.state import Machine
    from worker_lib.fly.states import MachineState

_IDLE = frozenset({"stopped", "suspended", "failed"})
_BUSY = frozenset({"stopping", "suspending", "replacing", "restarting"})
_KILL = int(signal.SIGKILL)


class Lifecycle:
    """Changes machines as the API is asked to. Every method takes the fleet's lock.

    A method raises `ApiError` 412 if the machine's state does not allow the change.
    """

    def __init__(
        self, *, fleet: Fleet, engine: Engine, options: EmulatorOptions
    ) -> None:
        self._fleet = fleet
        self._engine = engine
        self._options = options

    def launched(self, machine: Machine) -> None:
        """Record that a new machine was asked for."""
        _record(machine, "launch", "created")

    def begin(self, machine: Machine, *, skip_launch: bool) -> None:
        """Take a machine out of `created`: boot it, or leave it prepared."""
        takes = self._options.latencies
        action = self._engine.mark_prepared if skip_launch else self._engine.boot
        delay = self._options.prepare_delay if skip_launch else takes.boot
        delay += takes.pull
        with self._fleet.lock:
            self._engine.transitions.proceed(machine, action, delay=delay)

    def start(self, machine: Machine) -> str:
        """Boot or resume a machine; return the state it was in."""
        with self._fleet.lock:
            previous = machine.state
            if previous in ("started", "starting"):
                return previous
            if previous in _BUSY or time.monotonic() < machine.settled_at:
                raise failed_precondition("machine still active, refusing to start")
            _check_state(machine, "start", _IDLE)
            self._fleet.hold_name(machine)
            _record(machine, "start", "starting")
            if machine.run is not None:
                self._engine.resume(machine)
            else:
                self._engine.boot(machine, delay=self._options.latencies.start)
            return previous

    def stop(
        self, machine: Machine, *, number: int | None = None, grace: float | None = None
    ) -> None:
        """Signal a machine, and kill it after a grace period; return at once.

        Args:
            machine: A machine that is stopped already stays as it is.
            number: Signal; None: that of the machine's `stop_config`, else SIGINT.
            grace: Seconds; None: that of `stop_config`, else 5; 0 kills at once.
        """
        with self._fleet.lock:
            if machine.state in ("stopped", "stopping", "failed"):
                return
            _check_state(machine, "stop", ("started", "starting", "suspended"))
            _record(machine, "stop", "stopping")
            self._engine.end(machine, "stop", number=number, grace=grace)

    def restart(
        self, machine: Machine, *, number: int | None = None, grace: float | None = None
    ) -> None:
        """Stop a machine and boot it again; arguments as for `stop`."""
        with self._fleet.lock:
            if machine.state in ("stopped", "failed"):
                self.start(machine)
                return
            _check_state(machine, "restart", ("started", "suspended"))
            _record(machine, "restart", "restarting")
            self._engine.end(machine, "restart", number=number, grace=grace)

    def update(
        self,
        machine: Machine,
        config: dict[str, Any],
        secrets: Mapping[str, str],
        *,
        launch: bool,
    ) -> None:
        """Replace a machine's config and secrets; a running one boots with them.

        One that does not run is `created` again, and `begin` boots it.

        Source: "Update a Machine".
        """
        with self._fleet.lock:
            _check_state(machine, "update", (*_IDLE, "started"))
            self._fleet.hold_name(machine)
            machine.config, machine.secrets = config, secrets
            machine.instance_id = ulid()
            machine.versions.append((machine.instance_id, config))
            if machine.run is None:
                _record(machine, "update", "created" if launch else "stopped")
                return
            _record(machine, "update", "replacing" if launch else "stopping")
            self._engine.end(machine, "restart" if launch else "stop")

    def suspend(self, machine: Machine) -> None:
        """Freeze a running machine that Fly can suspend."""
        with self._fleet.lock:
            _check_state(machine, "suspend", ("started",) if machine.run else ())
            _check_suspendable(machine.config)
            _record(machine, "suspend", "suspending")
            delay = self._options.latencies.suspend
            self._engine.transitions.proceed(machine, self._engine.suspend, delay=delay)

    def instance(self, machine: Machine) -> Instance:
        """The instance of a machine that runs."""
        with self._fleet.lock:
            run = machine.run
            if machine.state != "started" or run is None or run.instance is None:
                raise failed_precondition(
                    f"machine not running, current state: '{machine.state}'"
                )
            return run.instance

    def destroy(self, machine: Machine, *, force: bool) -> None:
        """Destroy a machine; a running one, which needs `force`, is killed."""
        with self._fleet.lock:
            if machine.state in ("destroying", "destroyed"):
                return
            self.check_destroyable(machine, force=force)
            _record(machine, "destroy", "destroying")
            self._engine.end(machine, "destroy", number=_KILL, grace=0.0)

    def check_destroyable(self, machine: Machine, *, force: bool) -> None:
        """Refuse to destroy a running machine unless it is forced."""
        if force or machine.state in (*_IDLE, "destroying", "destroyed"):
            return
        raise failed_precondition(
            "unable to destroy machine, not currently in "
            f"stopped, suspended or failed state: '{machine.state}'"
        )

    def shut_down(self, grace: float) -> None:
        """End every machine and every wait; nothing boots any more.

        Args:
            grace: Seconds between SIGTERM and SIGKILL.
        """
        with self._fleet.lock:
            self._fleet.close()
            self._engine.shut_down(grace)


def _record(machine: Machine, kind: str, status: MachineState) -> None:
    machine.record(Event(type=kind, status=status, source="user"))


def _check_state(machine: Machine, verb: str, allowed: Collection[str]) -> None:
    if machine.state not in allowed:
        raise failed_precondition(
            f"unable to {verb} machine from current state: '{machine.state}'"
        )


def _check_suspendable(config: Mapping[str, Any]) -> None:
    """Refuse to suspend a machine that Fly cannot suspend.

    Source: "Suspend and resume a Machine", Requirements; the text is not published.
    """
    reason, memory = "", config["guest"]["memory_mb"]
    if memory > MAX_SUSPENDED_MB:
        reason = f"its memory of {memory} MB is above {MAX_SUSPENDED_MB} MB"
    elif config["init"].get("swap_size_mb"):
        reason = "it has swap"
    elif config.get("schedule"):
        reason = "it has a schedule"
    if reason:
        raise failed_precondition(f"unable to suspend machine: {reason}")
