"""Turns slots into machines.

A slot is a right to one machine, taken in Redis before the API is called. One thread
asks Redis for permission, slot by slot: a token bucket that all processes share keeps
to Fly's limit of creates. A slot whose machine is parked needs no token, and goes ahead
of those that wait for one. Several threads then create machines (`creation`) or start
parked ones (`starting`), and each outcome is recorded: the machine's id, or why the
pool has to wait.

Not promised: that the machine starts. The sweep looks after that.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from worker_lib.calls import codec
from worker_lib.creation import Creation, machine_config
from worker_lib.errors import (
    ConfigError,
    MachineError,
    MachineNotFound,
    MachinesApiError,
    NoCapacity,
    PayloadError,
    StoreError,
)
from worker_lib.logs import get_logger
from worker_lib.own_machines import OwnMachines
from worker_lib.starting import Start
from worker_lib.steps import Step
from worker_lib.trouble import credentials_of, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.errors import Refusal
    from worker_lib.machines.protocol import Machines
    from worker_lib.settings import Settings
    from worker_lib.store.replies import Launch
    from worker_lib.store.store import Store

__all__ = ["Launcher"]

log = get_logger("launcher")

# Parked machines are started at the same moment, as many as there are.
_MAX_CREATORS = 20
# Well within the time after which another process takes up a slot that waits.
_RENEW_EVERY = 4.0
# Seconds for which a pool's launches pause after a refusal.
_HOLD: dict[Refusal, float] = {
    "person": 30.0,
    "retry": 5.0,
    "ambiguous": 5.0,
    "next_region": 15.0,
}
# A slot that would have to wait longer for its permission is left to a later sweep.
_LONGEST_WAIT = 5.0
# Redis's clock has steps, so its answer may be 0 a moment too early.
_SHORTEST_WAIT = 0.001


class Launcher:
    """Launches slots in background threads; the caller never waits.

    Args:
        store: Of this namespace.
        make_api: Returns the API client; called in a background thread, on first use,
            since importing an HTTP library takes longer than a call may.
        codec_: Verifies what a pool's machines are to be.
        settings: For the machines' environment.

    Attributes:
        who: Fingerprint of this process's credentials.
    """

    def __init__(
        self,
        store: Store,
        make_api: Callable[[], Machines],
        codec_: codec.Codec,
        settings: Settings,
    ) -> None:
        self.who = credentials_of(settings)
        self._store = store
        self._make_api = make_api
        self._codec = codec_
        self._settings = settings
        self._api: Machines | None = None
        self._own = OwnMachines(lambda: self.api, settings)
        self._lock = threading.Lock()
        self._waiting: dict[str, None] = {}  # slots without permission yet, in order
        self._has_waiting = threading.Condition(self._lock)
        self._renewed_at = 0.0
        self._told: set[str] = set()  # those of which Redis said whether one is parked
        self._parked: set[str] = set()  # those of which one is
        self._permitted: queue.SimpleQueue[tuple[str, Launch]] = queue.SimpleQueue()
        self._creating = 0  # permitted, and not ended
        self._creators = 0
        self._unfinished = 0
        self._has_ended = threading.Condition(self._lock)
        self._listeners: dict[str, list[Callable[[Step], None]]] = {}
        self._is_running = False

    @property
    def api(self) -> Machines:
        """The API client, made on first use.

        Raises:
            ConfigError: it lacks a setting.
        """
        with self._lock:
            if self._api is None:
                self._api = self._make_api()
            return self._api

    def launch(self, slot: str, on_end: Callable[[Step], None] | None = None) -> None:
        """Launch the machine of a slot, some time soon; returns at once.

        Args:
            slot: As Redis gave it.
            on_end: Called once, in a background thread, with what became of it.
        """
        with self._lock:
            if on_end is not None:
                self._listeners.setdefault(slot, []).append(on_end)
            if slot in self._waiting:
                return
            self._waiting[slot] = None
            self._unfinished += 1
            self._has_waiting.notify()
            if not self._is_running:
                self._is_running = True
                _start_thread(self._run, "launcher")

    def flush(self, timeout: float) -> bool:
        """Wait until every slot was launched or refused; False if it took too long.

        Args:
            timeout: Seconds.
        """
        with self._has_ended:
            return self._has_ended.wait_for(lambda: self._unfinished == 0, timeout)

    def _run(self) -> None:
        # Made before the first permission, so that the create follows that at once:
        # Fly's limit counts from when the request arrives.
        with contextlib.suppress(ConfigError):
            _ = self.api
        while True:
            slot, pause = self._first_waiting(), 0.0
            try:
                pause = self._launch(slot)
            except Exception as error:  # the thread must outlive any one slot
                is_unknown = not isinstance(error, StoreError)
                facts = {"slot": slot, "error": str(error)}
                log.warning("launch_failed", extra=facts, exc_info=is_unknown)
                self._forget(slot)
                self._end(Step("launch_failed", slot, reason=str(error)))
            if pause > 0:
                self._pause(pause)

    def _first_waiting(self) -> str:
        """Return a slot: one whose machine is parked before all others."""
        with self._has_waiting:
            self._has_waiting.wait_for(lambda: self._waiting)
            return next(iter(self._parked or self._waiting))

    def _forget(self, slot: str) -> None:
        with self._lock:
            del self._waiting[slot]
            self._told.discard(slot)
            self._parked.discard(slot)

    def _pause(self, seconds: float) -> None:
        """Wait until a machine may be created, or a slot comes whose may be started."""
        with self._has_waiting:
            self._has_waiting.wait_for(
                lambda: self._parked or self._waiting.keys() - self._told, seconds
            )

    def _launch(self, slot: str) -> float:
        """Have a slot's machine made; return seconds until one may be created."""
        launch = self._ask(slot)
        if launch.verdict == "wait" and launch.wait <= _LONGEST_WAIT:
            return max(launch.wait, _SHORTEST_WAIT)  # it keeps its place
        if launch.verdict in {"go", "start"}:
            self._hand_over(slot, launch)
            self._forget(slot)
            return launch.wait
        self._forget(slot)
        if launch.verdict == "wait":
            reason = f"not before {launch.wait:.0f} s"
            self._end(Step("launch_delayed", slot, reason=reason))
        else:
            self._end(Step("launch_unneeded", slot))
        return 0.0

    def _ask(self, slot: str) -> Launch:
        others = self._others_to_tell(slot)
        launch = self._store.launch(
            slot,
            _first_look(self._settings),
            self.who,
            probe_for=2.5 * self._settings.boot_timeout,
            waiting=others,
        )
        with self._lock:
            self._told.update(self._waiting.keys() & {slot, *others})
            self._parked.update(self._waiting.keys() & set(launch.parked))
        return launch

    def _others_to_tell(self, slot: str) -> list[str]:
        """Return slots that are to be told of with a question about this one.

        All of them every few seconds, so that no other process takes them up; in
        between those that are new, as the machines of some may be parked.
        """
        with self._lock:
            others = [one for one in self._waiting if one != slot]
            if time.monotonic() - self._renewed_at < _RENEW_EVERY:
                return [one for one in others if one not in self._told]
            self._renewed_at = time.monotonic()
            return others

    def _hand_over(self, slot: str, launch: Launch) -> None:
        with self._lock:
            self._creating += 1
            if self._creators < min(self._creating, _MAX_CREATORS):
                self._creators += 1
                _start_thread(self._create_permitted, "create")
        self._permitted.put((slot, launch))

    def _create_permitted(self) -> None:
        # The thread stays, and with it its connection to the API.
        while True:
            slot, launch = self._permitted.get()
            self._end(self._create(slot, launch))
            with self._lock:
                self._creating -= 1

    def _create(self, slot: str, launch: Launch) -> Step:
        creation = None
        try:
            spec = self._verified_spec(launch)
            if launch.machine_id:
                return self._start(slot, launch.machine_id)
            creation = Creation(slot, self.api, self._store.is_launching)
            return self._create_from(spec, slot, launch.pool, creation)
        except (MachineError, ConfigError) as error:
            may_exist = creation is not None and creation.may_exist
            return self._refuse(slot, error, may_exist=may_exist)
        except StoreError as error:
            log.warning("launch_unrecorded", extra={"slot": slot, "error": str(error)})
            return Step("launch_failed", slot, reason=str(error))
        except Exception as error:  # the thread must outlive any one machine
            log.exception("launch_failed", extra={"slot": slot})
            reason = f"{type(error).__name__}, see the log"
            return Step("launch_failed", slot, reason=reason)

    def _start(self, slot: str, machine_id: str) -> Step:
        """Start the parked machine of a slot, or have another take its place."""
        began = time.monotonic()
        reason = self._start_parked(slot, machine_id)
        if reason:
            self._launch_instead(slot, self._store.replace(slot))
            step = Step("machine_replaced", slot, machine_id, reason=reason)
            log.warning(step.event, extra=step.facts)
            return step
        step = Step("machine_started", slot, machine_id)
        took = round(time.monotonic() - began, 3)
        log.info(step.event, extra={**step.facts, "start_s": took})
        return step

    def _launch_instead(self, slot: str, other: str) -> None:
        if not other:
            return
        with self._lock:
            listeners = self._listeners.get(slot, [None])
        for listener in listeners:
            self.launch(other, listener)

    def _start_parked(self, slot: str, machine_id: str) -> str:
        """Start it; return "", or why another has to take its place."""
        try:
            machine = self._own.get(machine_id)
        except MachineNotFound as error:
            return str(error)
        # Whoever can write to Redis must not have any machine of the app started.
        if self._own.ownership(slot, machine) != "ours":
            return f"machine {machine_id} is not shown as ours"
        return Start(slot, machine, self.api, self._store.is_launching).run()

    def _create_from(
        self, spec: dict[str, Any], slot: str, pool: str, creation: Creation
    ) -> Step:
        began = time.monotonic()
        config = machine_config(spec, slot, pool, self._settings)
        machine = creation.run(spec["regions"], config)
        if machine is None:
            return Step("launch_unneeded", slot)
        self._store.created(slot, machine.id)
        step = Step("machine_created", slot, machine.id, region=machine.region)
        took = round(time.monotonic() - began, 3)
        log.info(step.event, extra={**step.facts, "create_s": took})
        return step

    def _verified_spec(self, launch: Launch) -> dict[str, Any]:
        """Return what the pool's machines are to be.

        Whoever may choose the image or a variable of a machine that holds our secrets
        owns the app, and Redis may be written to by others.
        """
        try:
            body = self._codec.open(launch.spec, kind=codec.SPEC, job_id=launch.pool)
        except PayloadError as error:
            raise ConfigError(f"no machine is started: {error}") from error
        spec: dict[str, Any] = json.loads(body)
        return spec

    def _refuse(
        self, slot: str, error: MachineError | ConfigError, *, may_exist: bool
    ) -> Step:
        refusal = _refusal_of(error)
        log.error("machine_refused", extra={"slot": slot, "reason": str(error)})
        try:
            self._store.refuse(
                slot,
                describe(error, self.who),
                _HOLD[refusal],
                who=self.who,
                tell=refusal == "person",
                unsure=may_exist,
            )
        except StoreError as lost:
            log.warning("refusal_unrecorded", extra={"error": str(lost)})
        return Step("machine_refused", slot, reason=str(error))

    def _end(self, step: Step) -> None:
        """Tell those who asked for this slot, then those who wait for all of them."""
        with self._lock:
            listeners = self._listeners.pop(step.slot, [])
        for listener in listeners:
            listener(step)
        with self._has_ended:
            self._unfinished -= 1
            self._has_ended.notify_all()


def _first_look(settings: Settings) -> float:
    """Return the seconds after which a machine that took no job is looked at.

    By then one that cannot work has ended; one that is slow is given more time. Never
    later than the end of a lease that begins at once.
    """
    boot = settings.boot_timeout
    return min(settings.lease_ttl, max(min(boot, 5.0), boot / 6))


def _refusal_of(error: MachineError | ConfigError) -> Refusal:
    if isinstance(error, MachinesApiError):
        # A person must say which size to take instead of one that Fly does not sell.
        return "person" if error.refusal == "next_size" else error.refusal
    return "next_region" if isinstance(error, NoCapacity) else "person"


def _start_thread(target: Callable[[], None], name: str) -> None:
    threading.Thread(target=target, name=f"worker_lib-{name}", daemon=True).start()
