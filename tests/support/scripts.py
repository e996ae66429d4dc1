"""Programs that use the library in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_lib.client.client import Client

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).resolve().parent


def environment_of(client: Client) -> dict[str, str]:
    """Return the variables that make another process a client like this one."""
    settings = client.settings
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(SUPPORT), str(ROOT)]),
        "REDIS_URL": settings.redis_url,
        "FLY_API_TOKEN": settings.fly_api_token,
        "FLY_API_HOSTNAME": settings.api_hostname,
        "FLY_TASKS_APP": settings.fly_app,
        "WORKER_IMAGE": settings.image,
        "WORKER_LIB_SECRET": settings.secret,
        "WORKER_LIB_NAMESPACE": settings.namespace,
        "WORKER_LIB_LEASE_TTL": str(settings.lease_ttl),
        "WORKER_LIB_BOOT_TIMEOUT": str(settings.boot_timeout),
        "WORKER_LIB_LOCAL_PATH": settings.local_path,
    }


def start_script(code: str, client: Client, **variables: str) -> subprocess.Popen[str]:
    """Start a program beside this one; its output can be read while it runs."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        env=environment_of(client) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_script(code: str, client: Client, **variables: str) -> str:
    """Run a program to its end and return what it printed; fail if it failed."""
    with start_script(code, client, **variables) as process:
        out, err = process.communicate(timeout=45)
    assert process.returncode == 0, err
    return out
