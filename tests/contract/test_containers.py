"""Machines that are containers: what processes cannot show."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from waiting import until

from worker_lib.emulator import DockerOptions, Emulator, EmulatorOptions

from .client import shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .client import Api
    from .conftest import StartEmulator

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys
from pathlib import Path
from worker_lib.emulator import Emulator, EmulatorOptions
options = EmulatorOptions(
    apps=("demo",), tokens=("any",), runtime="docker", state_dir=Path(sys.argv[1])
)
print(Emulator(options).start().url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["docker"])
def runtime(request: pytest.FixtureRequest, machine_image: str) -> str:
    """These tests are about containers only."""
    name: str = request.param
    return name


@pytest.fixture
def engine(machine_image: str) -> Iterator[Any]:
    """Talk to the engine itself."""
    with closing(pytest.importorskip("docker").from_env()) as client:
        yield client


def containers_of(engine: Any, machine_id: str) -> list[Any]:
    """Return the containers of a machine, also those that have ended."""
    label = f"worker_lib.machine={machine_id}"
    found: list[Any] = engine.containers.list(
        all=True, filters={"label": label}, ignore_removed=True
    )
    return found


def printed_by(api: Api, command: list[str] | None = None, **config: Any) -> str:
    """Run a machine to its end and return what it printed."""
    machine_id = api.create(command, **config)["id"]
    api.wait(machine_id, "stopped")
    return api.log(machine_id)


def test_a_container_has_the_guest_s_limits_and_says_whose_it_is(
    api: Api, engine: Any
) -> None:
    """Memory without swap, CPUs as far as there are, labels to find it by."""
    guest = {"cpus": 1, "memory_mb": 512}
    machine_id = api.run(guest=guest, metadata={"team": "x"})

    (container,) = containers_of(engine, machine_id)

    limits = container.attrs["HostConfig"]
    assert 512 << 20 == limits["Memory"] == limits["MemorySwap"]
    assert 1_000_000_000 == limits["NanoCpus"]
    assert "demo" == container.labels["worker_lib.app"]
    assert "x" == container.labels["metadata.team"]


def test_more_cpus_than_the_engine_has_are_no_hindrance(api: Api) -> None:
    """The machine gets all there are."""
    assert "up\n" == printed_by(api, ["echo", "up"], guest={"cpus": 8})


def test_an_error_that_nobody_has_thought_of_ends_the_launch(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's thread does not die of it in silence."""
    from worker_lib.emulator.runtimes import docker as docker_runtime

    def options(*_: object, **__: object) -> None:
        raise KeyError("canary")

    monkeypatch.setattr(docker_runtime, "container_options", options)
    machine_id = api.create(top={"name": "one"})["id"]
    api.wait(machine_id, "destroyed")

    errors = [
        (event["request"] or {}).get("error", "")
        for event in api.get(machine_id)["events"]
    ]
    assert "KeyError: see the emulator's log" in errors
    monkeypatch.undo()
    assert machine_id != api.create(top={"name": "one"})["id"]


def test_each_start_has_a_fresh_disk(api: Api) -> None:
    """What one run wrote is not there in the next. Source: "Machine states"."""
    machine_id = api.create(shell("[ -e /mark ] || echo fresh; echo x > /mark"))["id"]
    api.wait(machine_id, "stopped")
    api.post(machine_id, "start")
    api.wait(machine_id, "stopped")

    assert "fresh\nfresh\n" == api.log(machine_id)


def test_files_are_at_their_paths(api: Api) -> None:
    """With their modes, in folders that the image has not."""
    api.emulator.set_secrets("demo", {"KEY": base64.b64encode(b"secret").decode()})
    plain = base64.b64encode(b"plain ").decode()
    files = [
        {"guest_path": "/etc/new/a.txt", "raw_value": plain, "mode": 0o600},
        {"guest_path": "/b.txt", "secret_name": "KEY"},
    ]
    show = shell("cat /etc/new/a.txt /b.txt; stat -c ' %a' /etc/new/a.txt")

    assert "plain secret 600\n" == printed_by(api, show, files=files)


def test_the_image_s_own_command_runs_if_the_config_has_none(
    api: Api, engine: Any
) -> None:
    """Neither `init` nor `processes`: what the image says."""
    machine_id = api.create(init={})["id"]

    event = until(
        lambda: [e for e in api.get(machine_id)["events"] if "start" == e["type"]]
    )

    assert "started" == event[0]["status"]


def test_the_user_of_a_process_is_taken(api: Api) -> None:
    """`processes[].user`; without one, who the options say."""
    process = {"cmd": shell("touch /tmp/x; stat -c %u /tmp/x"), "user": "1234"}

    assert "1234\n" == printed_by(api, init={}, processes=[process])


def test_options_say_who_runs_machines_and_what_they_can_read(
    start_emulator: StartEmulator, tmp_path: Path
) -> None:
    """A mounted folder is at its own path, and cannot be written."""
    (tmp_path / "word").write_text("hello")
    tmp_path.chmod(0o755)
    options = DockerOptions(mounts=(tmp_path,), user="1234:1234")
    script = f"touch /tmp/x; stat -c %u /tmp/x; touch {tmp_path}/no || cat {{}}"
    api = start_emulator(docker=options)

    printed = printed_by(api, shell(script.format(tmp_path / "word")))

    assert "1234" in printed.splitlines()
    assert "hello" in printed  # the order of what two streams had is not known


