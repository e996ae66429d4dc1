"""The machines: those that are there or on their way, and those that have ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.client.client import default_client
from worker_lib.inspection.prices import price

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.store.replies import SlotState as State
    from worker_lib.store.views import SlotState

__all__ = ["MachineExit", "MachineSeen", "exits", "machines"]


class MachineSeen(NamedTuple):
    """A machine that is up, parked, or on its way; times are by Redis's clock.

    Attributes:
        slot: The right to it; its name on Fly follows from it.
        machine_id: Fly's; "" until it is made.
        state: `owed` (nobody has asked for it yet), `launching`, `starting` (it was
            parked), `idle`, `woken`, `busy` or `parked`.
        size: As `shared-cpu-1x@256mb`; "" if that is not known.
        up_at: When it took its first job since it was started; None if it has not.
        boot_s: Seconds from its launch to that.
        look_at: If it is not heard of by then, it is looked for; None: nobody does.
        age: Seconds since it was asked for.
        job_ids: Those that it has; it runs the first.
        cost_usd: What it cost since it came up, in US dollars.
    """

    slot: str
    machine_id: str
    state: State
    pool: str
    region: str
    size: str
    launched_at: float | None
    up_at: float | None
    boot_s: float | None
    look_at: float | None
    parked_until: float | None
    age: float
    job_ids: tuple[str, ...]
    cost_usd: float


class MachineExit(NamedTuple):
    """A machine that has ended, or was parked.

    Attributes:
        reason: `empty` (there was no more work), `lost`, `stopped` or `parked`.
        seconds: For which it was up, with the part of its boot that is billed.
    """

    slot: str
    machine_id: str
    pool: str
    region: str
    size: str
    up_at: float
    ended_at: float
    reason: str
    seconds: float
    cost_usd: float


def machines() -> list[MachineSeen]:
    """Return the machines that are there or on their way, the oldest first.

    One command to Redis for 50 pools.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    at, slots = default_client().store.views.slots()
    return sorted((_seen(slot, at) for slot in slots), key=lambda one: -one.age)


def exits(limit: int = 50) -> list[MachineExit]:
    """Return the machines that ended last, newest first; 200 are kept.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    return [_exit(json.loads(one)) for one in default_client().store.views.exits(limit)]


def _seen(slot: SlotState, at: float) -> MachineSeen:
    about = slot.about
    up_at, region = _number(about["up_at"]), about["region"]
    since = about["launched_at"] or about["owed_at"]
    up = max(0.0, at - up_at) if up_at else 0.0
    return MachineSeen(
        slot=slot.slot,
        machine_id=about["machine"] or about["made"],
        state=about["state"],  # type: ignore[arg-type]  # the scripts write no other
        pool=slot.pool,
        region=region,
        size=slot.size,
        launched_at=_number(about["launched_at"]),
        up_at=up_at,
        boot_s=_number(about["boot"]),
        look_at=slot.look_at,
        parked_until=_number(about["parked_until"]),
        age=max(0.0, at - float(since)) if since else 0.0,
        job_ids=tuple(
            one.partition(":")[0] for one in about["holds"].split(",") if one
        ),
        cost_usd=up * price(slot.size, region),
    )


def _exit(told: Mapping[str, str]) -> MachineExit:
    seconds, size, region = float(told["seconds"]), told["size"], told["region"]
    return MachineExit(
        slot=told["slot"],
        machine_id=told["machine"],
        pool=told["pool"],
        region=region,
        size=size,
        up_at=float(told["up_at"]),
        ended_at=float(told["ended_at"]),
        reason=told["reason"],
        seconds=seconds,
        cost_usd=seconds * price(size, region),
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
