"""Turns slots into machines.

A slot is a right to one machine, taken in Redis before the API is called. For each,
this module asks Redis for a token of the shared bucket, creates the machine in the
first region that takes it, and classes every refusal: try again, look whether it was
done after all, next region, or tell a person. The machine's name is made from the
slot, so that one slot never has two.

What it does not promise: that the machine comes up. The sweep sees to that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from worker_lib import errors
from worker_lib.calls import codec
from worker_lib.errors import (
    ConfigError,
    MachineError,
    MachinesApiError,
    NoCapacity,
    PayloadError,
    StoreError,
)
from worker_lib.fly.naming import (
    METADATA_NAMESPACE,
    METADATA_OWNER,
    METADATA_POOL,
    METADATA_SLOT,
    machine_name,
    owner,
)
from worker_lib.logs import get_logger
from worker_lib.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.machines.protocol import Machines
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings
    from worker_lib.store.replies import Launch
    from worker_lib.store.store import Store

__all__ = ["ANYBODY", "Launcher", "machine_config", "rebuild"]

log = get_logger("launcher")

_MAX_AT_ONCE = 8
_MAX_TRIES = 5
# Well within the time after which a slot that waits is taken up by others.
_RENEW_EVERY = 4.0
# How long a pool's launches pause: after a refusal that only a person can mend, after
# one that passes, and after all regions were full.
_HOLD = {"person": 30.0, "retry": 5.0, "ambiguous": 5.0, "next_region": 15.0}
# Whose launches a pool is held for if it is not for those of some credentials.
ANYBODY = "*"
# Within a machine's grace the runtime hands its job back.
_STOP_GRACE = "10s"


class Launcher:
    """Launches slots in background threads; the caller never waits.

    Args:
        store: Of this namespace.
        make_api: Returns the API client; called in a background thread, on first use,
            since importing an HTTP library takes longer than a call may.
        codec_: Verifies what a pool's machines are to be.
        settings: For the machines' environment.
    """

    def __init__(
        self,
        store: Store,
        make_api: Callable[[], Machines],
        codec_: codec.Codec,
        settings: Settings,
    ) -> None:
        self._store = store
        self._make_api = make_api
        self._codec = codec_
        self._settings = settings
        self._line: dict[str, None] = {}  # slots that wait for their turn, in order
        self._creates: queue.SimpleQueue[tuple[str, Launch]] = queue.SimpleQueue()
        self._creates_open = 0
        self._creators = 0
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._more = threading.Condition(self._lock)
        self._renewed = 0.0
        self._pending = 0
        self._serving = False
        self._unsure: set[str] = set()  # slots whose machine may have been made
        self._listeners: dict[str, list[Callable[[Step], None]]] = {}
        self._api: Machines | None = None
        self.who = _fingerprint(settings)

    @property
    def api(self) -> Machines:
        """The API client, made on first use."""
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
            if slot in self._line:
                return
            self._line[slot] = None
            self._pending += 1
            self._more.notify()
            if not self._serving:
                self._serving = True
                _start_thread(self._serve, "launcher")

    def flush(self, timeout: float) -> bool:
        """Wait until every slot was launched or refused; False if it took too long."""
        with self._idle:
            return self._idle.wait_for(lambda: self._pending == 0, timeout)

    def _serve(self) -> None:
        # Made before the first token is taken, so that a create follows its token at
        # once: Fly counts from when the request comes in.
        with contextlib.suppress(ConfigError):
            _ = self.api
        while True:
            slot = self._first_in_line()
            pause = 0.0
            try:
                pause = self._launch_in_turn(slot)
            except Exception as error:  # the thread must outlive any one slot
                unknown = not isinstance(error, StoreError)
                log.warning(
                    "launch_failed",
                    extra={"slot": slot, "error": str(error)},
                    exc_info=unknown,
                )
                self._end(Step("launch_failed", slot, reason=str(error)))
            with self._lock:
                del self._line[slot]
                others_wait = bool(self._line)
            if others_wait:  # asked sooner, Redis would say no
                time.sleep(min(pause, _HOLD["retry"]))

    def _first_in_line(self) -> str:
        with self._more:
            self._more.wait_for(lambda: self._line)
            return next(iter(self._line))

    def _launch_in_turn(self, slot: str) -> float:
        """Launch a slot; return the seconds until the next one may be."""
        launch = self._permit(slot)
        if launch.verdict != "go":
            self._end(_not_now(slot, launch))
            return 0.0
        with self._lock:
            self._creates_open += 1
            short = self._creates_open > self._creators
            if short and self._creators < _MAX_AT_ONCE:
                self._creators += 1
                _start_thread(self._create_one_after_the_other, "create")
        self._creates.put((slot, launch))
        return launch.wait

    def _create_one_after_the_other(self) -> None:
        # The thread stays, and with it its connection to the API.
        while True:
            slot, launch = self._creates.get()
            self._create_and_report(slot, launch)
            with self._lock:
                self._creates_open -= 1

    def _permit(self, slot: str) -> Launch:
        """Wait for the slot's turn in the shared bucket."""
        while True:
            boot = self._settings.boot_timeout
            launch = self._store.launch(
                slot,
                _first_look(self._settings),
                self.who,
                probe_for=2.5 * boot,
                waiting=self._waiting(),
            )
            if launch.verdict != "wait" or launch.wait > _HOLD["retry"]:
                return launch
            time.sleep(launch.wait)

    def _waiting(self) -> list[str]:
        """Return who waits in line, now and then: somebody else would take them up."""
        with self._lock:
            if time.monotonic() - self._renewed < _RENEW_EVERY:
                return []
            self._renewed = time.monotonic()
            return [*self._line][1:]

    def _create_and_report(self, slot: str, launch: Launch) -> None:
        try:
            step = self._create(slot, launch)
        except (MachineError, ConfigError) as error:
            self._refuse(slot, error)
            step = Step("machine_refused", slot, reason=str(error))
        except StoreError as error:
            log.warning("launch_unrecorded", extra={"slot": slot, "error": str(error)})
            step = Step("launch_failed", slot, reason=str(error))
        except Exception as error:  # the thread must outlive any one machine
            log.exception("launch_failed", extra={"slot": slot})
            why = f"{type(error).__name__}, see the log"
            step = Step("launch_failed", slot, reason=why)
        self._unsure.discard(slot)
        self._end(step)

    def _create(self, slot: str, launch: Launch) -> Step:
        spec = self._verified_spec(launch)
        config = machine_config(spec, slot, launch.pool, self._settings)
        began = time.monotonic()
        machine = self._create_somewhere(slot, spec["regions"], config)
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

    def _create_somewhere(
        self, slot: str, regions: list[str], config: dict[str, Any]
    ) -> Machine | None:
        refusals = []
        wishes: list[str | None] = [*regions] or [None]
        for region in wishes:
            try:
                return self._create_here(slot, region, config)
            except MachinesApiError as error:
                if error.refusal != "next_region":
                    raise
                refusals.append(f"{region or 'any region'}: {error}")
        raise NoCapacity(
            "no region has room for this machine now; it is tried again while jobs "
            f"wait; add regions to region=[...] ({'; '.join(refusals)})"
        )

    def _create_here(
        self, slot: str, region: str | None, config: dict[str, Any]
    ) -> Machine | None:
        """Return the machine; None if it came, and perhaps went, all the same."""
        name = machine_name(slot)
        for attempt in range(1, _MAX_TRIES + 1):
            try:
                return self.api.create_machine(name=name, region=region, config=config)
            except MachinesApiError as error:
                adopted = self._adopt(error, slot)
                if adopted is not None:
                    return adopted
                if error.refusal not in {"retry", "ambiguous"} or attempt == _MAX_TRIES:
                    raise
                log.warning(
                    "create_retried",
                    extra={"slot": slot, "status": error.status, "attempt": attempt},
                )
                time.sleep(error.retry_after or _backoff(attempt))
                if not self._store.is_launching(slot):
                    return None
        raise AssertionError

    def _adopt(self, error: MachinesApiError, slot: str) -> Machine | None:
        """Return the slot's machine if the refused request, or a lost one, made it."""
        if error.refusal == "ambiguous":
            self._unsure.add(slot)
        if slot not in self._unsure:
            return None
        try:
            found = self.api.find_machine(
                machine_name(slot), metadata={METADATA_SLOT: slot}, refused=error
            )
        except MachinesApiError as unknown:
            if unknown.refusal == "person":
                raise
            log.warning("lookup_failed", extra={"slot": slot, "error": str(unknown)})
            return None  # the next create finds the name taken, if it was made
        if found is not None:
            log.info("machine_adopted", extra={"slot": slot, "machine_id": found.id})
        return found

    def _refuse(self, slot: str, error: MachineError | ConfigError) -> None:
        refusal = _refusal(error)
        log.error("machine_refused", extra={"slot": slot, "reason": str(error)})
        try:
            self._store.refuse(
                slot,
                self._describe(error),
                _HOLD.get(refusal, 30.0),
                who=self.who,
                tell=refusal == "person",
                unsure=slot in self._unsure,
            )
        except StoreError as lost:
            log.warning("refusal_unrecorded", extra={"error": str(lost)})

    def _describe(self, error: MachineError | ConfigError) -> str:
        return json.dumps(
            {
                "error": type(error).__name__,
                "message": str(error),
                "status": getattr(error, "status", 0),
                "who": self.who,
            }
        )

    def _end(self, step: Step) -> None:
        """Tell those who asked for this slot, then those who wait for all of them."""
        with self._lock:
            listeners = self._listeners.pop(step.slot, [])
        for listener in listeners:
            listener(step)
        with self._idle:
            self._pending -= 1
            self._idle.notify_all()


