"""Machines on pages: what they do, what they cost, and what people do with them."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import inspection
from worker_lib.client.client import Client
from worker_lib.client.inspection import machines_api

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

    from worker_lib import Job
    from worker_lib.emulator import Emulator
    from worker_lib.settings import Settings


def running(task: Any, gate: Path) -> tuple[Job[Any], str]:
    """Return a job that runs until its gate opens, and its machine."""
    job = task.delay(str(gate))
    until(lambda: job.status == "running")
    return job, job.info().machine_id


def sweepers() -> int:
    """Return how many threads sweep."""
    return sum(one.name == "worker_lib-sweeper" for one in threading.enumerate())


def test_who_looks_has_a_lost_job_found(
    admin: FlaskClient, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nobody waits for it; no thread stays, and there is none for a minute."""
    monkeypatch.setattr("worker_lib.sweeper._LOOKED_AT_EVERY", 0.5)
    other = Client(client.settings)
    gate, started = tmp_path / "gate", tmp_path / "started"
    job = other.submit(jobs.waits_for, (str(gate), str(started)), {})
    until(started.exists)
    other.close()
    machines_api(client.settings).destroy_machine(client.look(job.id).info.machine_id)
    time.sleep(1.5)  # its lease is over, and nobody looks
    assert "running" == client.look(job.id).info.status
    gate.touch()

    def ends() -> bool:
        admin.get("/jobs/overview/part")
        return client.look(job.id).info.final

    monkeypatch.setattr("worker_lib.dashboard.live.SECONDS_PER_COMMAND", 0.0)
    monkeypatch.setattr("worker_lib.dashboard.live.SHORTEST_INTERVAL", 0.0)
    until(ends)
    info = client.look(job.id).info
    assert ("succeeded", 1) == (info.status, info.lost)
    until(lambda: not sweepers())


def test_a_sweep_for_who_looks_takes_one_command_a_minute(
    client: Client, settings: Settings
) -> None:
    """None without a token."""
    before = client.store.sent_by_thread
    client.sweeper.sweep()
    took = client.store.sent_by_thread - before
    begun = [client.sweeper.look_for_viewer() for _ in range(3)]
    until(lambda: not sweepers())

    assert (1, [1, 0, 0]) == (took, begun)
    assert 0 == Client(settings).sweeper.look_for_viewer()


def act(browser: FlaskClient, name: str, **words: Any) -> str:
    """Do it without a script, and return what is told."""
    answer = browser.post(
        f"/jobs/actions/{name}",
        data=words,
        headers={"Referer": "http://localhost/jobs/machines"},
    )
    return browser.get(answer.location).text if answer.location else answer.text


def test_a_page_without_machines_teaches(admin: FlaskClient) -> None:
    assert "A call asks for a machine" in admin.get("/jobs/machines").text


def test_a_machine_is_shown_with_its_job_and_its_limit(
    admin: FlaskClient, tmp_path: Path
) -> None:
    """While it is up, and when it has ended; its own page leads to the job."""
    job, machine_id = running(jobs.waits_for, tmp_path / "gate")

    (told,) = admin.get("/jobs/machines.json").get_json()["up"]
    page = admin.get("/jobs/machines").text
    one = admin.get(f"/jobs/machines/{machine_id}")
    (tmp_path / "gate").touch()
    assert job.wait(20)
    until(lambda: admin.get("/jobs/machines.json").get_json()["exits"])
    later = admin.get(f"/jobs/machines/{machine_id}.json").get_json()

    assert ("busy", [job.id], "iad") == (
        told["state"],
        told["job_ids"],
        told["region"],
    )
    assert " of 6 h 00 m, after which it takes no further job" in page
    assert f"/jobs/machines/{machine_id}" in page
    assert job.id in one.text
    assert "jobs:</span><wbr>waits_for" in one.text
    assert '<th scope="row">launch</th>' in one.text
    assert (None, "empty") == (later["machine"], later["exits"][0]["reason"])


