"""What a machine finds when it is resumed, and what may become of it meanwhile."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from waiting import until

from worker_lib.emulator import FaultPlan, FaultRule
from worker_lib.emulator.runtimes import procfs
from worker_lib.fly.latencies import Latencies

from .client import on_every_runtime, python, shell

if TYPE_CHECKING:
    from pathlib import Path

    from .client import Api
    from .conftest import StartEmulator

# Opens connections to the test, and some that stay within the machine.
TALKS = """
import os, socket, sys, time
outside = [socket.create_connection(("127.0.0.1", {port}))]
outside.append(socket.socket(socket.AF_UNIX)); outside[1].connect({path!r})
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
within = [*socket.socketpair(), client, server.accept()[0]]
print("ready", flush=True)
while not os.path.exists({path!r} + ".go"): time.sleep(0.01)
for one in outside: print("outside", one.recv(1))
for one in within: one.sendall(b"x")
for one in within: print("within", one.recv(1))
print("end", flush=True)
"""


def processes_of(machine_id: str) -> list[int]:
    """Return the processes of this computer that belong to a machine."""
    return [pid for pid in procfs.pids() if procfs.carries(pid, machine_id)]


def talking(api: Api, port: int, path: Path) -> str:
    """Run a machine with connections; return its id once they are there."""
    machine_id = api.run(python(TALKS.format(port=port, path=str(path))))
    api.printed(machine_id, "ready")
    return machine_id


def test_connections_to_others_have_ended_after_a_resume(
    api: Api, tmp_path: Path
) -> None:
    """Those between its own processes go on."""
    path = tmp_path / "s"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen()
    with closing(unix), socket.create_server(("127.0.0.1", 0)) as tcp:
        machine_id = talking(api, tcp.getsockname()[1], path)
        api.post(machine_id, "suspend")
        api.wait(machine_id, "suspended")
        api.post(machine_id, "start")
        path.with_suffix(".go").touch()

        printed = api.printed(machine_id, "end").split("\n")

    assert ["outside b''"] * 2 + ["within b'x'"] * 4 == printed[1:7]


def test_a_machine_whose_snapshot_is_lost_boots_anew(
    start_emulator: StartEmulator,
) -> None:
    """It is shown as suspended until then."""
    rule = FaultRule(state="suspended", effect="lose_snapshot")
    api = start_emulator(faults=FaultPlan(rules=(rule,)))
    machine_id = api.run(shell("echo boot; sleep 60"))
    api.printed(machine_id, "boot")
    api.post(machine_id, "suspend")
    until(lambda: not processes_of(machine_id))

    assert "suspended" == api.get(machine_id)["state"]
    assert "suspended" == api.post(machine_id, "start").json()["previous_state"]
    until(lambda: 2 == api.log(machine_id).count("boot"))


@on_every_runtime
def test_a_start_takes_its_time(start_emulator: StartEmulator) -> None:
    """The machine is `starting` meanwhile."""
    api = start_emulator(latencies=Latencies(start=0.4))
    machine_id = api.prepare()
    began = time.monotonic()
    api.post(machine_id, "start")

    assert "starting" == api.get(machine_id)["state"]
    api.wait(machine_id, "started")
    assert time.monotonic() - began >= 0.4


def test_a_resume_takes_its_time(start_emulator: StartEmulator) -> None:
    """And a suspend; the machine stands still in between, and is not paid for."""
    api = start_emulator(latencies=Latencies(suspend=0.3, resume=0.4))
    machine_id = api.run()
    began = time.monotonic()
    api.post(machine_id, "suspend")
    assert "suspending" == api.get(machine_id)["state"]
    api.wait(machine_id, "suspended")
    suspended = time.monotonic() - began
    api.post(machine_id, "start")
    assert "starting" == api.get(machine_id)["state"]
    assert not api.emulator.billing()["machines"][0]["running"]
    api.wait(machine_id, "started")

    assert suspended >= 0.3
    assert time.monotonic() - began >= 0.7


def test_a_create_takes_its_time(start_emulator: StartEmulator) -> None:
    """The call itself, then the image and the boot, in `created`."""
    api = start_emulator(latencies=Latencies(create=0.2, pull=0.2, boot=0.1))
    began = time.monotonic()
    machine_id = api.create()["id"]
    answered = time.monotonic() - began
    assert "created" == api.get(machine_id)["state"]
    api.wait(machine_id, "started")

    assert answered >= 0.2
    assert time.monotonic() - began >= 0.5


def test_a_machine_that_has_just_ended_cannot_be_started_at_once(
    start_emulator: StartEmulator,
) -> None:
    """412, though it is shown as stopped."""
    api = start_emulator(latencies=Latencies(settle=0.5))
    machine_id = api.create(["true"])["id"]
    api.wait(machine_id, "stopped")

    reply = api.post(machine_id, "start")

    assert 412 == reply.status_code
    assert "machine still active, refusing to start" in reply.text
    until(lambda: 200 == api.post(machine_id, "start").status_code)


@pytest.mark.parametrize("state", ["stopped", "suspended"])
def test_a_start_that_fails_in_starting_destroys_the_machine(
    start_emulator: StartEmulator, state: str
) -> None:
    """No process of it is left."""
    rule = FaultRule(state="starting", effect="launch_failed")
    api = start_emulator()
    machine_id = api.run()
    api.post(machine_id, "suspend" if state == "suspended" else "stop")
    api.wait(machine_id, state)
    api.emulator.script_faults([rule])

    api.post(machine_id, "start")

    until(lambda: "destroyed" == api.get(machine_id)["state"])
