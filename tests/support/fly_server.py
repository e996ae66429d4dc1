"""An emulator's app, and a launcher that asks it for machines that only sleep."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from worker_lib.launcher import Launcher
from worker_lib.machines.api import MachinesApi

if TYPE_CHECKING:
    from store_rig import StoreRig

    from worker_lib.emulator import Emulator, FaultRule

TOKEN = "FlyV1 fm2_CANARY"


class Fly:
    """A launcher, its settings and its app."""

    def __init__(self, emulator: Emulator, rig: StoreRig) -> None:
        self.emulator = emulator
        self.rig = rig
        self.settings = replace(
            rig.settings,
            fly_api_token=TOKEN,
            fly_app="tests",
            api_hostname=emulator.url,
            boot_timeout=10.0,
            lease_ttl=30.0,
        )
        self.init: dict[str, Any] = {"exec": ["sleep", "60"]}
        self.metadata: dict[str, str] = {}
        self.pauses: list[float] = []
        self.api = MachinesApi(emulator.url, TOKEN, "tests", sleep=self.pauses.append)
        self.launcher = self.make_launcher()

    def make_launcher(self) -> Launcher:
        """Return a launcher with this app's credentials."""
        store, codec = self.rig.store, self.rig.codec
        return Launcher(store, lambda: self.api, codec, self.settings)

    def launch(self, **changes: Any) -> tuple[str, str]:
        """Store a call and launch its slot; return job and slot."""
        job, stored = self.rig.enqueue(**changes)
        self.launcher.launch(stored.slot)
        self.settle()
        return job, stored.slot

    def settle(self) -> None:
        """Wait until the launcher has done what it was told."""
        assert self.launcher.flush(10)

    def fail(self, *rules: FaultRule) -> None:
        """Have the app's requests go wrong."""
        self.emulator.script_faults(rules)

    def machines(self) -> list[dict[str, Any]]:
        """Return the machines that are there."""
        gone = {"destroying", "destroyed"}
        return [one for one in self.emulator.machines() if one["state"] not in gone]

    def names(self) -> list[str]:
        """Return their names."""
        return [one["name"] for one in self.machines()]
