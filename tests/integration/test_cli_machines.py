"""`worker-lib machines`: what it shows of them, and what becomes of their jobs."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib.fly.naming import (
    METADATA_NAMESPACE,
    METADATA_OWNER,
    METADATA_SLOT,
    owner,
)
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from commands import Ran

    from worker_lib import Job
    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


def running(task: Any, gate: Path) -> tuple[Job[Any], str]:
    """Return a job that runs until its gate opens, and its machine."""
    started = gate.with_name("started")
    job = task.delay(str(gate), str(started))
    # One that was claimed and has not begun is given back without an attempt.
    until(started.exists)
    return job, job.info().machine_id


def test_a_machine_is_listed_with_its_job(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    """Then among those that ended; nothing is left to list."""
    assert (0, "", "there are no machines\n") == run("machines", "list")
    job, machine_id = running(jobs.waits_for, tmp_path / "gate")

    row = run("machines", "list").out.rstrip("\n").split("\t")
    assert [machine_id, "busy", "iad", "shared-cpu-1x@256mb"] == row[:4]
    assert job.id == row[-1]
    (told,) = run("machines", "list", "--json").json["machines"]
    assert (machine_id, [job.id]) == (told["machine_id"], told["job_ids"])
    assert told["launched_at"].endswith("Z")
    shown = run("machines", "show", machine_id).out
    assert f"machine_id: {machine_id}\n" in shown
    assert "fly state: started\n" in shown
    assert "launch\t" in shown
    told = run("machines", "show", machine_id, "--json").json
    assert (machine_id, "started") == (
        told["redis"]["machine_id"],
        told["fly"]["state"],
    )

    (tmp_path / "gate").touch()
    assert job.wait(20)
    until(lambda: not run("machines", "list").out)
    (ended,) = run("machines", "list", "--ended", "5", "--json").json["machines"]
    assert (machine_id, "empty") == (ended["machine_id"], ended["reason"])
    assert machine_id in run("machines", "list", "--ended").out


def test_no_secret_of_a_machine_is_shown(
    run: Callable[..., Ran], client: Client, tmp_path: Path
) -> None:
    """Its environment at Fly may hold some."""
    task = jobs.waits_for.options(env={"PASSWORD": "canary"})
    job, machine_id = running(task, tmp_path / "gate")

    shown = run("machines", "show", machine_id, "--json").out
    shown += run("machines", "show", machine_id).out
    (tmp_path / "gate").touch()
    assert job.wait(20)

    assert "canary" not in shown
    assert client.settings.secret not in shown


def test_a_machine_that_is_stopped_hands_its_job_back(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    """It runs on another one, and no attempt is charged."""
    job, machine_id = running(jobs.waits_for, tmp_path / "gate")

    ran = run("machines", "stop", machine_id)

    first, second = ran.out.splitlines()
    assert (0, f"{machine_id}\tstopped") == (ran.code, first)
    assert second.startswith(f"{job.id}\t")
    (tmp_path / "gate").touch()
    assert job.wait(20)
    info = job.info()
    assert ("succeeded", 1) == (info.status, info.attempt)
    assert ["released", "succeeded"] == [one.outcome for one in info.attempts]
    assert machine_id != info.machine_id


@pytest.mark.parametrize(
    ("options", "status"), [({}, "succeeded"), ({"on_lost": "fail"}, "failed")]
)
def test_a_machine_that_is_destroyed_loses_its_job_at_once(
    run: Callable[..., Ran], tmp_path: Path, options: dict[str, Any], status: str
) -> None:
    """Nobody waits for its lease to end: the job runs again, or fails as it must."""
    gate = tmp_path / "gate"
    job, machine_id = running(jobs.waits_for.options(**options), gate)

    ran = run("machines", "destroy", machine_id, "--yes", "--json")

    assert (0, [job.id]) == (ran.code, list(ran.json["jobs"]))
    assert machine_id == ran.json["machine_id"]
    assert ("destroy-machine", machine_id) == audits()[0][1:3]
    assert machine_id not in run("machines", "list").out
    gate.touch()
    assert job.wait(20)
    assert (status, "lost") == (job.status, job.attempts[0].outcome)


def stranger(client: Client, metadata: dict[str, str]) -> str:
    """Return a machine of the same app that this namespace did not create."""
    config = {
        "image": "local",
        "init": {"exec": ["sleep", "60"]},
        "metadata": metadata,
    }
    api = client.launcher.api
    return api.create_machine(name="website", region=None, config=config).id


@pytest.mark.processes_only("its machine asks for an image that no engine has")
@pytest.mark.parametrize("act", ["stop", "destroy"])
def test_a_machine_of_others_is_left_alone(
    run: Callable[..., Ran],
    client: Client,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    act: str,
) -> None:
    """Unless the person says yes beforehand."""
    other = stranger(client, {METADATA_SLOT: "5107"})
    until(lambda: "started" == emulator.machines()[0]["state"])
    state = {"stop": "stopped", "destroy": "destroyed"}[act]
    stdin = io.StringIO("y\n")
    monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", stdin)

    ran = run("machines", act, other)
    assert (2, "") == (ran.code, ran.out)
    assert "was not created for namespace" in ran.err
    assert "started" == emulator.machines()[0]["state"]

    assert 0 == run("machines", act, other, "--yes").code
    until(lambda: {state} >= {one["state"] for one in emulator.machines()})


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "nope"], 3, "neither Redis nor Fly has a machine nope"),
        (["stop", "nope"], 3, "nope"),
        (["destroy", "nope", "--yes"], 3, "nope"),
        (["destroy", "nope"], 2, "add --yes"),
        (["list", "--ended", "0"], 2, "use a whole number from 1"),
    ],
)
def test_a_wrong_machine_has_its_exit_code(
    run: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    """On stderr; stdout stays empty."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    ran = run("machines", *words)

    assert (code, "") == (ran.code, ran.out)
    assert said in ran.err


