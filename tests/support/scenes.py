"""A healthy setup that the doctor examines, for one thing of it to be broken."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.doctor import examine
from worker_lib.machines.api import MachinesApi

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import OwnServer

    from worker_lib.doctor import Finding
    from worker_lib.emulator import Emulator

TOKEN = f"fm2_canary{secrets.token_hex(12)}"
PASSWORD = f"canary{secrets.token_hex(8)}"
IMAGE = "registry.fly.io/web:v1"


@dataclass(kw_only=True)
class Scene:
    """A healthy setup, for one thing of it to be broken."""

    server: OwnServer
    emulator: Emulator
    make_emulator: Callable[..., Emulator]
    environ: dict[str, str] = field(default_factory=dict)
    skew: float = 0.0

    @property
    def secret(self) -> str:
        return self.environ["WORKER_LIB_SECRET"]

    @property
    def namespace(self) -> str:
        return self.environ["WORKER_LIB_NAMESPACE"]

    def set(self, **changes: str) -> None:
        """Change variables; "" takes one away."""
        self.environ |= changes

    def use(self, **options: Any) -> None:
        """Speak to another emulator."""
        self.emulator = self.make_emulator(**options)
        self.set(FLY_API_HOSTNAME=self.emulator.url)
        for app in options.get("apps", ("tests",)):
            self.emulator.set_secrets(app, self.shared())

    def shared(self) -> dict[str, str]:
        """Return the secrets of a tasks app."""
        return {"REDIS_URL": self.server.url, "WORKER_LIB_SECRET": self.secret}

    def user(self, *rules: str) -> None:
        """Log in as a user of Redis who may do only this."""
        self.server.ask("ACL", "SETUSER", "narrow", "on", f">{PASSWORD}", *rules)
        self.set(REDIS_URL=f"unix://narrow:{PASSWORD}@{self.server.path}")

    def api(self) -> MachinesApi:
        return MachinesApi(self.emulator.url, TOKEN, "tests")

    def create_machine(self, *, image: str = IMAGE, **metadata: str) -> None:
        """Have a machine that does nothing for a minute."""
        config = {
            "image": image,
            "init": {"exec": ["sleep", "60"]},
            "auto_destroy": True,
            "restart": {"policy": "no"},
            "metadata": metadata,
        }
        self.api().create_machine(name="wl-some", region=None, config=config)

    def examine(self, *, probing: bool = False) -> list[Finding]:
        def clock() -> float:
            return time.time() + self.skew

        return list(examine(self.environ, probing=probing, clock=clock))


def found_by_name(findings: list[Finding], name: str) -> Finding:
    """Return the one line of this name that is not well, or else any."""
    named = [one for one in findings if one.name == name]
    assert named, [one.name for one in findings]
    return next((one for one in named if one.verdict != "ok"), named[0])
