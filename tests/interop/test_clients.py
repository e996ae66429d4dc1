"""Clients of the Machines API that others wrote, on the emulator.

`make interop` installs them; without, these tests are skipped. Each runs a machine's
whole life by a script of its own and prints what it saw.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from worker_lib.emulator import Emulator, EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
CLIENTS = HERE.parents[1] / ".venv" / "interop"
_DEADLINE = 50


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator as strict as Fly: with its rate limits."""
    options = EmulatorOptions(
        apps=("by-sandboxer",),
        tokens=("fm2_of-nobody",),
        state_dir=tmp_path,
        project_dir=tmp_path,
    )
    with Emulator(options) as running:
        yield running


def seen_by(client: str, command: list[str], emulator: Emulator) -> dict[str, Any]:
    """Run a script with a client and return what it printed."""
    home = CLIENTS / client
    if not home.is_dir():
        pytest.skip(f"{client} is not installed: make interop")
    done = subprocess.run(
        [*command, emulator.url],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(home)}
        | {"NODE_PATH": str(CLIENTS / "node_modules")},
        capture_output=True,
        text=True,
        timeout=_DEADLINE,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def steps(events: list[dict[str, Any]]) -> list[str]:
    """Return events as `type/status/source`, the oldest first."""
    return [f"{e['type']}/{e['status']}/{e['source']}" for e in reversed(events)]


def test_fly_admin_leads_a_machine_through_its_life(emulator: Emulator) -> None:
    """The client on npm, by Supabase: every method it has for apps and machines."""
    script = str(HERE / "fly_admin_life.js")
    seen = seen_by("node_modules/fly-admin", ["node", script], emulator)

    assert ("by-fly-admin", "pending") == (seen["app"]["name"], seen["app"]["status"])
    assert ["by-sandboxer", "by-fly-admin"] == seen["apps"]
    assert ("created", "ams") == (seen["created"]["state"], seen["created"]["region"])
    assert seen["started"]["ok"]
    assert ["one"] == [machine["name"] for machine in seen["listed"]]
    assert [] == seen["elsewhere"]
    assert ["sleep 60"] == [process["command"] for process in seen["processes"]]
    assert seen["lease"]["data"]["nonce"] == seen["held"]["data"]["nonce"]
    assert "2" == seen["updated"]["config"]["env"]["A"]
    assert ["2", "1"] == [v["user_config"]["env"]["A"] for v in seen["versions"]]
    assert "stopped" == seen["start"]["previous_state"]
    assert "412" in seen["refusal"]
    assert {"ok": True} == seen["stop"] == seen["deleted"]
    assert ["stop/stopping/user", "exit/stopped/flyd"] == steps(seen["events"])[-2:]
    assert "destroyed" == seen["last"]
    assert "404" in seen["gone"]


def test_fly_python_sdk_leads_machines_through_their_lives(emulator: Emulator) -> None:
    """The client on PyPI: it reads every reply into pydantic models of its own."""
    script = str(HERE / "fly_python_sdk_life.py")
    seen = seen_by("fly-python-sdk", [sys.executable, script], emulator)

    assert ["by-fly-python-sdk", "by-sandboxer"] == seen["apps"]
    assert ("created", "stopped", 0) == (
        seen["created"],
        seen["state"],
        seen["exit_code"],
    )
    assert [
        *("exit/stopped/flyd", "start/started/flyd", "launch/created/user"),
    ] == seen["events"]
    assert ["fra", {"pool": "a"}] == seen["cloned"]
    assert ["ams", "fra"] == seen["regions"]


def test_sandboxer_suspends_and_resumes_a_machine(emulator: Emulator) -> None:
    """Another launcher of agents on PyPI: it sends fields of a config nobody knows."""
    script = str(HERE / "sandboxer_life.py")
    seen = seen_by("hyperterse-sandboxer", [sys.executable, script], emulator)

    assert ("starting", ["running"]) == (seen["created"], seen["paused"])
    assert ["running", "nginx:alpine", 512] == seen["resumed"]
    assert "404" in seen["missing"]
    until(lambda: ["destroyed"] == [one["state"] for one in emulator.machines()])
    taken = steps(emulator.machines()[0]["events"])
    assert ["suspend/suspended/flyd", "start/starting/user"] == taken[3:5]


def test_flaude_runs_a_machine_to_its_end(emulator: Emulator) -> None:
    """A launcher of agents on PyPI: it waits for the exit and reads its code."""
    script = str(HERE / "flaude_life.py")
    seen = seen_by("flaude", [sys.executable, script], emulator)

    assert None is seen["missing"]
    assert "personal" == seen["app"]["org"]
    assert seen["ran"]["destroyed"]
    assert (True, "destroyed") == (bool(seen["ran"]["exit_code"]), seen["ran"]["state"])
    assert ("created", "two") == (seen["created"]["state"], seen["created"]["name"])
    assert "destroyed" == seen["last"]
