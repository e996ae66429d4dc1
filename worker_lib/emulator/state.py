"""Apps and machines, as the emulator keeps them.

All of it is read and changed only while `Fleet.lock` is held.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from worker_lib.emulator.events import Event, now_text
from worker_lib.emulator.faults.rule import Target
from worker_lib.emulator.identifiers import machine_id, ulid
from worker_lib.emulator.messages import failed_precondition
from worker_lib.fly.guest import Guest

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from worker_lib.emulator.runtimes import Instance
    from worker_lib.fly.states import MachineState

Intent = Literal["none", "stop", "restart", "destroy"]
"""What follows the exit of a run that was told to end; `none`: it was not."""

MAX_EVENTS = 200
_GUEST = ("cpu_kind", "cpus", "memory_mb")


@dataclass(slots=True, kw_only=True)
class App:
    """An app with its secrets."""

    name: str
    org: str
    network: str = ""
    id: str = field(default_factory=ulid)
    created_at: str = field(default_factory=now_text)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    secrets_changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    secrets_version: int = 0

    def secrets_for(
        self, *, skip: bool = False, least_version: int = 0
    ) -> dict[str, str]:
        """The secrets of a machine that is created or updated now.

        Args:
            skip: The machine gets none.
            least_version: The oldest version that will do.

        Raises:
            ApiError: 412, that version does not exist yet.

        Source: fly-go, machine_types.go (`SkipSecrets`, `MinSecretsVersion`); Fly does
        not publish the error.
        """
        if least_version > self.secrets_version:
            raise failed_precondition(
                f'secrets version {least_version} of app "{self.name}" does not exist, '
                f"the latest is {self.secrets_version}"
            )
        return {} if skip else dict(self.secrets)

    def set_secret(self, name: str, value: str | None) -> None:
        """Store a secret, or delete it if `value` is None."""
        if value is None:
            self.secrets.pop(name, None)
            self.secrets_changed.pop(name, None)
            return
        created = self.secrets_changed.get(name, (now_text(),))[0]
        self.secrets[name] = value
        self.secrets_changed[name] = (created, now_text())


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLease:
    """The exclusive right to change a machine; `expires_at` is seconds since 1970."""

    nonce: str
    expires_at: float
    owner: str
    description: str
    version: str


@dataclass(slots=True, kw_only=True)
class Run:
    """One boot of a machine, from its start to the end of its main process.

    Attributes:
        frozen: It is suspended; of all signals only SIGKILL reaches it.
        has_vanished: Its snapshot is lost: nobody notices its end.
        intent: What follows its exit.
        kill_timer: Sends SIGKILL at the end of the grace period.
        disruptions: Faults that will happen to it.
    """

    instance: Instance | None = None
    frozen: bool = False
    has_vanished: bool = False
    intent: Intent = "none"
    kill_timer: threading.Timer | None = None
    disruptions: list[threading.Timer] = field(default_factory=list)

    def cancel_timers(self) -> None:
        """Cancel the kill and the disruptions that are scheduled."""
        for timer in (*self.disruptions, self.kill_timer):
            if timer is not None:
                timer.cancel()


@dataclass(slots=True, kw_only=True)
class Machine:
    """A machine and its history; `events` and `versions` are oldest first.

    Attributes:
        changed: Notified at each change of state and each event.
        timer: A scheduled boot: after the delay in `created`, or before a restart.
        restarts: Monotonic times of the latest automatic restarts.
        gone_at: Monotonic time from which on it is not shown any more; None while it
            exists.
        settled_at: Monotonic time before which no start is accepted.
        host_status: `ok` or `unreachable`.
        hangs: A fault keeps it in its state until it is made to enter another.
        secrets: The app's when this version was made; stop and start do not change
            them.
    """

    app: str
    name: str
    region: str
    config: dict[str, Any]
    changed: threading.Condition
    id: str = field(default_factory=machine_id)
    instance_id: str = field(default_factory=ulid)
    state: MachineState = "created"
    cordoned: bool = False
    created_at: str = field(default_factory=now_text)
    updated_at: str = field(default_factory=now_text)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    versions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lease: MachineLease | None = None
    run: Run | None = None
    timer: threading.Timer | None = None
    restarts: deque[float] = field(default_factory=deque)
    gone_at: float | None = None
    settled_at: float = 0.0
    host_status: str = "ok"
    hangs: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.versions.append((self.instance_id, self.config))

    @property
    def guest(self) -> Guest:
        """The size of its present config."""
        return Guest(**{name: self.config["guest"][name] for name in _GUEST})

    @property
    def target(self) -> Target:
        """What fault rules match it by."""
        return Target(region=self.region, size=self.guest.name, name=self.name)

    def state_before(self, lag: float) -> str:
        """The state that it was in `lag` seconds ago; "" if it did not exist yet."""
        if not lag:
            return self.state
        moment = (time.time() - lag) * 1000
        seen = (
            event.status for event in reversed(self.events) if event.timestamp <= moment
        )
        return next(seen, "")

    def enter(self, state: MachineState) -> None:
        """Change the state, and wake whoever waits for it."""
        self.state = state
        self.hangs = False
        self.updated_at = now_text()
        self.changed.notify_all()

    def record(self, event: Event) -> None:
        """Add an event and enter the state that is its status."""
        self.events.append(event)
        self.enter(event.status)

    def cancel_timer(self) -> None:
        """Cancel a scheduled boot."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
