"""Turns slots into machines.

A slot is a right to one machine, taken in Redis before the API is called. One thread
asks Redis for permission, slot by slot: a token bucket that all processes share keeps
to Fly's limit of creates. Up to eight threads then create machines (`creation`), and
each outcome is recorded: the machine's id, or why the pool has to wait.

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
    MachinesApiError,
    NoCapacity,
    PayloadError,
    StoreError,
)
from worker_lib.logs import get_logger
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

_MAX_CREATORS = 8
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
        self._lock = threading.Lock()
        self._waiting: dict[str, None] = {}  # slots without permission yet, in order
        self._has_waiting = threading.Condition(self._lock)
        self._renewed_at = 0.0
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
                self._end(Step("launch_failed", slot, reason=str(error)))
            with self._lock:
                del self._waiting[slot]
                others_wait = bool(self._waiting)
            if others_wait:  # asked sooner, Redis would refuse
                time.sleep(min(pause, _LONGEST_WAIT))

    def _first_waiting(self) -> str:
        with self._has_waiting:
            self._has_waiting.wait_for(lambda: self._waiting)
            return next(iter(self._waiting))

    def _launch(self, slot: str) -> float:
        """Have a slot's machine created; return seconds until the next one may be."""
        launch = self._wait_for_permission(slot)
        if launch.verdict == "wait":
            reason = f"not before {launch.wait:.0f} s"
            self._end(Step("launch_delayed", slot, reason=reason))
            return 0.0
        if launch.verdict == "unneeded":
            self._end(Step("launch_unneeded", slot))
            return 0.0
        with self._lock:
            self._creating += 1
            if self._creators < min(self._creating, _MAX_CREATORS):
                self._creators += 1
                _start_thread(self._create_permitted, "create")
        self._permitted.put((slot, launch))
        return launch.wait

    def _wait_for_permission(self, slot: str) -> Launch:
        while True:
            launch = self._store.launch(
                slot,
                _first_look(self._settings),
                self.who,
                probe_for=2.5 * self._settings.boot_timeout,
                waiting=self._waiting_to_renew(),
            )
            if launch.verdict != "wait" or launch.wait > _LONGEST_WAIT:
                return launch
            time.sleep(launch.wait)

    def _waiting_to_renew(self) -> list[str]:
        """Return, every few seconds, the slots that no other process may take up."""
        with self._lock:
            if time.monotonic() - self._renewed_at < _RENEW_EVERY:
                return []
            self._renewed_at = time.monotonic()
            return [*self._waiting][1:]

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
