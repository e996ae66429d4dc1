"""All apps and machines of one emulator, and the lock that guards them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.messages import ApiError, not_found
from worker_lib.emulator.state import App, Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from worker_lib.emulator.options import EmulatorOptions


class Fleet:
    """Every app and machine of one emulator.

    Methods raise `ApiError`: 404 for an app or machine that does not exist, 409 for a
    machine's name and 422 for an app's name that is taken.

    Attributes:
        lock: Must be held for every other use of the fleet and its machines.
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
        """Add a new app."""
        if name in self._apps:
            raise ApiError(
                422, "Validation failed: Name has already been taken", code="name_taken"
            )
        app = App(name=name, org=org or self._options.org, network=network)
        self._apps[name] = app
        return app

    def app(self, name: str) -> App:
        """The app of this name."""
        if name not in self._apps:
            raise not_found(f'app "{name}" not found')
        return self._apps[name]

    def apps(self) -> list[App]:
        """Every app."""
        return list(self._apps.values())

    def remove_app(self, name: str) -> None:
        """Remove an app; the caller destroys its machines."""
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
        """Add a new machine in state `created`; without a name it gets one."""
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
        """Reserve a machine's name for it; nothing happens if it has it already.

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
        """Release a machine's name, unless another machine has it already."""
        if self._names.get((machine.app, machine.name)) == machine.id:
            del self._names[machine.app, machine.name]

    def machine(self, app: str, machine_id: str, *, destroyed: bool = True) -> Machine:
        """A machine of an app.

        Args:
            app: Its name.
            machine_id: The machine.
            destroyed: Also return a destroyed machine that is still shown.
        """
        self.app(app)
        machine = self._machines.get(machine_id)
        if machine is None or machine.app != app or self._is_gone(machine):
            raise not_found(f"machine not found: {machine_id}")
        if machine.state == "destroyed" and not destroyed:
            raise not_found(f"machine not found: {machine_id}")
        return machine

    def machines(self, app: str | None = None) -> Iterator[Machine]:
        """The machines that are still shown, oldest first, of one app or of all."""
        for machine in list(self._machines.values()):
            if app in (None, machine.app) and not self._is_gone(machine):
                yield machine

    def mark_destroyed(self, machine: Machine, shown_for: float) -> None:
        """Show a destroyed machine for `shown_for` seconds more."""
        machine.gone_at = self._clock() + shown_for
        self._destroyed.append(machine)
        if self._options.name_reuse:
            self.free_name(machine)

    def close(self) -> None:
        """Cancel every scheduled boot, and wake everybody who waits."""
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