def machine_config(
    spec: dict[str, Any], slot: str, pool: str, settings: Settings
) -> dict[str, Any]:
    """Return the config of one machine, in the API's words.

    `restart: no` and `auto_destroy` are explicit: by default a machine restarts up to
    ten times on failure, and `auto_destroy` works only with policy `no`. The stop
    signal is explicit since it is documented two ways. There is no
    `fly_platform_version` in the metadata, so `fly deploy` leaves the machine alone.

    Source: Machines API, "Machine config"; guide "Machine restart policy"; flyctl,
    internal/command/machine/run.go; fly-go, flaps/flaps_machines.go.
    """
    env = {
        **spec["env"],
        "WORKER_LIB_SLOT": slot,
        "WORKER_LIB_POOL": pool,
        "WORKER_LIB_NAMESPACE": settings.namespace,
        "WORKER_LIB_LEASE_TTL": str(settings.lease_ttl),
        "WORKER_LIB_MAX_PAYLOAD": str(settings.max_payload_bytes),
        "WORKER_LIB_MAX_LIFETIME": str(settings.max_lifetime),
        # Calls of a task follow the settings of calls from outside.
        "WORKER_LIB_MAX_MACHINES": str(settings.max_machines),
        "WORKER_LIB_RESULT_TTL": str(settings.result_ttl),
        "WORKER_LIB_PENDING_TTL": str(settings.pending_ttl),
        "WORKER_LIB_BOOT_TIMEOUT": str(settings.boot_timeout),
        "WORKER_LIB_MAX_GENERATIONS": str(settings.max_generations),
        "WORKER_LIB_NESTED_RATE": str(settings.nested_rate),
    }
    if settings.hooks:  # else the machine's own secrets may name a module
        env["WORKER_LIB_HOOKS"] = settings.hooks
    return {
        "image": spec["image"],
        "env": env,
        "guest": spec["guest"],
        "init": {"exec": ["python", "-m", "worker_lib.runtime"]},
        "restart": {"policy": "no"},
        "auto_destroy": True,
        "stop_config": {"signal": "SIGTERM", "timeout": _STOP_GRACE},
        "metadata": {
            METADATA_SLOT: slot,
            METADATA_POOL: pool,
            METADATA_NAMESPACE: settings.namespace,
            METADATA_OWNER: owner(settings.namespace, settings.secret),
        },
    }