def test_a_confined_machine_writes_to_tmp_only(start_emulator: StartEmulator) -> None:
    """Root as it may be, it has no capability; and /tmp ends before its memory."""
    api = start_emulator(docker=DockerOptions(confined=True))
    script = "touch /x 2>&1; touch /tmp/x && stat -c %a /tmp; cat /proc/self/status"

    printed = printed_by(api, shell(script))

    assert "/x" in printed
    assert "Read-only file system" in printed
    assert "1777" in printed.splitlines()
    assert "CapBnd:\t0000000000000000" in printed
    assert "NoNewPrivs:\t1" in printed


def test_a_confined_machine_has_its_files(start_emulator: StartEmulator) -> None:
    """Its root can be written then: the engine has no other way to put them in."""
    api = start_emulator(docker=DockerOptions(confined=True))
    files = [{"guest_path": "/a.txt", "raw_value": base64.b64encode(b"x").decode()}]

    assert "x" == printed_by(api, shell("cat /a.txt"), files=files)


def test_a_new_machine_of_an_unknown_image_fails_to_launch(api: Api) -> None:
    """It goes by `launch_failed` to `destroyed`; event and log say why."""
    machine_id = api.create(image="no-such-image:1")["id"]
    api.wait(machine_id, "destroyed")

    expected = [
        *("launch/created/user", "launch/launch_failed/flyd"),
        "destroy/destroyed/flyd",
    ]
    assert expected == api.steps(machine_id)
    event = api.get(machine_id)["events"][1]
    assert "no image no-such-image:1" in event["request"]["error"]
    assert "no image no-such-image:1" in api.log(machine_id)


def test_a_machine_that_was_there_before_fails(api: Api) -> None:
    """It stays, in state `failed`, and can be destroyed."""
    machine_id = api.create(image="no-such-image:1", top={"skip_launch": True})["id"]
    api.wait(machine_id, "stopped")
    api.post(machine_id, "start")

    assert "failed" == api.wait(machine_id, "failed")["state"]
    assert "start/failed/flyd" == api.steps(machine_id)[-1]
    assert 200 == api.call("DELETE", f"machines/{machine_id}").status_code


def test_a_machine_destroyed_while_its_container_is_made_leaves_none(
    api: Api, engine: Any
) -> None:
    """The run is called off, or killed as soon as it has begun."""
    machine_id = api.create()["id"]
    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")

    until(lambda: not containers_of(engine, machine_id))


def test_a_container_that_somebody_else_removes_ends_its_machine(
    api: Api, engine: Any
) -> None:
    """As a machine whose host is lost; the log says so."""
    machine_id = api.run()

    containers_of(engine, machine_id)[0].remove(force=True)

    api.wait(machine_id, "stopped")
    assert api.exit_event(machine_id)["exit_code"] in {137, 255}


def test_what_the_engine_refuses_is_told(
    start_emulator: StartEmulator, engine: Any
) -> None:
    """The engine's own words are in the event, and no container is left."""
    api = start_emulator(docker=DockerOptions(network="no-such-network"))
    machine_id = api.create()["id"]

    api.wait(machine_id, "destroyed")

    assert "no-such-network" in api.log(machine_id)
    until(lambda: not containers_of(engine, machine_id))


def test_nothing_is_left_when_the_emulator_stops(
    start_emulator: StartEmulator, engine: Any
) -> None:
    """Containers that run, that are frozen, and that have ended."""
    api = start_emulator()
    ids = [api.run(), api.run(), api.run(["true"])]
    api.post(ids[1], "suspend")

    api.emulator.stop(grace=0.1)

    assert [[], [], []] == [containers_of(engine, one) for one in ids]


def start_in_a_process(tmp_path: Path) -> tuple[subprocess.Popen[str], str]:
    """Run an emulator in a process of its own; return the process and the URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def run_in(url: str, image: str) -> str:
    """Run a machine of an emulator that only its URL is known of; return its id."""
    auth = {"Authorization": "Bearer any", "Connection": "close"}
    config = {"image": image, "init": {"exec": ["sleep", "60"]}}
    machines = f"{url}/v1/apps/demo/machines"
    reply = requests.post(machines, json={"config": config}, headers=auth, timeout=5)
    machine_id: str = reply.json()["id"]
    requests.get(f"{machines}/{machine_id}/wait", headers=auth, timeout=30)
    return machine_id


def guard_of(pid: int) -> int:
    """Return the process id of an emulator's guard."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if pid == int(fields[1]) and b"emulator-guard" in command:
            return int(path.parent.name)
    raise AssertionError("there is no guard")


def test_containers_of_a_killed_emulator_are_removed_by_its_guard(
    tmp_path: Path, machine_image: str, engine: Any
) -> None:
    """They do not run on unseen."""
    process, url = start_in_a_process(tmp_path)
    machine_id = run_in(url, machine_image)
    assert containers_of(engine, machine_id)

    process.kill()
    process.communicate()

    until(lambda: not containers_of(engine, machine_id))


def test_containers_of_a_killed_emulator_are_removed_by_the_next(
    tmp_path: Path, machine_image: str, engine: Any
) -> None:
    """Found by their label, if the guard died too; those of the living stay."""
    process, url = start_in_a_process(tmp_path / "one")
    orphan = run_in(url, machine_image)
    os.kill(guard_of(process.pid), 9)
    process.kill()
    process.communicate()
    assert containers_of(engine, orphan)
    other, url = start_in_a_process(tmp_path / "two")
    living = run_in(url, machine_image)

    with Emulator(EmulatorOptions(runtime="docker", state_dir=tmp_path / "three")):
        assert not containers_of(engine, orphan)
        assert containers_of(engine, living)

    other.kill()
    other.communicate()
    until(lambda: not containers_of(engine, living))
