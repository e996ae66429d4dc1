"""How a machine that cannot work reports why: its exit code, and an exit message.

Such a machine may not reach Redis, so it uses what Fly keeps: the exit code of its exit
event, and a line in its own metadata, written through the machine socket without a
token. The codes are those of `sysexits.h` where one fits, so that they differ from
those of shells and signals.
"""

from __future__ import annotations

__all__ = [
    "BAD_SETTINGS",
    "METADATA_EXIT_MESSAGE",
    "REDIS_REFUSED",
    "REDIS_UNREACHABLE",
    "meaning",
]

METADATA_EXIT_MESSAGE = "worker_lib_exit_message"

REDIS_UNREACHABLE = 69
REDIS_REFUSED = 77
BAD_SETTINGS = 78

_MEANINGS = {
    REDIS_UNREACHABLE: "the machine could not reach Redis: check that REDIS_URL of "
    "the tasks app leads to a server that its machines can reach",
    REDIS_REFUSED: "Redis refused the machine's login or commands: check user, "
    "password and rights in REDIS_URL of the tasks app",
    BAD_SETTINGS: "a setting of the machine is missing or wrong: worker-lib doctor "
    "names it",
    126: "the image has a `python` that cannot be executed",
    127: "the image has no `python` on its PATH",
}


def meaning(exit_code: int) -> str:
    """Return the meaning of a machine's exit code with the remedy; "" if unknown."""
    return _MEANINGS.get(exit_code, "")
