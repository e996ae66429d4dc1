"""What a Redis server must be, and must allow: one wording for all who tell of it.

The calling side says it at first use, machines when they are refused, and the doctor
when asked. It imports almost nothing, since machines load it.
"""

from __future__ import annotations

import re

__all__ = ["EVICTION_REMEDY", "eviction_risk", "missing_right", "rights_wanted"]

EVICTION_REMEDY = (
    "CONFIG SET maxmemory-policy noeviction, and in its configuration; at Fly: "
    "fly redis update NAME, and disable eviction"
)
# As Redis 6.2, 7, 8 and Valkey put it, to a client or inside a script.
_COMMAND = re.compile(r"run the '([^']+)' command|can't run this command")
_KEY = re.compile(
    r"access (?:a|the '.*'|one of the|at least one of the) keys?\b", re.DOTALL
)
_CHANNEL = re.compile(
    r"(?:access|publish to) (?:a|the|one of the)\b.*\bchannel", re.DOTALL
)


def eviction_risk(policy: str) -> str:
    """Return what a full server with this `maxmemory-policy` does to jobs.

    "" for `noeviction`, the only policy under which nothing is lost.
    """
    if policy == "noeviction":
        return ""
    return (
        f"maxmemory-policy is {policy}: a full server deletes jobs that wait or run, "
        "and nobody is told"
    )


def missing_right(refusal: str, prefix: str) -> tuple[str, str] | None:
    """Return which right a user of Redis lacks, and the ACL rule that gives it.

    Args:
        refusal: The error that Redis answered.
        prefix: What our keys and channels start with (`keys.key_prefix`).

    Returns:
        Such as `("channels {worker_lib}*", "&{worker_lib}*")`; None if the refusal is
        about something else. A rule "" means that Redis did not name the command.
    """
    command = _COMMAND.search(refusal)
    if command:
        name = command[1]
        return (f"the command {name}", f"+{name}") if name else ("a command", "")
    if _CHANNEL.search(refusal):
        return f"channels {prefix}*", f"&{prefix}*"
    if _KEY.search(refusal):
        return f"keys {prefix}*", f"~{prefix}*"
    return None


def rights_wanted(found: dict[str, str]) -> str:
    """Return the sentence for a user who lacks rights.

    Args:
        found: For each ACL rule that gives a right, what it is a right to.
    """
    return (
        f"the user of REDIS_URL may not use {', '.join(found.values())}, which jobs "
        f"need; nothing was done: ACL SETUSER <user> {' '.join(found)}"
    )