def rebuild(reason: str, who: str) -> MachineError | ConfigError | None:
    """Return the error that a `Launcher` noted in Redis, for who waits elsewhere.

    None if it was met with other credentials than ours: they may have been corrected.
    """
    told = json.loads(reason)
    if told["who"] not in {who, ANYBODY}:
        return None
    kind = getattr(errors, told["error"], MachineError)
    message = f"{told['message']}; the job is stored and waits"
    if told.get("is_last"):
        message = (
            f"{told['message']}; after {told['failed']:.0f} such machines in a row no "
            "other is created until the task is called again; the job is stored and "
            "waits"
        )
    if isinstance(kind, type) and issubclass(kind, MachinesApiError):
        return kind(message, status=told["status"], refusal="person")
    if kind is ConfigError:
        return ConfigError(message)
    return MachineError(message)


def _not_now(slot: str, launch: Launch) -> Step:
    if launch.verdict == "wait":
        return Step("launch_delayed", slot, reason=f"not before {launch.wait:.0f} s")
    return Step("launch_unneeded", slot)


def _first_look(settings: Settings) -> float:
    """Return the seconds after which a machine that has not claimed is looked at.

    One that cannot work has ended by then; one that is slow is given its time. Never
    later than a lease that begins at once could end.
    """
    boot = settings.boot_timeout
    return min(settings.lease_ttl, max(min(boot, 5.0), boot / 6))


def _refusal(error: MachineError | ConfigError) -> str:
    if isinstance(error, MachinesApiError):
        # Which size to take instead of one that Fly does not sell, a person must say.
        return "person" if error.refusal == "next_size" else error.refusal
    return "next_region" if isinstance(error, NoCapacity) else "person"


def _fingerprint(settings: Settings) -> str:
    """Tell credentials apart without giving them away."""
    # A local call that waits for its caller's environment holds up nobody else.
    parts = (
        *(settings.fly_api_token, settings.fly_app, settings.api_hostname),
        settings.local_env,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _start_thread(target: Callable[[], None], name: str) -> None:
    threading.Thread(target=target, name=f"worker_lib-{name}", daemon=True).start()


def _backoff(attempt: int) -> float:
    longest: float = min(8.0, 0.5 * 2**attempt)
    return random.uniform(longest / 2, longest)
