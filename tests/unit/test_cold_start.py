"""What an import costs: a machine's cold start is money and waiting."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = (
    *("redis", "requests", "urllib3", "cloudpickle", "flask", "boto3"),
    *("asyncio", "logging", "ssl", "inspect", "dataclasses", "subprocess"),
    *("http", "email", "importlib.metadata", "concurrent.futures", "threading"),
)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


def run_python(code: str, **environ: str) -> str:
    """Return what a fresh interpreter, isolated from this one, prints."""
    prepare = f"import sys; sys.path.insert(0, {ROOT!r})\n"
    run = subprocess.run(
        [sys.executable, "-I", "-X", "faulthandler", "-c", prepare + code],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environ},
    )
    assert (0, "") == (run.returncode, run.stderr)
    return run.stdout.strip()


@pytest.mark.parametrize(
    "entry", ["worker_lib", "worker_lib.runtime", "worker_lib.runtime.__main__"]
)
def test_entry_points_leave_heavy_modules_alone(entry: str) -> None:
    """Nothing that a machine does not need is loaded before its first claim."""
    code = f"""
before = set(sys.modules)
import {entry}
print(*({set(HEAVY)!r} & (set(sys.modules) - before)))
"""

    assert "" == run_python(code)


def test_a_supervisor_needs_no_more_than_what_every_interpreter_loads() -> None:
    """What it imports besides is its own, or written in C: that is memory, too."""
    code = """
before = set(sys.modules)
import worker_lib.runtime.__main__, worker_lib.runtime.supervisor
import worker_lib.runtime.reports, worker_lib.runtime.stop, worker_lib.store.machine
names = {name for name in set(sys.modules) - before if "worker_lib" not in name}
print(*(one for one in names if hasattr(sys.modules[one], "__cached__")
        and sys.modules[one].__spec__.cached and one != "__future__"))
"""

    assert "" == run_python(code)


def test_a_child_that_runs_named_tasks_leaves_clients_alone() -> None:
    """A call by name needs neither an HTTP library nor one for Redis, nor OpenSSL."""
    code = """
import worker_lib.runtime.__main__, worker_lib.runtime.child
from worker_lib.calls import codec, pickling
body = pickling.dump_value(1)
codec.Codec("secret", "main", max_bytes=100).seal(body, kind=codec.CALL, job_id="j")
print(*({"redis", "requests", "urllib3", "cloudpickle", "flask", "asyncio", "ssl",
         "_hashlib", "hmac", "re", "enum", "signal", "socket", "pickle", "typing",
         "contextlib", "warnings", "runpy"} & set(sys.modules)))
"""

    assert "" == run_python(code)


def test_marking_a_task_leaves_clients_alone() -> None:
    """A module of tasks is loaded on every machine."""
    code = """
from worker_lib import Retry, current_job, fly_task

@fly_task(retry=Retry(max_attempts=2))
def task():
    current_job().progress(1)

task()
print(*({"redis", "requests", "urllib3", "cloudpickle", "flask", "asyncio",
         "ssl"} & set(sys.modules)))
"""

    assert "" == run_python(code)


def test_the_calling_side_leaves_alone_what_a_first_call_does_not_need() -> None:
    """A script, or a web worker's start, pays for it with each new process."""
    code = """
import worker_lib.client.client
print(*({"redis", "requests", "urllib3", "cloudpickle", "flask", "asyncio", "ssl",
         "subprocess", "concurrent.futures"} & set(sys.modules)))
"""

    assert "" == run_python(code)


def test_importing_starts_no_thread_and_reads_no_environment() -> None:
    """Importing has no side effects: what is set later still counts."""
    code = """
import os, threading
class Watched(dict):
    def _tell(self, key):
        if str(key).startswith(("REDIS_", "FLY_", "WORKER_")): print("read", key)
    def __getitem__(self, key): self._tell(key); return super().__getitem__(key)
    def get(self, key, default=None): self._tell(key); return super().get(key, default)
    def __contains__(self, key): self._tell(key); return super().__contains__(key)
os.environ = Watched(os.environ)
import worker_lib
for name in worker_lib.__all__: getattr(worker_lib, name)
import worker_lib.client.client, worker_lib.runtime.__main__, worker_lib.machines.api
print(threading.active_count())
"""

    assert "1" == run_python(code, REDIS_URL="x", FLY_API_TOKEN="y")


def test_the_scripts_are_read_when_they_are_first_sent() -> None:
    """A machine reads the few verbs that it uses."""
    code = """
import worker_lib.runtime.__main__
from worker_lib.store import scripts
print(len(scripts._loaded))
"""

    assert "0" == run_python(code)
