"""Servers of our own to measure on: Valkey on a unix socket, the emulator beside it.

The emulator is a process of its own, as in the local stack, so that it does not share
an interpreter with the caller that is measured.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from worker_lib.errors import MachineNotFound
from worker_lib.local.valkey import start_server
from worker_lib.machines.api import MachinesApi

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROOT", "Rig", "start_valkey"]

ROOT = Path(__file__).resolve().parents[2]
_APP = "bench"
_TOKEN = "bench-token"
_GRACE = 5.0


class Rig:
    """Running servers.

    Attributes:
        socket_path: Of the Valkey server.
    """

    def __init__(self, socket_path: Path, emulator_url: str, secret: str) -> None:
        self.socket_path = str(socket_path)
        self._emulator_url = emulator_url
        self._secret = secret

    def variables(self, namespace: str) -> dict[str, str]:
        """Return the environment of a program that calls and launches."""
        return {
            "REDIS_URL": f"unix://{self.socket_path}",
            "WORKER_LIB_SECRET": self._secret,
            "WORKER_LIB_NAMESPACE": namespace,
            "WORKER_IMAGE": "local",
            "FLY_API_TOKEN": _TOKEN,
            "FLY_API_HOSTNAME": self._emulator_url,
            "FLY_TASKS_APP": _APP,
        }

    def destroy_machines(self) -> None:
        """End all machines that there are."""
        api = MachinesApi(self._emulator_url, _TOKEN, _APP)
        while machines := api.list_machines():
            for machine in machines:
                with contextlib.suppress(MachineNotFound):
                    api.destroy_machine(machine.id)
            time.sleep(0.01)
        api.close()

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[Rig]:
        """Start both servers; they and their data are gone afterwards."""
        with start_valkey() as socket_path, cls.on(socket_path) as rig:
            yield rig

    @classmethod
    @contextlib.contextmanager
    def on(cls, socket_path: Path) -> Iterator[Rig]:
        """Start an emulator whose machines reach Redis by this socket."""
        secret = secrets.token_hex(32)
        emulator = _start_emulator(socket_path, secret)
        try:
            yield cls(socket_path, _url(emulator), secret)
        finally:
            _end(emulator)
            if emulator.stdout:
                emulator.stdout.close()


@contextlib.contextmanager
def start_valkey() -> Iterator[Path]:
    """Start a server and return its socket; it and its data are gone afterwards."""
    # A unix socket's path must be short, whatever TMPDIR says.
    folder = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
    try:
        server = start_server(folder / "redis", folder / "data")
        with redis.Redis(unix_socket_path=str(folder / "redis")) as connection:
            # Nobody is to be slowed by a rewrite that another's data made due.
            connection.config_set("auto-aof-rewrite-percentage", "0")
        try:
            yield folder / "redis"
        finally:
            _end(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start_emulator(socket_path: Path, secret: str) -> subprocess.Popen[bytes]:
    folder = socket_path.parent
    file = folder / f"secrets-{socket_path.name}"
    file.write_text(f"REDIS_URL=unix://{socket_path}\nWORKER_LIB_SECRET={secret}\n")
    words = ["emulator", "--port", "0", "--app", _APP, "--no-rate-limits"]
    words += ["--token", _TOKEN, "--secrets-file", str(file)]
    words += ["--state-dir", str(folder / f"machines-{socket_path.name}")]
    return subprocess.Popen(
        [sys.executable, "-m", "worker_lib", *words, "--project-dir", str(folder)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )


def _url(emulator: subprocess.Popen[bytes]) -> str:
    line = emulator.stdout.readline().decode() if emulator.stdout else ""
    _, found, rest = line.partition("Machines API at ")
    if not found:
        raise RuntimeError(f"the emulator did not start: {line!r}")
    return rest.partition(": ")[0]
