"""Where a machine may be placed, as a request's `region` says.

Source: "Machine placement" (a list by priority, and the aliases).
"""

from __future__ import annotations

from worker_lib.emulator.messages import ApiError
from worker_lib.fly.regions import ALIASES, REGIONS, expand

__all__ = ["candidates"]


def candidates(wanted: str) -> list[str]:
    """The regions that a priority list allows, the most wanted first.

    Args:
        wanted: Comma list of region codes and aliases, such as `lhr,eu,any`.

    Raises:
        ApiError: 400, a word is neither; names the valid ones.
    """
    found: dict[str, None] = {}
    for word in filter(None, (part.strip() for part in wanted.split(","))):
        found.update(dict.fromkeys(_expand(word)))
    if not found:
        raise ApiError(400, f'invalid_argument: region "{wanted}" names no region')
    return list(found)


def _expand(word: str) -> list[str]:
    codes = expand(word)
    if not codes:
        valid = ", ".join([*REGIONS, *sorted(ALIASES)])
        raise ApiError(
            400, f'invalid_argument: unknown region "{word}"; valid are {valid}'
        )
    return codes