def test_fly_is_asked_when_a_page_is_opened_and_never_for_updates(
    admin: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = inspection.machine_at_fly

    def ask(one: str) -> Any:
        asked.append(one)
        return real(one)

    monkeypatch.setattr(inspection, "machine_at_fly", ask)
    job, machine_id = running(jobs.waits_for, tmp_path / "gate")

    for end in ("/part", ".json", ""):
        assert 200 == admin.get(f"/jobs/machines/{machine_id}{end}").status_code
    (tmp_path / "gate").touch()
    assert job.wait(20)

    assert [machine_id] == asked


def test_no_secret_of_a_machine_is_shown(
    admin: FlaskClient, client: Client, tmp_path: Path
) -> None:
    """Its environment at Fly may hold some."""
    task = jobs.waits_for.options(env={"PASSWORD": "canary"})
    job, machine_id = running(task, tmp_path / "gate")

    page = admin.get(f"/jobs/machines/{machine_id}").text
    (tmp_path / "gate").touch()
    assert job.wait(20)

    assert "canary" not in page
    assert client.settings.secret not in page


def test_without_a_token_a_sentence_stands_in_for_fly(
    admin: FlaskClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(client.settings, fly_api_token="")
    without = Client(settings)
    monkeypatch.setattr("worker_lib.client.client._default", without)
    machines_api.cache_clear()

    page = admin.get("/jobs/machines/3d8d9956f72189")
    without.close()

    assert 200 == page.status_code
    assert "FLY_API_TOKEN is not set" in page.text


@pytest.mark.parametrize("machine_id", ["NO", "a%20b", "x" * 50, "%3Cb%3E"])
def test_what_is_no_id_is_not_found(admin: FlaskClient, machine_id: str) -> None:
    assert 404 == admin.get(f"/jobs/machines/{machine_id}").status_code


def test_a_machine_that_is_stopped_hands_its_job_back(
    admin: FlaskClient, tmp_path: Path
) -> None:
    """The page tells beforehand, and what came of it."""
    job, machine_id = running(jobs.waits_for, tmp_path / "gate")

    question = act(admin, "stop-machine", target=machine_id)
    told = act(admin, "stop-machine", target=machine_id, _confirmed="yes")
    (tmp_path / "gate").touch()
    assert job.wait(20)

    assert "It has 1 job now: what it has is handed back" in question
    assert f"Machine {machine_id} is stopped; it had 1 job." in told
    assert "another machine" in told
    assert ["released", "succeeded"] == [one.outcome for one in job.attempts]


@pytest.mark.parametrize(
    ("options", "status"), [({}, "succeeded"), ({"on_lost": "fail"}, "failed")]
)
def test_a_machine_that_is_destroyed_loses_its_job(
    admin: FlaskClient, tmp_path: Path, options: dict[str, Any], status: str
) -> None:
    job, machine_id = running(jobs.waits_for.options(**options), tmp_path / "gate")

    told = act(admin, "destroy-machine", target=machine_id, _confirmed="yes")
    (tmp_path / "gate").touch()
    assert job.wait(20)

    assert f"Machine {machine_id} is destroyed; it had 1 job." in told
    assert ("it may not run twice" in told) == (status == "failed")
    assert (status, "lost") == (job.status, job.attempts[0].outcome)
    (entry,) = inspection.audits()
    assert ("destroy-machine", machine_id, "done") == (
        entry.what,
        entry.target,
        entry.outcome,
    )


def test_a_machine_that_is_not_there_cannot_be_stopped(
    admin: FlaskClient, client: Client
) -> None:
    told = act(admin, "stop-machine", target="3d8d9956f72189", _confirmed="yes")

    assert "is-bad" in told
    assert "3d8d9956f72189" in inspection.audits()[0].target


def test_a_sweep_tells_what_it_did(
    admin: FlaskClient, client: Client, emulator: Emulator, tmp_path: Path
) -> None:
    """A machine that vanished is found, and its job runs again."""
    assert "Nothing was lost." in act(admin, "sweep")
    job, machine_id = running(jobs.waits_for, tmp_path / "gate")
    client.sweeper.stop()
    client.launcher.api.destroy_machine(machine_id)
    until(lambda: "lost" in act(admin, "sweep"))
    (tmp_path / "gate").touch()
    until(lambda: act(admin, "sweep") and job.status == "succeeded")

    assert ["lost", "succeeded"] == [one.outcome for one in job.attempts]


def test_who_may_look_sees_no_button(reader: FlaskClient, tmp_path: Path) -> None:
    job, machine_id = running(jobs.waits_for, tmp_path / "gate")

    pages = [
        reader.get(f"/jobs/{place}").text
        for place in ("machines", f"machines/{machine_id}")
    ]
    (tmp_path / "gate").touch()
    assert job.wait(20)

    assert all(machine_id in page for page in pages)
    assert not any("/jobs/actions/" in page for page in pages)
