"""What a machine reads from its environment, as every other program reads it."""

from __future__ import annotations

from worker_lib import checks
from worker_lib.errors import ConfigError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NamedTuple

    from worker_lib.checks import Check
else:
    from worker_lib.records import NamedTuple

__all__ = ["Configuration", "read"]

_NEEDED = {
    "REDIS_URL": "make it a secret of the tasks app: fly secrets set REDIS_URL=...",
    "WORKER_LIB_SECRET": "make it a secret of the tasks app, the same as in the web "
    "app: fly secrets set WORKER_LIB_SECRET=...",
    "WORKER_LIB_SLOT": "the launcher sets it; this program is not started by hand",
}
_VARIABLES: dict[str, tuple[str, Any]] = {
    "redis_url": ("REDIS_URL", ""),
    "secret": ("WORKER_LIB_SECRET", ""),
    "old_secret": ("WORKER_LIB_SECRET_OLD", ""),
    "namespace": ("WORKER_LIB_NAMESPACE", checks.NAMESPACE),
    "max_payload_bytes": ("WORKER_LIB_MAX_PAYLOAD", checks.MAX_PAYLOAD_BYTES),
    "max_output_bytes": ("WORKER_LIB_MAX_OUTPUT", checks.MAX_OUTPUT_BYTES),
    "lease_ttl": ("WORKER_LIB_LEASE_TTL", checks.LEASE_TTL),
    "max_lifetime": ("WORKER_LIB_MAX_LIFETIME", checks.MAX_LIFETIME),
    "slot": ("WORKER_LIB_SLOT", ""),
    "pool": ("WORKER_LIB_POOL", ""),
    "hooks": ("WORKER_LIB_HOOKS", ""),
    "machine_id": ("FLY_MACHINE_ID", ""),
    "region": ("FLY_REGION", ""),
    "parking": ("WORKER_LIB_PARKING", ""),
}


class Configuration(NamedTuple):
    """The settings of one machine; see `worker_lib.settings` for what they mean."""

    redis_url: str
    secret: str
    old_secret: str
    namespace: str
    max_payload_bytes: int
    max_output_bytes: int
    lease_ttl: float
    max_lifetime: float
    slot: str
    pool: str
    hooks: str
    machine_id: str
    region: str
    parking: str


def read(environ: Mapping[str, str]) -> Configuration:
    """Return what a machine needs to know.

    Raises:
        ConfigError: something is missing or wrong, all problems at once.
    """
    problems = [
        Problem(f"{name} is not set", remedy, name)
        for name, remedy in _NEEDED.items()
        if not environ.get(name)
    ]
    values: dict[str, Any] = {}
    for field, (variable, default) in _VARIABLES.items():
        raw = environ.get(variable)
        check: Check[Any] = checks.SETTINGS.get(field, checks.stripped)
        try:
            values[field] = check(raw, variable) if raw else default
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(*problems)
    return Configuration(**values)
