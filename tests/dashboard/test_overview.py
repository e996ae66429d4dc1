"""The first page, on real jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs
import pytest

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from worker_lib.client.client import Client


def test_the_first_page_of_an_empty_redis_teaches(admin: FlaskClient) -> None:
    """It shows how a task is called."""
    page = admin.get("/jobs/")

    assert 200 == page.status_code, page.text
    assert "add.delay(1, 2).result()" in page.text


def test_its_json_has_what_the_page_shows(admin: FlaskClient) -> None:
    document = admin.get("/jobs/overview.json").get_json()

    assert {"overview", "history", "costs", "windows"} == set(document)
    assert 0 == document["overview"]["counts"]["queued"]


def test_it_counts_jobs_and_tells_what_happened(
    admin: FlaskClient, client: Client
) -> None:
    """What waits, what ended, which tasks there were, and what it cost."""
    jobs.add.options(delay="1h").delay(1, 2)
    assert 3 == jobs.add.delay(1, 2).result(timeout=30)
    with pytest.raises(ValueError, match="CANARY"):
        jobs.boom.delay("CANARY").result(timeout=30)
    page = admin.get("/jobs/").text
    document = admin.get("/jobs/overview.json").get_json()

    assert 1 == document["overview"]["counts"]["scheduled"]
    assert 1 == document["overview"]["counts"]["failed"]
    assert 1 == sum(point["succeeded"] for point in document["history"]["points"])
    assert "jobs:add" in {task["task"] for task in document["history"]["tasks"]}
    assert 'id="chart-ended"' in page
    assert "CANARY" not in page
    assert '<span class="task-module">jobs:</span><wbr>boom' in page


def test_a_look_costs_one_command_and_some_more_now_and_then(
    admin: FlaskClient, client: Client
) -> None:
    """What happened and what it costs are read again after a while only."""
    sent = []
    for _ in range(3):
        before = client.store.sent_by_thread
        admin.get("/jobs/")
        sent.append(client.store.sent_by_thread - before)

    assert [1, 1] == sent[1:]
    assert sent[0] <= 5
