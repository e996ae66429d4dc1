"""The register of apps and machines, and the one lock that guards it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.state import App, Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from worker_lib.emulator.options import EmulatorOptions


class Fleet:
    """Every app and machine of one emulator.

    Attributes:
        lock: Held for each reading or change of what is in here.
        is_closing: The emulator is being stopped: nothing boots any more.
    """

    def __init__(
        self, options: EmulatorOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lock = threading.RLock()
        self.is_closing = False
        self._options = options
        self._clock = clock
        self._apps: dict[str, App] = {}
        self._machines: dict[str, Machine] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._destroyed: deque[Machine] = deque()
        for name in options.apps:
            self.add_app(name)

    def add_app(self, name: str, *, org: str = "", network: str = "") -> App:
        """Register a new app.

        Raises:
            ApiError: 422, the name is taken.
        """
        if name in self._apps:
            raise ApiError(
                422, "Validation failed: Name has already been taken", code="name_taken"
            )
        app = App(name=name, org=org or self._options.org, network=network)
        self._apps[name] = app
        return app

    def app(self, name: str) -> App:
        """The app of this name.

        Raises:
            ApiError: 404, there is none.
        """
        if name not in self._apps:
            raise ApiError(404, f'not_found: app "{name}" not found')
        return self._apps[name]

    def apps(self) -> list[App]:
        """Every app."""
        return list(self._apps.values())

    def remove_app(self, name: str) -> None:
        """Forget an app; its machines are the caller's business."""
        del self._apps[name]

    def add_machine(
        self,
        *,
        app: str,
        name: str,
        region: str,
        config: dict[str, Any],
        secrets: Mapping[str, str],
    ) -> Machine:
        """Register a new machine, in state `created`.

        Raises:
            ApiError: 409, a machine of this app has the name.
        """
        self._forget_destroyed()
        machine = Machine(
            app=app,
            name=name,
            region=region,
            config=config,
            changed=threading.Condition(self.lock),
            secrets=secrets,
        )
        machine.name = name or f"machine-{machine.id}"
        self.hold_name(machine)
        self._machines[machine.id] = machine
        return machine

    def hold_name(self, machine: Machine) -> None:
        """Have a machine's name be its own; harmless if it is.

        Raises:
            ApiError: 409, another machine of its app has the name.

        Source of the text: fly-go, flaps tests (unique machine name violation).
        """
        holder = self._names.setdefault((machine.app, machine.name), machine.id)
        if holder != machine.id:
            raise ApiError(
                409,
                "already_exists: unique machine name violation, machine ID "
                f'{holder} already exists with name "{machine.name}"',
            )

    def free_name(self, machine: Machine) -> None:
        """Let others have a machine's name; one that has it already keeps it."""
        if self._names.get((machine.app, machine.name)) == machine.id:
            del self._names[machine.app, machine.name]

    def machine(self, app: str, machine_id: str) -> Machine:
        """A machine of an app; a destroyed one too while it is still shown.

        Raises:
            ApiError: 404, there is none.
        """
        self.app(app)
        machine = self._machines.get(machine_id)
        if machine is None or machine.app != app or self._is_gone(machine):
            raise ApiError(404, f"not_found: machine not found: {machine_id}")
        return machine

    def existing(self, app: str, machine_id: str) -> Machine:
        """Like `machine`, for changes: a destroyed one is not found.

        Raises:
            ApiError: 404, there is none.
        """
        machine = self.machine(app, machine_id)
        if machine.state == "destroyed":
            raise ApiError(404, f"not_found: machine not found: {machine_id}")
        return machine

    def machines(self, app: str | None = None) -> Iterator[Machine]:
        """The machines that are still shown, oldest first, of one app or of all."""
        for machine in list(self._machines.values()):
            if app in (None, machine.app) and not self._is_gone(machine):
                yield machine

    def mark_destroyed(self, machine: Machine, shown_for: float) -> None:
        """Show a destroyed machine for so many seconds more."""
        machine.gone_at = self._clock() + shown_for
        self._destroyed.append(machine)
        if self._options.name_reuse:
            self.free_name(machine)

    def close(self) -> None:
        """Call off every boot to come, and wake everybody who waits."""
        self.is_closing = True
        for machine in self._machines.values():
            machine.cancel_timer()
            if machine.run is not None:
                machine.run.cancel_timers()
            machine.changed.notify_all()

    def _is_gone(self, machine: Machine) -> bool:
        return machine.gone_at is not None and self._clock() >= machine.gone_at

    def _forget_destroyed(self) -> None:
        while self._destroyed and self._is_gone(self._destroyed[0]):
            del self._machines[self._destroyed.popleft().id]
