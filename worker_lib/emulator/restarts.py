"""What follows the exit of a machine's main process.

Source: "Machine restart policy"; flyctl, machine/run.go (`auto_destroy` works with
policy `no` only). Fly does not publish the pause before a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.emulator.runtimes import Exit
    from worker_lib.emulator.state import Intent

RETRY_WINDOW = 300.0
_MAX_RETRIES = 10

Next = Literal["stop", "destroy", "boot", "retry"]
"""`boot`: at once, as a client asked; `retry`: by policy, after a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """The restart part of a machine's config, with Fly's defaults."""

    policy: str
    max_retries: int
    auto_destroy: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RestartPolicy:
        """Read it from a config."""
        restart = config.get("restart") or {}
        return cls(
            policy=restart.get("policy") or "on-failure",
            max_retries=restart.get("max_retries") or _MAX_RETRIES,
            auto_destroy=bool(config.get("auto_destroy")),
        )

    def after(self, ended: Exit, *, intent: Intent, recent: int) -> Next:
        """What follows an exit.

        Args:
            ended: How the run ended.
            intent: What a client asked for; `none`: nothing.
            recent: Automatic restarts within the last `RETRY_WINDOW` seconds.
        """
        if intent == "destroy":
            return "destroy"
        if intent == "restart":
            return "boot"
        if intent == "none" and self._retries(ended, recent):
            return "retry"
        return "destroy" if self.auto_destroy and self.policy == "no" else "stop"

    def _retries(self, ended: Exit, recent: int) -> bool:
        if self.policy == "always":
            return True
        failed = ended.code != 0
        return self.policy == "on-failure" and failed and recent < self.max_retries
