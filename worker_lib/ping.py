"""A task that says where it ran: for smoke tests, and for `worker-lib doctor --probe`.

worker-lib run worker_lib.ping:ping
"""

from __future__ import annotations

import os
import platform

from worker_lib import __version__
from worker_lib.task import fly_task

__all__ = ["ping", "versions"]


@fly_task(timeout="30s", result_ttl="1h")
def ping() -> dict[str, str]:
    """Return the machine's id, region and image, and the versions it has.

    Outside a machine, the first three are "".
    """
    return {
        "machine_id": os.environ.get("FLY_MACHINE_ID", ""),
        "region": os.environ.get("FLY_REGION", ""),
        "image": os.environ.get("FLY_IMAGE_REF", ""),
        **versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions that both sides have to agree on."""
    import cloudpickle  # noqa: PLC0415 - a machine loads it only for this

    return {
        "python": platform.python_version(),
        "cloudpickle": cloudpickle.__version__,
        "worker_lib": __version__,
    }
