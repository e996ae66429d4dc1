"""Failed launches: the machine is `failed`, says why, and frees its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from worker_lib.emulator import FaultPlan
from worker_lib.emulator.runtimes.process import ProcessRuntime

from .client import SLEEP, boot_delay

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

CONFIG: dict[str, Any] = {"image": "x", "init": {"exec": SLEEP}}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A runtime whose launches raise an unexpected error."""

    def launch(*_: object) -> None:
        raise KeyError("canary")

    monkeypatch.setattr(ProcessRuntime, "launch", launch)
    return monkeypatch


@pytest.mark.parametrize("delay", [0.0, 0.01])
def test_any_exception_in_a_launch_ends_in_failed(
    start_emulator: StartEmulator, broken: pytest.MonkeyPatch, delay: float
) -> None:
    """At once or from a timer: the events tell, and the name is free again."""
    api = start_emulator(faults=boot_delay(delay) if delay else FaultPlan())
    reply = api.create_raw(name="one", config=CONFIG)
    assert 200 == reply.status_code
    machine_id = reply.json()["id"]

    api.wait(machine_id, "failed")

    latest = api.get(machine_id)["events"][0]
    assert ("launch", "failed", "flyd") == (
        latest["type"],
        latest["status"],
        latest["source"],
    )
    assert "KeyError" in latest["request"]["error"]
    assert "canary" not in latest["request"]["error"]
    broken.undo()
    assert machine_id != api.create(top={"name": "one"})["id"]


def test_a_failed_machine_can_be_destroyed_and_leaves_the_name_to_its_heir(
    api: Api, broken: pytest.MonkeyPatch
) -> None:
    """Its end does not free the name that another machine has taken since."""
    failed = api.create_raw(name="one", config=CONFIG).json()["id"]
    broken.undo()
    heir = api.create(top={"name": "one"})["id"]

    assert 409 == api.post(failed, "start").status_code
    assert 200 == api.call("DELETE", f"machines/{failed}").status_code
    api.wait(failed, "destroyed")

    reply = api.create_raw(name="one", config=CONFIG)
    assert 409 == reply.status_code
    assert heir in reply.json()["error"]


def test_a_failed_machine_can_be_started_once_the_cause_is_gone(
    api: Api, broken: pytest.MonkeyPatch
) -> None:
    """It takes its name again, too."""
    failed = api.create_raw(name="one", config=CONFIG).json()["id"]
    broken.undo()

    assert 200 == api.post(failed, "start").status_code
    api.wait(failed, "started")

    assert 409 == api.create_raw(name="one", config=CONFIG).status_code


def test_a_later_boot_that_raises_fails_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a start, and by a restart of the policy's, which has a thread of its own."""
    machine_id = api.prepare()
    ends = api.create(
        ["/bin/sh", "-c", "sleep 0.3; exit 1"], restart={"policy": "always"}
    )["id"]
    api.wait(ends, "started")
    monkeypatch.setattr(ProcessRuntime, "launch", lambda *_: 1 / 0)

    api.post(machine_id, "start")

    for one in (machine_id, ends):
        api.wait(one, "failed")
        latest = api.get(one)["events"][0]
        assert ("start", "failed") == (latest["type"], latest["status"])


def test_a_file_that_cannot_be_written_fails_the_launch(api: Api) -> None:
    """One file stands where another needs a folder: no exit code of a command."""
    files = [
        {"guest_path": "/a", "raw_value": "eA=="},
        {"guest_path": "/a/b", "raw_value": "eA=="},
    ]

    machine_id = api.create(files=files)["id"]
    api.wait(machine_id, "failed")

    assert "exit" not in {event["type"] for event in api.get(machine_id)["events"]}


def test_a_process_that_nobody_can_wait_for_is_ended(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If no thread is to be had, the machine fails and nothing of it goes on."""
    mark = tmp_path / "alive"

    def watch(*_: object) -> None:
        until(mark.exists)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ProcessRuntime, "_watch", watch)
    beats = ["/bin/sh", "-c", f"echo $$ > {mark}; exec sleep 60"]
    machine_id = api.create(beats)["id"]

    api.wait(machine_id, "failed")

    until(lambda: mark.read_text().strip())
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


def test_a_command_that_is_not_there_still_exits_with_127(api: Api) -> None:
    """That is what the shell of an image would say."""
    machine_id = api.create(["/no/such/command"])["id"]
    api.wait(machine_id, "stopped")

    assert 127 == api.exit_event(machine_id)["exit_code"]


def test_a_log_that_cannot_be_written_is_no_internal_error(
    api: Api, tmp_path: Path
) -> None:
    """On a full disk a machine goes the same way as on any other."""
    machine_id = api.prepare(init={"exec": ["/no/such/command"]})
    (tmp_path / "machines" / f"{machine_id}.log").symlink_to("/dev/full")

    assert 200 == api.post(machine_id, "start").status_code

    api.wait(machine_id, "stopped")
    assert 127 == api.exit_event(machine_id)["exit_code"]


def test_a_folder_that_is_gone_is_no_missing_command(
    start_emulator: StartEmulator, tmp_path: Path
) -> None:
    """The working folder is the emulator's own: the launch fails."""
    gone = tmp_path / "gone"
    api = start_emulator()
    api.emulator._backend.runtime._cwd = gone  # type: ignore[attr-defined]

    machine_id = api.create()["id"]
    api.wait(machine_id, "failed")

    assert "gone" in until(lambda: api.get(machine_id)["events"][0]["request"]["error"])
