"""What may be asked of a machine, in which state.

    created -> started -> stopped | destroying -> destroyed
    started -> suspending -> suspended -> started;  started -> stopping -> stopped

Events made here have the source `user`; `engine` carries out what was asked.
Source: "Machine states"; "Suspend and resume a Machine"; flyctl and its tests for
the order of events. Whoever waits is woken by the machine's condition; no state is
ever polled for.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.events import Event
from worker_lib.emulator.identifiers import ulid
from worker_lib.emulator.messages import ApiRefusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.emulator.engine import Engine
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import Instance
    from worker_lib.emulator.state import Machine

_IDLE = frozenset({"stopped", "suspended", "failed"})
_BUSY = frozenset({"stopping", "suspending", "replacing", "restarting"})
_KILL = int(signal.SIGKILL)
_MOST_SUSPENDED_MB = 2048


class Lifecycle:
    """Moves machines as the API is asked to. Every method takes the fleet's lock."""

    def __init__(
        self, *, fleet: Fleet, engine: Engine, options: EmulatorOptions
    ) -> None:
        self._fleet = fleet
        self._engine = engine
        self._options = options

    def launched(self, machine: Machine) -> None:
        """Note that a new machine was asked for."""
        machine.record(Event(type="launch", status="created", source="user"))

    def begin(self, machine: Machine, *, skip_launch: bool) -> None:
        """Take a machine out of `created`: boot it, or leave it prepared."""
        act = self._engine.prepared if skip_launch else self._engine.boot
        delay = self._options.created_delay
        if skip_launch:
            delay = max(delay, self._options.prepare_delay)
        with self._fleet.lock:
            self._engine.fates.meet(machine, act, delay=delay)

    def start(self, machine: Machine) -> str:
        """Boot or resume a machine; returns the state it was in.

        Raises:
            ApiRefusal: 412, it is in no state to be started from.
        """
        with self._fleet.lock:
            previous = machine.state
            if previous in ("started", "starting"):
                return previous
            if previous in _BUSY:
                raise ApiRefusal(
                    412, "failed_precondition: machine still active, refusing to start"
                )
            if previous not in _IDLE:
                raise _wrong_state("start", previous)
            self._fleet.hold_name(machine)
            machine.record(Event(type="start", status="starting", source="user"))
            if machine.run is not None:
                self._engine.resume(machine, machine.run)
            else:
                self._engine.boot(machine)
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
            self._engine.end(machine, "stop", number=number, grace=grace)

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

        One that does not run is `created` anew, for `begin` to go on with.

        Source: "Update a Machine".
        """
        with self._fleet.lock:
            if machine.state not in (*_IDLE, "started"):
                raise _wrong_state("update", machine.state)
            self._fleet.hold_name(machine)
            machine.config, machine.secrets = config, secrets
            machine.instance_id = ulid()
            machine.versions.append((machine.instance_id, config))
            if machine.run is None:
                status = "created" if launch else "stopped"
                machine.record(Event(type="update", status=status, source="user"))
                return
            status = "replacing" if launch else "stopping"
            machine.record(Event(type="update", status=status, source="user"))
            self._engine.end(machine, "restart" if launch else "stop")

    def suspend(self, machine: Machine) -> None:
        """Freeze a running machine.

        Raises:
            ApiRefusal: 412, it does not run, or it is none that Fly can suspend.
        """
        with self._fleet.lock:
            if machine.state != "started" or machine.run is None:
                raise _wrong_state("suspend", machine.state)
            _check_suspendable(machine.config)
            machine.record(Event(type="suspend", status="suspending", source="user"))
            self._engine.fates.meet(machine, self._engine.suspend)

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
            self.check_destroyable(machine, force=force)
            machine.record(Event(type="destroy", status="destroying", source="user"))
            self._engine.end(machine, "destroy", number=_KILL, grace=0.0)

    def check_destroyable(self, machine: Machine, *, force: bool) -> None:
        """Refuse to destroy what runs, unless it is forced.

        Raises:
            ApiRefusal: 412.
        """
        if force or machine.state in (*_IDLE, "destroying", "destroyed"):
            return
        raise ApiRefusal(
            412,
            "failed_precondition: unable to destroy machine, not currently in "
            f"stopped, suspended or failed state: '{machine.state}'",
        )

    def shut_down(self, grace: float) -> None:
        """End every machine and everybody's waiting; nothing boots any more."""
        with self._fleet.lock:
            self._fleet.close()
            self._engine.shut_down(grace)


def _check_suspendable(config: Mapping[str, Any]) -> None:
    """Refuse to suspend what Fly does not.

    Raises:
        ApiRefusal: 412; how Fly words it is not published.

    Source: "Suspend and resume a Machine", Requirements.
    """
    reason = ""
    if config["guest"]["memory_mb"] > _MOST_SUSPENDED_MB:
        memory = config["guest"]["memory_mb"]
        reason = f"its memory of {memory} MB is above {_MOST_SUSPENDED_MB} MB"
    elif config["init"].get("swap_size_mb"):
        reason = "it has swap"
    elif config.get("schedule"):
        reason = "it has a schedule"
    if reason:
        raise ApiRefusal(
            412, f"failed_precondition: unable to suspend machine: {reason}"
        )


def _wrong_state(verb: str, state: str) -> ApiRefusal:
    return ApiRefusal(
        412,
        f"failed_precondition: unable to {verb} machine from current state: '{state}'",
    )
