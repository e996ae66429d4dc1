"""Names of what is kept in Redis, where Python uses them.

All keys, those of the scripts too, are described at the head of `lua/_common.lua`.
Every key starts with the namespace in braces, so that Redis Cluster keeps one
namespace in one hash slot and a script may touch several of its keys.
"""

from __future__ import annotations

import os

__all__ = [
    "batch_of",
    "calls_key",
    "control_key",
    "doctor_marks",
    "index_of",
    "job_channel",
    "key_prefix",
    "member_id",
    "new_batch_id",
    "new_job_id",
    "new_slot_id",
    "outcome_key",
    "printed_channel",
    "trial_key",
    "wake_key",
]

_BATCH_DIGITS, _MEMBER_DIGITS = 16, 24


def new_job_id() -> str:
    """Return a fresh job id: 20 hexadecimal digits, 80 random bits."""
    return os.urandom(10).hex()


def new_batch_id() -> str:
    """Return a fresh batch id: 16 hexadecimal digits, 64 random bits."""
    return os.urandom(8).hex()


def member_id(batch_id: str, index: int) -> str:
    """Return the id of a job of a batch: that of the batch, and 8 digits more."""
    return f"{batch_id}{index:08x}"


def batch_of(job_id: str) -> str:
    """Return the id of a job's batch; "" if it was stored alone."""
    return job_id[:_BATCH_DIGITS] if len(job_id) == _MEMBER_DIGITS else ""


def index_of(job_id: str) -> int:
    """Return the index in its batch of a job that has one."""
    return int(job_id[_BATCH_DIGITS:], 16)


def new_slot_id() -> str:
    """Return a fresh slot id: 12 hexadecimal digits."""
    return os.urandom(6).hex()


def key_prefix(namespace: str) -> str:
    """Return what every Redis key of this namespace starts with."""
    return "{" + namespace + "}"


def outcome_key(namespace: str, job_id: str) -> str:
    """Return the key of the list that a job's waiters block on."""
    return f"{key_prefix(namespace)}:out:{job_id}"


def calls_key(namespace: str) -> str:
    """Return the key of the list on which launchers are called."""
    return f"{key_prefix(namespace)}:calls"


def wake_key(namespace: str, waiter: str) -> str:
    """Return the key of the list that one who waits for a batch blocks on."""
    return f"{key_prefix(namespace)}:wake:{waiter}"


def control_key(namespace: str, slot: str) -> str:
    """Return the key of the list that the machine of a slot blocks on."""
    return f"{key_prefix(namespace)}:ctl:{slot}"


def job_channel(namespace: str, job_id: str) -> str:
    """Return the pub/sub channel on which the scripts announce a job's changes."""
    return f"{key_prefix(namespace)}:changed:{job_id}"


def printed_channel(namespace: str, job_id: str) -> str:
    """Return the channel on which the scripts publish what a followed job prints."""
    return f"{key_prefix(namespace)}:printed:{job_id}"


def doctor_marks(namespace: str) -> str:
    """Return the key in which each side's `worker-lib doctor` leaves a mark."""
    return f"{key_prefix(namespace)}:doctor"


def trial_key(namespace: str) -> str:
    """Return the key and channel on which `worker-lib doctor` tries commands."""
    return f"{key_prefix(namespace)}:trial"
