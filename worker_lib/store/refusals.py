"""What a refusal of Redis means: both sides read them by the same list.

A refusal that passes by itself, as in a failover or while Redis loads its data, is no
different from Redis being away; one that only a person can end is told at once.
"""

from __future__ import annotations

from worker_lib.errors import StoreError, StoreUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal, TypeAlias

    # `passing`: away for now; `full`: the same, for want of memory; `login`, `right`:
    # a person must act; `command`: Redis does not want this command at all.
    Meaning: TypeAlias = Literal["passing", "full", "login", "right", "command"]

__all__ = ["explain", "meaning"]

_MAX_TEXT = 200

_MEANINGS: dict[str, Meaning] = {
    **dict.fromkeys(
        (
            *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF"),
            *("NOREPLICAS", "READONLY", "TRYAGAIN", "UNBLOCKED"),
        ),
        "passing",
    ),
    "OOM": "full",
    "NOAUTH": "login",
    "WRONGPASS": "login",
    "NOPERM": "right",
}
_SENTENCES: tuple[tuple[str, Meaning], ...] = (
    ("max number of clients", "passing"),
    ("command not allowed when used memory", "full"),
    ("unauthenticated", "login"),
    ("invalid password", "login"),
    ("no password is set", "login"),
    ("without any password configured", "login"),
    ("ACL failure in script", "right"),
    ("The user executing the script", "right"),
)


def meaning(refusal: str) -> Meaning:
    """Return what an error reply of Redis means for who gets it.

    Args:
        refusal: Its whole text. In a script, Redis 6 puts the code behind `: -`, and
            later versions put it first as everywhere.
    """
    for code in _codes(refusal):
        if code in _MEANINGS:
            return _MEANINGS[code]
    for sentence, found in _SENTENCES:
        if sentence in refusal:
            return found
    return "command"


def explain(refusal: str, who: str, prefix: str) -> StoreError:
    """Return the error to raise, with what helps.

    Args:
        refusal: As `meaning` takes it.
        who: Whom to name: "Redis", or "Redis at" an address.
        prefix: What our keys and channels start with.
    """
    found, text = meaning(refusal), refusal[:_MAX_TEXT]
    if found == "passing":
        return StoreUnavailable(f"{who} refused for now: {text}")
    if found == "full":
        return StoreUnavailable(
            f"{who} is full (maxmemory) and refused to store: give it more memory or "
            "shorten result_ttl; what was stored before is kept",
            reason="full",
        )
    if found == "login":
        return StoreUnavailable(
            f"{who} refused our password: correct the one in REDIS_URL",
            reason="refused",
        )
    if found == "right":
        return StoreUnavailable(_wanted(refusal, who, prefix), reason="refused")
    return StoreError(f"{who} refused a command: {text}")


def _wanted(refusal: str, who: str, prefix: str) -> str:
    from worker_lib.store.requirements import (  # noqa: PLC0415 - needs `re`
        missing_right,
        rights_wanted,
    )

    what, rule = missing_right(refusal, prefix) or ("", "")
    if rule:
        return rights_wanted({rule: what})
    return f"{who} refused a command for want of a right: {refusal[:_MAX_TEXT]}"


def _codes(refusal: str) -> Iterator[str]:
    yield refusal.partition(" ")[0]
    if "Error running script" in refusal:
        for part in refusal.split(": -")[1:]:
            yield part.partition(" ")[0]
