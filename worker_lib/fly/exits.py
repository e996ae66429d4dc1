"""How a machine that cannot work says why: exit codes, and its last words.

Such a machine may have no way to Redis, so it tells by what Fly itself keeps of it:
the exit code of its exit event, and a line in its own metadata, written through the
machine's socket without a token. The codes are those of `sysexits.h` where one fits,
so that they do not clash with what shells and kernels use.
"""

from __future__ import annotations

__all__ = [
    "BAD_SETTINGS",
    "METADATA_LAST_WORDS",
    "REDIS_REFUSED",
    "REDIS_UNREACHABLE",
    "meaning",
]

METADATA_LAST_WORDS = "worker_lib_last_words"

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
    """Return what an exit code of a machine tells, with the remedy; "" if nothing."""
    return _MEANINGS.get(exit_code, "")
