"""Servers of our own to measure on: Valkey on a unix socket, the emulator beside it.

The emulator is a process of its own, as in the local stack, so that it does not share
an interpreter with the caller that is measured. Each measurement works in a namespace
of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from worker_lib.client import client as client_module
from worker_lib.client.client import Client
from worker_lib.errors import MachineNotFound
from worker_lib.local.valkey import start_server
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROOT", "Rig", "start_valkey"]

ROOT = Path(__file__).resolve().parents[2]
_APP = "bench"
_TOKEN = "bench-token"
_GRACE = 5.0


class Rig:
    """Running servers, and clients of them.

    Attributes:
        socket_path: Of the Valkey server.
        redis: For looking at the server from outside.
    """

    def __init__(self, folder: Path, emulator_url: str, secret: str) -> None:
        self.socket_path = str(folder / "redis")
        self.redis = redis.Redis(unix_socket_path=self.socket_path)
        self._secret = secret
        self._emulator_url = emulator_url

    @contextlib.contextmanager
    def client(self, *, machines: bool) -> Iterator[Client]:
        """Have `delay` use a client with a fresh namespace.

        Args:
            machines: Whether it may ask the emulator for machines.
        """
        client = Client(self._settings(_TOKEN if machines else ""))
        client_module._default = client
        try:
            yield client
        finally:
            client_module._default = None
            if machines:
                _destroy_machines(client)
            client.close()

    @contextlib.contextmanager
    def machine(self, client: Client) -> Iterator[subprocess.Popen[bytes]]:
        """Start a machine by hand, for the slot that `client` could not launch."""
        (slot,) = self.redis.scan_iter(f"{{{client.settings.namespace}}}:slot:*")
        process = subprocess.Popen(
            [sys.executable, "-m", "worker_lib.runtime"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "REDIS_URL": client.settings.redis_url,
                "WORKER_LIB_SECRET": self._secret,
                "WORKER_LIB_NAMESPACE": client.settings.namespace,
                "WORKER_LIB_SLOT": slot.decode().rpartition(":")[2],
                "WORKER_LIB_POOL": _text(self.redis.hget(slot, "pool")),
                "FLY_MACHINE_ID": "by-hand",
            },
        )
        try:
            yield process
        finally:
            _end(process)

    def refill(self, client: Client) -> None:
        """Let the next machine be asked for at once: fill the bucket of creates."""
        self.redis.delete(f"{{{client.settings.namespace}}}:bucket")

    def variables(self, namespace: str) -> dict[str, str]:
        """Return the environment of another program that calls and launches."""
        return {
            "REDIS_URL": f"unix://{self.socket_path}",
            "WORKER_LIB_SECRET": self._secret,
            "WORKER_LIB_NAMESPACE": namespace,
            "WORKER_IMAGE": "local",
            "FLY_API_TOKEN": _TOKEN,
            "FLY_API_HOSTNAME": self._emulator_url,
            "FLY_TASKS_APP": _APP,
        }

    def _settings(self, token: str) -> Settings:
        return Settings(
            redis_url=f"unix://{self.socket_path}",
            secret=self._secret,
            namespace=f"bench-{secrets.token_hex(4)}",
            fly_api_token=token,
            fly_app=_APP,
            api_hostname=self._emulator_url,
            image="local",
            local_path=str(ROOT),
        )

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[Rig]:
        """Start both servers; they and their data are gone afterwards."""
        secret = secrets.token_hex(32)
        with start_valkey() as socket_path:
            emulator = _start_emulator(socket_path.parent, secret)
            try:
                yield cls(socket_path.parent, _url(emulator), secret)
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


def _destroy_machines(client: Client) -> None:
    # One that lingers would be in the way of what is measured next.
    api = client.launcher.api
    for machine in api.list_machines():
        with contextlib.suppress(MachineNotFound):
            api.destroy_machine(machine.id)


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def _start_emulator(folder: Path, secret: str) -> subprocess.Popen[bytes]:
    file = folder / "secrets"
    file.write_text(
        f"REDIS_URL=unix://{folder / 'redis'}\nWORKER_LIB_SECRET={secret}\n"
    )
    words = ["emulator", "--port", "0", "--app", _APP, "--no-rate-limits"]
    words += ["--token", _TOKEN]
    paths = ["--secrets-file", str(file), "--state-dir", str(folder / "machines")]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "worker_lib",
            *words,
            *paths,
            "--project-dir",
            str(folder),
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )


def _url(emulator: subprocess.Popen[bytes]) -> str:
    line = emulator.stdout.readline().decode() if emulator.stdout else ""
    _, found, rest = line.partition("Machines API at ")
    if not found:
        raise RuntimeError(f"the emulator did not start: {line!r}")
    return rest.partition(": ")[0]
