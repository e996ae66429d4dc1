"""Names and metadata of the machines that worker_lib creates at Fly."""

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
    """Return the name of the machine of a slot."""
    return MACHINE_PREFIX + slot_id


def owners(namespace: str, *secrets: str) -> frozenset[str]:
    """Return the owner marks of several secrets; empty secrets are left out."""
    return frozenset(owner(namespace, secret) for secret in secrets if secret)


def owner(namespace: str, secret: str) -> str:
    """Return the mark of our machines in an app and namespace that others use too.

    Two programs with different Redis servers do not know each other's machines, and
    must not treat them as lost ones. The mark does not reveal the secret.
    """
    import hmac  # noqa: PLC0415 - only callers need it

    return hmac.digest(secret.encode(), f"owner {namespace}".encode(), "sha256").hex()[
        :16
    ]
