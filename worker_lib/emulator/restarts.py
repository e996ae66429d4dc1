"""What follows the exit of a machine's main process.

Source: "Machine restart policy"; flyctl, machine/run.go (`auto_destroy` works with
policy `no` only). Fly does not publish the pause before a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.emulator.runtimes import Exit
    from worker_lib.emulator.state import Intent

RETRY_WINDOW = 300.0
_MAX_RETRIES = 10

Next = Literal["stop", "destroy", "boot", "retry"]
"""`boot`: at once, as a client asked; `retry`: by policy, after a pause."""


def after_exit(
    config: Mapping[str, Any], ended: Exit, *, intent: Intent, recent: int
) -> Next:
    """What follows an exit.

    Args:
        config: The machine's; policy `on-failure` with ten retries is the default.
        ended: How the run ended.
        intent: What a client asked for; `none`: nothing.
        recent: Automatic restarts within the last `RETRY_WINDOW` seconds.
    """
    if intent == "destroy":
        return "destroy"
    if intent == "restart":
        return "boot"
    restart = config.get("restart") or {}
    policy = restart.get("policy") or "on-failure"
    most = restart.get("max_retries") or _MAX_RETRIES
    is_failure = policy == "on-failure" and ended.code != 0 and recent < most
    if intent == "none" and (policy == "always" or is_failure):
        return "retry"
    return "destroy" if config.get("auto_destroy") and policy == "no" else "stop"
