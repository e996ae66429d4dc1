"""Queues and pools on a page, and what people do with them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jobs
import pytest

from worker_lib.client.client import Client
from worker_lib.client.queues import Queue
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient


@pytest.fixture
def client(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """One without a token: no machine comes and takes what waits."""
    settings = dataclasses.replace(client.settings, fly_api_token="")
    made = Client(settings)
    monkeypatch.setattr("worker_lib.client.client._default", made)
    yield made
    made.close()


def act(browser: FlaskClient, name: str, **words: Any) -> str:
    """Do it, and return what the page says then."""
    answer = browser.post(
        f"/jobs/actions/{name}",
        data={"target": "low", **words},
        headers={"Referer": "http://localhost/jobs/queues"},
    )
    return browser.get(answer.location).text if answer.location else answer.text


def test_a_page_without_queues_teaches(admin: FlaskClient) -> None:
    assert "@fly_task(queue=&#34;low&#34;)" in admin.get("/jobs/queues").text


def test_a_queue_is_paused_and_resumed(admin: FlaskClient, client: Client) -> None:
    job = jobs.add.options(queue="low").delay(1)

    assert "Queue low is paused" in act(admin, "pause-queue")
    assert Queue("low").paused
    (told,) = admin.get("/jobs/queues.json").get_json()["queues"]
    assert ("low", 1) == (told["name"], told["waiting"])
    assert told["paused_at"].endswith("Z")
    assert "Queue low is open: 1 job waits." in act(admin, "resume-queue")
    assert not Queue("low").paused
    assert "queued" == job.status


def test_an_emptied_queue_needs_its_name_typed(
    admin: FlaskClient, client: Client
) -> None:
    """What waits and what is due later is cancelled; the audit has the number."""
    waits = jobs.add.options(queue="low").delay(1)
    later = jobs.add.options(queue="low", delay="1h").delay(1)
    other = jobs.add.delay(1)

    assert "1 job waits now" in act(admin, "purge-queue")
    assert "has to be typed" in act(admin, "purge-queue", _confirmed="high")
    assert ["queued", "scheduled"] == [waits.status, later.status]
    text = act(admin, "purge-queue", _confirmed="low", _back="/jobs/queues")

    assert "Cancelled 2 jobs that waited in queue low." in text
    assert ["cancelled", "cancelled", "queued"] == [
        one.status for one in (waits, later, other)
    ]
    (entry,) = audits()
    assert ("purge-queue", "low", 2, "done") == (
        entry.what,
        entry.target,
        entry.total,
        entry.outcome,
    )


def test_a_long_queue_is_emptied_in_parts(
    admin: FlaskClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser does not wait for ever: the answer says how many are left."""
    monkeypatch.setattr("worker_lib.dashboard.actions.queues._PURGE_SECONDS", 1e-9)
    jobs.add.options(queue="low").delay_many([(number,) for number in range(201)])
    words = {"_confirmed": "low", "_back": "/jobs/queues"}

    first = act(admin, "purge-queue", **words)
    second = act(admin, "purge-queue", **words)

    assert "Cancelled 200 jobs that waited in queue low. 1 job waits still" in first
    assert "Cancelled 1 job that waited in queue low.</p>" in second


def test_what_is_no_queue_is_told(admin: FlaskClient) -> None:
    assert "is-bad" in act(admin, "pause-queue", target="no such name!")


def test_a_pool_shows_its_size_and_its_limit(
    admin: FlaskClient, client: Client
) -> None:
    jobs.add.delay(1)

    (pool,) = admin.get("/jobs/queues.json").get_json()["pools"]
    page = admin.get("/jobs/queues").text
    assert ("shared-cpu-1x@256mb", 10, 1) == (
        pool["size"],
        pool["max_machines"],
        pool["waiting"],
    )
    assert "0 of 10" in page


def test_who_may_look_sees_no_button(reader: FlaskClient, client: Client) -> None:
    jobs.add.delay(1)

    page = reader.get("/jobs/queues").text

    assert "default" in page
    assert "/jobs/actions/" not in page
