"""`python -m tests.bench.parked`: machines that are created, started and resumed.

The emulator takes as long as Fly for each (`worker_lib.fly.latencies`) and has Fly's
limits; machines are real processes. Each kind is measured with one call, and with so
many at once that each needs a machine of its own.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from worker_lib import fly_task
from worker_lib.client import client as clients
from worker_lib.client.client import Client
from worker_lib.emulator import Emulator, EmulatorOptions
from worker_lib.fly.latencies import FLY, Latencies
from worker_lib.settings import Settings
from worker_lib.store.keys import key_prefix

from .rig import ROOT, start_valkey

# Calls that last so long need a machine each.
_LONG = 60.0
# Too large to be suspended, so that it is stopped.
_LARGE: Any = {"machine": "shared-cpu-2x", "memory_mb": 4096}
_KINDS: dict[str, dict[str, Any]] = {
    "created": {},
    "stopped, started": {"park": 20, **_LARGE},
    "suspended, resumed": {"park": 20},
}


@fly_task(max_machines=20, park_for="1h")
def notes(folder: str, gate: str = "") -> None:
    """Note when this began; end when there is a gate."""
    name = f"{time.monotonic():.6f}-{secrets.token_hex(4)}"
    (Path(folder) / name).touch()
    while gate and not Path(gate).exists():
        time.sleep(0.02)


def main() -> int:
    """Measure, and print a line for each kind."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.parked")
    parser.add_argument(
        "--machines", type=int, default=20, help="at once (%(default)s)"
    )
    parser.add_argument("--runs", type=int, default=5, help="of one call (%(default)s)")
    parser.add_argument(
        "--latencies", type=Latencies.parse, default=FLY, help="as the emulator's"
    )
    told = parser.parse_args()
    print(f"{'':20}  one call, s (median)  {told.machines} at once, s  creates  starts")
    for name, options in _KINDS.items():
        one, many, asked = _measure(told, options)
        print(
            f"{name:20}  {one:20.2f}  {many:13.2f}  {asked.get('create', 0):7}"
            f"  {asked.get('start', 0):6}",
            flush=True,
        )
    return 0


def _measure(
    told: argparse.Namespace, options: dict[str, Any]
) -> tuple[float, float, dict[str, int]]:
    """Return seconds of one call, until all of many began, and requests of these."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        socket_path = stack.enter_context(start_valkey())
        emulator = _emulator(folder, socket_path, told.latencies)
        stack.callback(emulator.stop)
        client = _client(emulator, socket_path)
        stack.callback(client.close, 0.5)
        task = notes.options(**options)
        once = [_one(task, emulator, folder) for _ in range(told.runs + 1)]
        if options:
            _all_at_once(task, client, emulator, folder, told.machines)
        before = dict(emulator.requests()["actions"])
        many = _all_at_once(task, client, emulator, folder, told.machines)
        after = emulator.requests()["actions"]
        asked = {name: after[name] - before.get(name, 0) for name in after}
        return statistics.median(once[1:]), many, asked


def _emulator(folder: Path, socket_path: Path, latencies: Latencies) -> Emulator:
    options = EmulatorOptions(
        apps=("bench",),
        tokens=("any",),
        state_dir=folder / "machines",
        project_dir=ROOT,
        latencies=latencies,
    )
    emulator = Emulator(options).start()
    shared = {"REDIS_URL": f"unix://{socket_path}", "WORKER_LIB_SECRET": "s" * 32}
    emulator.set_secrets("bench", shared)
    return emulator


def _client(emulator: Emulator, socket_path: Path) -> Client:
    settings = Settings(
        redis_url=f"unix://{socket_path}",
        fly_api_token="any",
        fly_app="bench",
        image="local",
        api_hostname=emulator.url,
        secret="s" * 32,
        local_path=os.pathsep.join((str(ROOT), *sys.path)),
    )
    made = Client(settings)
    clients._default = made
    return made


def _one(task: Any, emulator: Emulator, folder: Path) -> float:
    began = time.monotonic()
    task.delay(str(folder)).result(timeout=120)
    took = time.monotonic() - began
    _wait_until_idle(emulator)
    return took


def _all_at_once(
    task: Any, client: Client, emulator: Emulator, folder: Path, count: int
) -> float:
    gate = folder / f"gate-{secrets.token_hex(4)}"
    seen = {path.name for path in folder.iterdir()}
    _expect_long_calls(client, task)
    began = time.monotonic()
    running = [task.delay(str(folder), str(gate)) for _ in range(count)]
    while len(new := _noted(folder) - seen) < count:
        time.sleep(0.01)
    gate.touch()
    for job in running:
        job.result(timeout=120)
    _wait_until_idle(emulator)
    return max(float(name.partition("-")[0]) for name in new) - began


def _noted(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name[0].isdigit()}


def _expect_long_calls(client: Client, task: Any) -> None:
    """Have the pool take calls for long ones, each of which is worth a machine."""
    import redis

    pool = client.plan_of(task).pool
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        key = f"{key_prefix(client.settings.namespace)}:pool:{pool}"
        connection.hset(key, "run_s", _LONG)


def _wait_until_idle(emulator: Emulator) -> None:
    """Wait until no machine runs any more, and those that stopped may be started."""
    still = {"stopped", "suspended", "destroyed"}
    while {one["state"] for one in emulator.machines()} - still:
        time.sleep(0.02)
    time.sleep(FLY.settle)


if __name__ == "__main__":
    sys.exit(main())