def test_a_parked_machine_is_not_stopped_but_destroyed(
    run: Callable[..., Ran],
) -> None:
    """It stands still already; destroyed, it is forgotten at once."""
    job = jobs.add.options(park=1).delay(1, 2)
    assert job.wait(20)
    machine_id = job.info().machine_id
    until(lambda: "parked" in run("machines", "list").out)
    until(lambda: "fly state: suspended" in run("machines", "show", machine_id).out)

    ran = run("machines", "stop", machine_id)
    assert (2, "") == (ran.code, ran.out)
    assert f"worker-lib machines destroy {machine_id}" in ran.err
    assert 0 == run("machines", "destroy", machine_id, "--yes").code
    assert (0, "", "there are no machines\n") == run("machines", "list")


@pytest.mark.processes_only("its machine asks for an image that no engine has")
def test_a_machine_that_nobody_knows_is_reaped(
    run: Callable[..., Ran],
    client: Client,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With --dry-run it is named and left alone."""
    settings = client.settings
    orphan = stranger(
        client,
        {
            METADATA_NAMESPACE: settings.namespace,
            METADATA_OWNER: owner(settings.namespace, settings.secret),
            METADATA_SLOT: "0123456789ab",
        },
    )
    until(lambda: "started" == emulator.machines()[0]["state"])
    assert (0, "", "there is nothing to reap\n") == run("machines", "reap")
    monkeypatch.setattr("worker_lib.sweep._ORPHAN_AFTER", -3600.0)

    ran = run("machines", "reap", "--dry-run")
    assert (0, f"{orphan}\tstarted\tiad\tslot 0123456789ab\n", "") == ran
    (told,) = run("machines", "reap", "--dry-run", "--json").json["machines"]
    assert orphan == told["machine_id"]
    found, destroyed = run("machines", "reap").out.splitlines()
    assert found.startswith("orphan_found slot=0123456789ab machine_id=")
    assert destroyed.startswith("machine_destroyed ")
    until(lambda: {"destroyed"} >= {one["state"] for one in emulator.machines()})
