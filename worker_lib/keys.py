"""Names of what is kept in Redis and at Fly, so that both sides agree on them.

Every key starts with the namespace in braces, so that Redis Cluster keeps one
namespace in one hash slot and a script may touch several of its keys.
"""

from __future__ import annotations

import os

__all__ = [
    "MACHINE_PREFIX",
    "METADATA_NAMESPACE",
    "METADATA_OWNER",
    "METADATA_POOL",
    "METADATA_SLOT",
    "job_channel",
    "key_prefix",
    "machine_name",
    "new_job_id",
    "new_slot_id",
    "owner",
    "owners",
]

MACHINE_PREFIX = "wl-"
METADATA_SLOT = "worker_lib_slot"
METADATA_POOL = "worker_lib_pool"
METADATA_NAMESPACE = "worker_lib_namespace"
METADATA_OWNER = "worker_lib_owner"


def new_job_id() -> str:
    """Return a fresh job id: 20 hexadecimal digits, 80 random bits."""
    return os.urandom(10).hex()


def new_slot_id() -> str:
    """Return a fresh slot id: 12 hexadecimal digits."""
    return os.urandom(6).hex()


def machine_name(slot_id: str) -> str:
    """Return the one name that the machine of this slot may have."""
    return MACHINE_PREFIX + slot_id


def key_prefix(namespace: str) -> str:
    """Return what every Redis key of this namespace starts with."""
    return "{" + namespace + "}"


def job_channel(namespace: str, job_id: str) -> str:
    """Return the pub/sub channel on which the scripts announce a job's changes."""
    return f"{key_prefix(namespace)}:changed:{job_id}"


def owners(namespace: str, *secrets: str) -> frozenset[str]:
    """Return the owners that stand for these secrets; empty ones are left out."""
    return frozenset(owner(namespace, secret) for secret in secrets if secret)


def owner(namespace: str, secret: str) -> str:
    """Return what marks machines as ours, where others use the same app and namespace.

    Two programs with Redis servers of their own know nothing of each other's machines,
    and must not take them for lost ones. Tells nothing of the secret.
    """
    import hmac  # noqa: PLC0415 - machines never ask

    return hmac.digest(secret.encode(), f"owner {namespace}".encode(), "sha256").hex()[
        :16
    ]
