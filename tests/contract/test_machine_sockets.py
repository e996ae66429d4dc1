"""The machines' own access to the API: a socket, no token, their own app."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from worker_lib.settings import Settings

from .client import on_every_runtime, python

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

ROOT = Path(__file__).resolve().parents[2]
# A machine that asks the API about itself, as a program on Fly would.
ASKS = """
import http.client, os, socket, sys

class SocketConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ.get("WORKER_LIB_MACHINE_API", "/.fly/api"))

app, machine = os.environ["FLY_APP_NAME"], os.environ["FLY_MACHINE_ID"]
def ask(method, what):
    connection = SocketConnection("localhost")
    connection.request(method, f"/v1/apps/{app}/machines/{machine}{what}")
    return connection.getresponse()
"""


class SocketConnection(http.client.HTTPConnection):
    """A connection over a unix socket."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__("localhost", timeout=10)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(path: str, method: str, what: str) -> tuple[int, dict[str, Any]]:
    """Send a request by a machine socket, without a token; return status and body."""
    connection = SocketConnection(path)
    connection.request(method, what)
    reply = connection.getresponse()
    body = json.loads(reply.read())
    connection.close()
    return reply.status, body


def socket_of(api: Api, **options: Any) -> str:
    """Return the path of a new machine's socket."""
    command = python("import os; print(os.environ['WORKER_LIB_MACHINE_API'], 'end')")
    machine_id = api.create(command, **options)["id"]
    return api.printed(machine_id, "end").split()[0]


@on_every_runtime
def test_a_machine_suspends_itself_and_is_resumed_by_start(api: Api) -> None:
    """It goes on where it was, with the reply to its request."""
    code = f"{ASKS}print('before', flush=True); print(ask('POST', '/suspend').status)"
    machine_id = api.create(python(code))["id"]

    api.wait(machine_id, "suspended")
    assert "before" == api.log(machine_id).strip()
    assert "suspended" == api.post(machine_id, "start").json()["previous_state"]
    api.wait(machine_id, "stopped")
    assert ["before", "200"] == api.log(machine_id).split()


@on_every_runtime
def test_a_machine_reads_and_destroys_itself(api: Api) -> None:
    """Same paths as outside, and as much may be done."""
    code = f"{ASKS}print(ask('GET', '').read()); ask('DELETE', '?force=true')"
    machine_id = api.create(python(code))["id"]

    until(lambda: "destroyed" == api.get(machine_id)["state"])


def test_a_machine_socket_needs_no_token(start_emulator: StartEmulator) -> None:
    """Where the public way takes only those it knows."""
    api = start_emulator(tokens=("any",))

    status, body = ask(socket_of(api), "GET", "/v1/apps/demo")

    assert (200, "demo") == (status, body["name"])


@pytest.mark.parametrize(
    "path",
    ["/v1/apps/other", "/v1/apps", "/v1/orgs/personal/machines", "/_emulator/faults"],
)
def test_a_machine_socket_serves_its_own_app_only(
    start_emulator: StartEmulator, path: str
) -> None:
    """Not to others, not to all of them, not to the emulator's own paths."""
    api = start_emulator(apps=("demo", "other"))

    assert 403 == ask(socket_of(api), "GET", path)[0]


def test_a_machine_socket_has_the_same_rate_limits(
    start_emulator: StartEmulator,
) -> None:
    """One count for both: Fly limits what is asked for, not who asks."""
    api = start_emulator(rate_limits=True)
    path = socket_of(api)
    statuses = [ask(path, "GET", "/v1/apps/demo/machines")[0] for _ in range(3)]
    statuses.append(api.call("GET", "machines").status_code)

    assert [200, 200, 200, 429] == statuses


def test_sockets_are_removed_with_their_emulator(start_emulator: StartEmulator) -> None:
    """No socket and no folder is left."""
    api = start_emulator()
    path = Path(socket_of(api))
    assert path.is_socket()

    api.emulator.stop()

    assert not path.parent.exists()


def test_the_sockets_of_a_killed_emulator_are_removed_by_the_next(
    start_emulator: StartEmulator, tmp_path: Path
) -> None:
    """Those of a living one stay."""
    alive = Path(socket_of(start_emulator())).parent
    code = (
        "import os, sys; from pathlib import Path; from worker_lib.emulator import *; "
        "running = Emulator(EmulatorOptions(state_dir=Path(sys.argv[1]))).start(); "
        "print(running._sockets._folder, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "other")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    dead = Path(done.stdout.strip())
    assert dead.is_dir(), done.stderr

    start_emulator()

    assert (True, False) == (alive.is_dir(), dead.is_dir())


def test_a_machine_s_own_variables_are_no_mistakes(api: Api) -> None:
    """A task that calls others reads settings from the environment it runs in."""
    names = "print(*(n for n in os.environ if n.startswith('WORKER_LIB_')), 'end')"
    machine_id = api.create(python(f"import os; {names}"))["id"]
    found = api.printed(machine_id, "end").split()[:-1]

    assert ["WORKER_LIB_MACHINE_API"] == found
    assert "WORKER_LIB_MACHINE_API" not in os.environ
    Settings.load({**dict.fromkeys(found, "x"), "REDIS_URL": "redis://localhost"})
