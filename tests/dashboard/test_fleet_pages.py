"""Tasks, costs and the audit on pages, of jobs that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs
import pytest
from waiting import until

from worker_lib import inspection
from worker_lib.inspection import AuditEntry, audit

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

    from worker_lib.client.client import Client


@pytest.mark.parametrize(
    ("slug", "lesson"),
    [
        ("tasks", "No job has run in this time"),
        ("costs", "Nothing has been paid for"),
        ("audit", "Nobody has done anything here yet"),
    ],
)
def test_an_empty_page_teaches(admin: FlaskClient, slug: str, lesson: str) -> None:
    assert lesson in admin.get(f"/jobs/{slug}").text


def test_a_task_shows_how_its_jobs_fared(admin: FlaskClient) -> None:
    """How often, how they ended and why, how long they took and waited, over time."""
    good, bad = jobs.add.delay(1, 2), jobs.boom.delay("no")
    assert good.wait(20)
    assert bad.wait(20)

    page = admin.get("/jobs/tasks.json?window=1h").get_json()
    told = {one["task"]: one for one in page["tasks"]}
    added, failed = told["jobs:add"], told["jobs:boom"]
    text = admin.get("/jobs/tasks?window=1h").text

    assert (1, 1.0, {}) == (
        added["succeeded"],
        added["success_rate"],
        added["failed"],
    )
    assert (0.0, {"error": 1}) == (failed["success_rate"], failed["failed"])
    assert 1 == added["run"]["total"] == added["wait"]["total"]
    assert [[1, 0], [0, 1]] == [
        [sum(part[side] for part in one["trend"]) for side in (0, 1)]
        for one in (added, failed)
    ]
    assert 'class="spark"' in text
    assert "error 1" in text


def test_tasks_are_in_the_order_that_is_asked_for(admin: FlaskClient) -> None:
    one, *others = jobs.boom.delay("no"), jobs.add.delay(1), jobs.add.delay(2)
    assert all(job.wait(20) for job in (one, *others))

    found = [
        admin.get(f"/jobs/tasks.json?sort={sort}").get_json()["tasks"][0]["task"]
        for sort in ("ended", "failed")
    ]

    assert ["jobs:add", "jobs:boom"] == found
    assert 400 == admin.get("/jobs/tasks?sort=colour").status_code
    assert 400 == admin.get("/jobs/tasks?window=9y").status_code


def test_costs_are_told_by_task_size_and_region(admin: FlaskClient) -> None:
    assert jobs.add.delay(1, 2).wait(20)
    until(lambda: not inspection.machines())

    told = admin.get("/jobs/costs.json").get_json()
    text = admin.get("/jobs/costs").text

    assert 35 == len(told["days"])
    assert 0 < told["days"][-1]["cost_usd"] <= told["today_usd"]
    assert ["jobs:add"] == list(told["by_task"])
    assert ["iad"] == list(told["by_region"])
    assert "price calculator" in text
    assert "budget" not in text.casefold()


def test_what_a_machine_has_cost_so_far_is_in_all_figures(
    admin: FlaskClient, tmp_path: Path
) -> None:
    """Of the day, the month, the 35 days, its size and its region."""
    gate, started = tmp_path / "gate", tmp_path / "started"
    job = jobs.waits_for.delay(str(gate), str(started))
    until(started.exists, within=50)
    until(lambda: (inspection.costs().alive_usd or 0) > 0)
    told = admin.get("/jobs/costs.json").get_json()
    text = admin.get("/jobs/costs").text
    gate.touch()
    job.result(20)

    assert 0 < told["alive_usd"] == told["today_usd"] == told["month_usd"]
    assert told["alive_usd"] == told["days"][-1]["cost_usd"]
    assert 0 < told["days"][-1]["machine_s"] < 60
    for sums in (told["by_size"], told["by_region"]):
        assert [told["alive_usd"]] == list(sums.values())
    assert (0, {}) == (told["idle_usd"], told["by_task"])
    assert "None this month" in text


def entries(browser: FlaskClient, words: str = "") -> list[str]:
    """Return the targets that a page of the audit shows."""
    found = browser.get(f"/jobs/audit.json?{words}").get_json()["entries"]
    return [one["target"] for one in found]


def test_the_audit_is_filtered_and_paged(admin: FlaskClient, client: Client) -> None:
    """Newest first; a page begins where the one before ended."""
    for number in range(60):
        who = "ann" if number % 2 else "Bob"
        audit(AuditEntry(who, "retry-job", str(number)))
    audit(AuditEntry("ann", "pause-queue", "low", outcome="Redis is away"))

    first = admin.get("/jobs/audit.json").get_json()
    later = entries(admin, f"before={first['older_than']}")

    assert ["low", *map(str, range(59, 10, -1))] == entries(admin)
    assert [str(number) for number in range(10, -1, -1)] == later
    assert ["low"] == entries(admin, "what=PAUSE")
    assert 30 == len(entries(admin, "who=bob"))
    assert "Redis is away" in admin.get("/jobs/audit").text
    assert "No action is like that" in admin.get("/jobs/audit?who=eve").text
    assert 400 == admin.get("/jobs/audit?before=noon").status_code


def test_what_was_typed_is_text(admin: FlaskClient, client: Client) -> None:
    audit(AuditEntry("<script>alert(1)</script>", "<b>", '"><img src=x>'))

    text = admin.get("/jobs/audit").text

    assert "<script>alert" not in text
    assert "<img" not in text


@pytest.mark.parametrize(
    ("slug", "most"),
    [
        ("tasks", 1),
        ("machines", 3),
        ("machines/3d8d9956f72189", 3),
        ("queues", 2),
        ("costs", 2),
        ("health", 1),
        ("audit", 1),
    ],
)
def test_a_page_is_read_in_few_commands(
    admin: FlaskClient, client: Client, slug: str, most: int
) -> None:
    """Each makes two seconds more of the interval in which it is read."""
    assert jobs.add.delay(1, 2).wait(20)
    admin.get(f"/jobs/{slug}.json")  # what is over is read once
    before = client.store.sent_by_thread

    assert 200 == admin.get(f"/jobs/{slug}.json").status_code

    assert client.store.sent_by_thread - before <= most
