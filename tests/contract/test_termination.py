"""How an emulator ends, and what it leaves: nothing, even if it is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from waiting import until

from worker_lib.emulator import Emulator, EmulatorOptions, kill_orphans

from .client import SLEEP, Api, python, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys
import time
from pathlib import Path
from worker_lib.emulator import Emulator, EmulatorOptions
here = Path(sys.argv[1])
options = {"state_dir": here, "project_dir": here, "tokens": ("any",)}
emulator = Emulator(EmulatorOptions(apps=("demo",), **options))
print(emulator.start().url, flush=True)
sys.stdin.read()
"""
TWO = "setsid sleep 60 & echo $! $$ ready; sleep 60"


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run an emulator in a process of its own; give the process and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def run_two(url: str) -> tuple[str, list[int]]:
    """Run a machine of two sessions; return its id and its processes."""
    auth = {"Authorization": "Bearer any", "Connection": "close"}
    config = {"image": "x", "init": {"exec": shell(TWO)}}
    reply = requests.post(
        f"{url}/v1/apps/demo/machines", json={"config": config}, headers=auth, timeout=5
    )
    machine_id = reply.json()["id"]
    log = f"{url}/_emulator/machines/{machine_id}/log"

    def printed() -> str:
        text = requests.get(log, headers=auth, timeout=5).text
        return text if "ready" in text else ""

    return machine_id, [int(word) for word in until(printed).split()[:2]]


def test_stop_ends_every_machine_with_a_grace(tmp_path: Path) -> None:
    """SIGTERM first, so that a machine can end by itself; then SIGKILL."""
    options = EmulatorOptions(apps=("demo",), state_dir=tmp_path, project_dir=tmp_path)
    emulator = Emulator(options).start()
    with Api(emulator) as api:
        polite = api.create(
            shell(
                "trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.02; done"
            )
        )["id"]
        stubborn = api.create(
            python(
                "import os, signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN)\n"
                "print(os.getpid(), 'ready', flush=True); time.sleep(60)"
            )
        )["id"]
        frozen = api.create(SLEEP)["id"]
        api.post(frozen, "suspend")
        api.printed(polite, "ready")
        pid = int(api.printed(stubborn, "ready").split()[0])

    emulator.stop(grace=0.3)

    assert "bye" in (tmp_path / "machines" / f"{polite}.log").read_text()
    assert not is_alive(pid)
    assert ["stopped"] * 3 == [machine["state"] for machine in emulator.machines()]
    assert [] == list((tmp_path / "machines").glob("*.pid"))


def test_stop_can_be_called_twice_and_before_start(tmp_path: Path) -> None:
    """It is harmless when there is nothing to stop."""
    emulator = Emulator(EmulatorOptions(state_dir=tmp_path))
    emulator.stop()
    with emulator:
        emulator.stop()
    emulator.stop()


def test_machines_do_not_outlive_an_emulator_that_is_killed(
    served: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    """Its guard ends every process of every machine, in any session."""
    process, url = served
    _, pids = run_two(url)

    process.kill()

    until(lambda: not any(map(is_alive, pids)))
    until(lambda: not list((tmp_path / "machines").glob("*.pid")))


def test_orphans_are_killed_when_the_guard_died_too(
    served: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    """`kill_orphans` ends what is left, names it, and finds nothing a second time."""
    process, url = served
    machine_id, pids = run_two(url)
    os.kill(guard_of(process.pid), signal.SIGKILL)
    process.kill()
    process.wait()
    assert all(map(is_alive, pids))

    assert [machine_id] == kill_orphans(tmp_path)

    until(lambda: not any(map(is_alive, pids)))
    assert [] == kill_orphans(tmp_path)


def test_machines_of_a_running_emulator_are_not_orphans(
    served: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    """Another one on the same directory leaves them alone."""
    _, url = served
    _, pids = run_two(url)

    assert [] == kill_orphans(tmp_path)
    with Emulator(EmulatorOptions(state_dir=tmp_path)):
        assert all(map(is_alive, pids))
    assert all(map(is_alive, pids))


def test_a_number_that_went_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A session is only ended if a member carries the machine's id."""
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    marks = tmp_path / "machines"
    marks.mkdir()
    mark = marks / "0123456789abcd.pid"
    mark.write_text(
        f'{{"emulator": 999999999, "emulator_start": 1, "session": {stranger.pid}}}'
    )

    assert [] == kill_orphans(tmp_path)

    assert stranger.poll() is None
    assert not mark.exists()
    stranger.kill()
    stranger.wait()


def test_an_idle_emulator_sleeps(served: tuple[subprocess.Popen[str], str]) -> None:
    """None of its threads wakes up while nothing runs and no request comes."""
    process, url = served
    auth = {"Authorization": "Bearer any", "Connection": "close"}
    requests.get(f"{url}/v1/apps", headers=auth, timeout=5)
    until(lambda: 2 == len(os.listdir(f"/proc/{process.pid}/task")))

    def switches() -> int:
        tasks = Path(f"/proc/{process.pid}/task").glob("*/status")
        text = "".join(task.read_text() for task in tasks)
        return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))

    def is_quiet() -> bool:
        before = switches()
        time.sleep(1.0)
        return before == switches()

    assert until(is_quiet)


def guard_of(pid: int) -> int:
    """Return the guard's process id: the emulator's one child that is a shell."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if pid == int(fields[1]) and b"emulator-guard" in command:
            return int(path.parent.name)
    raise AssertionError("there is no guard")
