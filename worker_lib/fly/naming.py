"""How our machines are named and marked at Fly."""

from __future__ import annotations

__all__ = [
    "MACHINE_PREFIX",
    "METADATA_NAMESPACE",
    "METADATA_OWNER",
    "METADATA_POOL",
    "METADATA_SLOT",
    "machine_name",
    "owner",
    "owners",
]

MACHINE_PREFIX = "wl-"
METADATA_SLOT = "worker_lib_slot"
METADATA_POOL = "worker_lib_pool"
METADATA_NAMESPACE = "worker_lib_namespace"
METADATA_OWNER = "worker_lib_owner"


def machine_name(slot_id: str) -> str:
    """Return the one name that the machine of this slot may have."""
    return MACHINE_PREFIX + slot_id


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
