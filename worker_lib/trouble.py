"""Why a pool can have no machine: JSON in Redis, raised where somebody waits."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from worker_lib import errors
from worker_lib.errors import ConfigError, MachineError, MachinesApiError

if TYPE_CHECKING:
    from worker_lib.settings import Settings

__all__ = ["ANYBODY", "credentials_of", "describe", "rebuild"]

# Instead of credentials, where the trouble would be the same with any others.
ANYBODY = "*"


def describe(error: MachineError | ConfigError, who: str) -> str:
    """Return an error as JSON.

    Args:
        who: Fingerprint of the credentials that it was met with, or `ANYBODY`.
    """
    return json.dumps(
        {
            "error": type(error).__name__,
            "message": str(error),
            "status": getattr(error, "status", 0),
            "who": who,
        }
    )


def rebuild(reason: str, who: str) -> MachineError | ConfigError | None:
    """Return the error that some process described, for one that waits elsewhere.

    Args:
        reason: As Redis keeps it: with `is_last`, it is the last of `failed` machines
            in a row that took no job.
        who: Fingerprint of this process's credentials.

    Returns:
        None if the error was met with others: ours may be right.
    """
    told = json.loads(reason)
    if told["who"] not in {who, ANYBODY}:
        return None
    message = told["message"]
    if told.get("is_last"):
        message += (
            f"; after {told['failed']:.0f} such machines in a row no other is created "
            "until the task is called again"
        )
    message += "; the job is stored and waits"
    kind = getattr(errors, told["error"], MachineError)
    if isinstance(kind, type) and issubclass(kind, MachinesApiError):
        return kind(message, status=told["status"], refusal="person")
    return ConfigError(message) if kind is ConfigError else MachineError(message)


def credentials_of(settings: Settings) -> str:
    """Return a fingerprint that tells credentials apart and does not reveal them."""
    parts = (
        settings.fly_api_token,
        settings.fly_app,
        settings.api_hostname,
        # A local call that waits for its caller's environment holds up no other.
        settings.local_env,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
