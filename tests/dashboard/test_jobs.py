"""The lists of jobs and one job, on real jobs; and all that is done with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jobs import add, boom, says

from worker_lib import Job, Queue
from worker_lib.dashboard.pages.job import follow_log
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse


@pytest.fixture
def waiting() -> list[Job[int]]:
    """Three jobs in a queue that is paused, so that no machine takes them."""
    Queue("slow").pause()
    task = add.options(queue="slow", tags={"tenant": "acme"})
    return [task.delay(number, 1) for number in range(3)]


@pytest.fixture
def failed() -> list[Job[None]]:
    """Three jobs that failed, two of them for the same reason."""
    made = [boom.delay(text) for text in ("order 7", "order 8", "<b>other</b>")]
    for job in made:
        job.wait(20)
    return made


def act(browser: FlaskClient, name: str, *targets: str, **words: Any) -> TestResponse:
    """Send a form of the page of jobs."""
    data = {"target": list(targets)} | words
    place = {"Referer": "http://localhost/jobs/jobs"}
    return browser.post(f"/jobs/actions/{name}", data=data, headers=place)


def told(browser: FlaskClient, answer: TestResponse) -> str:
    """Return the page that an action leads to."""
    assert 303 == answer.status_code, answer.text
    return browser.get(answer.location).text


def test_an_empty_list_teaches(admin: FlaskClient) -> None:
    assert "add.delay(1, 2)" in admin.get("/jobs/jobs").text
    assert "No job is failed" in admin.get("/jobs/jobs?status=failed").text
    assert "Nothing has failed" in admin.get("/jobs/failed").text


def test_jobs_are_listed_with_their_arguments(
    admin: FlaskClient, waiting: list[Job[int]]
) -> None:
    page = admin.get("/jobs/jobs?status=queued&queue=slow&tag=tenant%3Dacme").text
    document = admin.get("/jobs/jobs.json?task=jobs:add").get_json()

    assert all(job.id in page for job in waiting)
    assert "a=0, b=1" in page
    assert [job.id for job in waiting[::-1]] == [one["id"] for one in document["jobs"]]
    assert {"queued": 3} == {k: v for k, v in document["counts"].items() if v}


def test_a_filter_that_cannot_be_is_told(admin: FlaskClient) -> None:
    answer = admin.get("/jobs/jobs?status=lost")

    assert 400 == answer.status_code
    assert "status" in answer.text


def test_pages_go_on_where_the_one_before_ended(
    admin: FlaskClient, waiting: list[Job[int]]
) -> None:
    more = [add.options(queue="slow").delay(0, 1) for _ in range(60)]
    found: list[str] = []
    after = ""
    for _ in range(2):
        page = admin.get(f"/jobs/jobs.json?after={after}").get_json()
        found += [one["id"] for one in page["jobs"]]
        after = page["next"]

    assert [job.id for job in [*waiting, *more]][::-1] == found
    assert "" == after
    assert 400 == admin.get("/jobs/jobs?after=nonsense").status_code


def test_a_failed_job_tells_why(admin: FlaskClient, failed: list[Job[None]]) -> None:
    """Its error, where it was raised, what to do; and nothing of it is markup."""
    page = admin.get(f"/jobs/jobs/{failed[2].id}").text
    document = admin.get(f"/jobs/jobs/{failed[2].id}.json").get_json()

    assert "Traceback (most recent call last)" in page
    assert "raise ValueError(text)" in page
    assert "&lt;b&gt;other&lt;/b&gt;" in page
    assert "<b>other" not in page
    assert "Raised an error" in page
    assert {"waiting", "run"} <= {one["name"] for one in document["phases"]}
    assert document["is_final"]


def test_there_is_no_such_job(admin: FlaskClient) -> None:
    assert 404 == admin.get("/jobs/jobs/0123456789").status_code


def test_failed_jobs_are_grouped_by_cause(
    admin: FlaskClient, failed: list[Job[None]]
) -> None:
    groups = admin.get("/jobs/failed.json").get_json()["groups"]
    page = admin.get("/jobs/failed").text
    group = admin.get(f"/jobs/failed/{groups[0]['id']}").text

    assert [2, 1] == [one["total"] for one in groups]
    assert f"/jobs/failed/{groups[0]['id']}" in page
    assert failed[0].id in group
    assert failed[2].id not in group
    assert 404 == admin.get("/jobs/failed/0123").status_code


def test_a_group_is_run_again_after_its_count_was_typed(
    admin: FlaskClient, failed: list[Job[None]]
) -> None:
    group = admin.get("/jobs/failed.json").get_json()["groups"][0]["id"]
    asked = act(admin, "retry-jobs", group=group)
    wrong = act(admin, "retry-jobs", group=group, _confirmed="3")
    page = told(admin, act(admin, "retry-jobs", group=group, _confirmed="2"))

    assert "Type <b>2</b>" in asked.text
    assert "not what has to be typed" in wrong.text
    assert "2 jobs run again." in page
    assert all(job.info().retried_as for job in failed[:2])
    assert not failed[2].info().retried_as


def test_selected_jobs_are_moved_and_cancelled(
    admin: FlaskClient, waiting: list[Job[int]]
) -> None:
    first, second, third = (job.id for job in waiting)
    Queue("low").pause()
    moved = told(admin, act(admin, "move-jobs", first, second, queue_to="low"))
    asked = act(admin, "cancel-jobs", second, third)
    done = told(admin, act(admin, "cancel-jobs", second, third, _confirmed="yes"))

    assert "2 jobs were moved to queue low." in moved
    assert "2 jobs are cancelled" in asked.text
    assert "2 jobs were cancelled." in done
    assert ["low", "low", "slow"] == [job.info().queue for job in waiting]
    assert ["queued", "cancelled", "cancelled"] == [job.status for job in waiting]


def test_nothing_selected_is_told(admin: FlaskClient) -> None:
    assert "select the jobs first" in told(admin, act(admin, "retry-jobs"))


def test_some_that_are_refused_keep_none_from_it(
    admin: FlaskClient, waiting: list[Job[int]]
) -> None:
    waiting[0].cancel()
    ids = [job.id for job in waiting]
    page = told(admin, act(admin, "cancel-jobs", *ids, _confirmed="yes"))

    assert "2 jobs were cancelled." in page
    assert f"Nothing was done with 1 job, as {ids[0]}" in page


def test_all_that_fit_a_filter_are_deleted(
    admin: FlaskClient, waiting: list[Job[int]]
) -> None:
    """With the count typed, and an entry in the audit."""
    other = add.options(queue="slow").delay(1, 1)
    words = {"matching": "1", "status": "queued", "tag": "tenant=acme"}
    asked = act(admin, "delete-jobs", **words)
    page = told(admin, act(admin, "delete-jobs", **words, _confirmed="3"))
    entry = audits()[0]

    assert "Type <b>3</b>" in asked.text
    assert "3 jobs were deleted." in page
    assert "queued" == other.status
    assert ("delete-jobs", 3, "done") == (entry.what, entry.total, entry.outcome)


def test_all_that_fit_a_filter_are_moved(
    admin: FlaskClient, waiting: list[Job[int]]
) -> None:
    Queue("low").pause()
    words = {"matching": "1", "status": "queued", "queue": "slow", "queue_to": "low"}
    asked = act(admin, "move-jobs", **words)
    nowhere = told(admin, act(admin, "move-jobs", **(words | {"queue_to": " "})))
    page = told(admin, act(admin, "move-jobs", **words, _confirmed="3"))

    assert "3 jobs move to queue low." in asked.text
    assert "write the name of the queue" in nowhere
    assert "3 jobs were moved to queue low." in page
    assert {"low"} == {job.info().queue for job in waiting}


def test_who_may_look_sees_no_buttons(
    reader: FlaskClient, waiting: list[Job[int]]
) -> None:
    for place in ("jobs", f"jobs/{waiting[0].id}", "failed"):
        assert "/actions/" not in reader.get(f"/jobs/{place}").text


def test_a_waiting_job_is_edited(admin: FlaskClient, waiting: list[Job[int]]) -> None:
    """By what differs from how it is; nothing of it is unpickled."""
    job = waiting[0]
    fields = {"queue": "slow", "priority": "7", "delay": "10m"}
    fields["arguments"] = '{"a": 40, "b": 2}'
    page = told(admin, act(admin, "edit-job", job.id, **fields))
    info = job.info()

    assert "Changed: arguments, priority, delay." in page
    assert ("scheduled", 7, "slow") == (info.status, info.priority, info.queue)
    assert "a=40, b=2" in admin.get(f"/jobs/jobs/{job.id}").text
    job.edit(delay=0, queue="default")
    assert 42 == job.result(20)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"arguments": "{"}, "that is no JSON"),
        ({"arguments": '{"c": 1}'}, "cannot be called so"),
        ({"priority": "high"}, "priority"),
        ({"queue": ""}, "queue"),
        ({"delay": "soon"}, "delay"),
        ({}, "nothing was changed"),
    ],
    ids=str,
)
def test_an_edit_that_cannot_be_is_told(
    admin: FlaskClient, waiting: list[Job[int]], fields: dict[str, str], expected: str
) -> None:
    before = waiting[0].info()

    assert expected in told(admin, act(admin, "edit-job", waiting[0].id, **fields))
    assert before == waiting[0].info()


def test_a_job_tells_that_its_queue_is_paused(
    admin: FlaskClient, waiting: list[Job[int]]
) -> None:
    document = admin.get(f"/jobs/jobs/{waiting[0].id}.json").get_json()

    assert document["paused_at"]
    assert "Queue slow is paused" in admin.get(f"/jobs/jobs/{waiting[0].id}").text


def test_a_failed_job_runs_again_with_other_arguments(
    admin: FlaskClient, failed: list[Job[None]]
) -> None:
    """And leads to the new job, which tells where it comes from."""
    arguments = json.dumps({"text": "corrected"})
    answer = act(admin, "rerun-job", failed[0].id, arguments=arguments, timeout="1m")
    page = told(admin, answer)
    new_id = failed[0].info().retried_as

    assert answer.location.endswith(f"/jobs/{new_id}")
    assert "It runs again with other arguments, timeout" in page
    error = Job.get(new_id).exception(20)
    assert "corrected" == str(error)
    assert failed[0].id in page


def test_a_job_that_succeeded_is_cloned(
    admin: FlaskClient, reader: FlaskClient
) -> None:
    """With the arguments that its page shows, changed or not; of the task it shows."""
    job = add.options(tags={"t": "x"}).delay(1, 2)
    job.result(20)
    arguments = json.dumps({"a": 1, "b": 2})
    words = {"task": "jobs:add", "arguments": arguments, "priority": "5"}
    answer = act(admin, "clone-job", job.id, **words)
    page = told(admin, answer)
    new = Job.get(answer.location.rpartition("/")[2])

    assert "actions/clone-job" in admin.get(f"/jobs/jobs/{job.id}").text
    assert f"This is a new job, made from {job.id}." in page
    assert (3, 5) == (new.result(20), new.info().priority)
    assert "no JSON" in told(admin, act(admin, "clone-job", job.id, task="jobs:add"))
    other = act(admin, "clone-job", job.id, arguments=arguments, task="jobs:boom")
    assert "of another task" in told(admin, other)
    assert 403 == act(reader, "clone-job", job.id, **words).status_code
    assert ["refused: the role is read", "clone-job"] == [
        audits()[0].outcome,
        audits()[-1].what,
    ]


def test_a_waiting_job_is_cloned(admin: FlaskClient, waiting: list[Job[int]]) -> None:
    """With its sealed call, unless that is changed; it goes on waiting."""
    answer = act(admin, "clone-job", waiting[2].id, queue="default")
    new = Job.get(answer.location.rpartition("/")[2])

    assert 3 == new.result(20)
    assert "queued" == waiting[2].status


def test_a_page_that_cannot_clone_says_what_can(admin: FlaskClient) -> None:
    """Its arguments are not shown in full."""
    job = says.delay("x" * 5000)
    job.result(20)
    page = admin.get(f"/jobs/jobs/{job.id}").text

    assert "actions/clone-job" not in page
    assert f"worker-lib jobs clone {job.id}" in page


def test_what_cannot_be_seen_is_shown_as_escapes(admin: FlaskClient) -> None:
    """A name, an argument or an error cannot reorder a line or end a text."""
    job = boom.options(tags={"t": "a"}).delay("\x1b[31m\u202egpj.exe\x00")
    job.wait(20)
    page = admin.get(f"/jobs/jobs/{job.id}").text

    assert not {"\x1b", "\u202e", "\x00"} & set(page)
    assert "\\x1b[31m\\u202egpj.exe" in page


def test_the_log_is_on_the_page_and_a_file(
    admin: FlaskClient,
) -> None:
    """As it was printed in the file, without what cannot be seen on the page."""
    job = says.delay("a\x1b[2Jb\r\n<i>end</i>")
    job.wait(20)
    page = admin.get(f"/jobs/jobs/{job.id}").text
    answer = admin.get(f"/jobs/jobs/{job.id}/log.txt")

    assert "a\\x1b[2Jb\n&lt;i&gt;end&lt;/i&gt;\n</pre>" in page
    assert "data-feed" not in page
    assert b"a\x1b[2Jb\r\n<i>end</i>\n" == answer.data
    assert "attachment" in answer.headers["Content-Disposition"]


def test_a_log_is_followed_to_its_end() -> None:
    """From the position that the browser has, in pieces that fit together."""
    job = says.delay("one\ntwo")
    job.wait(20)
    query = {"id": job.id, "last_event_id": ""}
    events = [one for one in follow_log(query) if one]
    position = events[0].id
    again = [one for one in follow_log({**query, "last_event_id": position}) if one]

    assert ["log", "end"] == [one.name for one in events]
    assert "one\ntwo\n" == events[0].data
    assert ["end"] == [one.name for one in again]


def test_a_job_of_many_leads_to_its_batch(admin: FlaskClient) -> None:
    """With how far that is."""
    Queue("slow").pause()
    batch = add.options(queue="slow").delay_many([(1, 2), (3, 4)])
    job = next(batch.jobs())
    job.cancel()
    document = admin.get(f"/jobs/jobs/{job.id}.json").get_json()["batch"]
    page = admin.get(f"/jobs/jobs/{job.id}").text

    assert (batch.id, 2, 1) == tuple(
        document[name] for name in ("id", "total", "ended")
    )
    assert "1 of 2 jobs ended" in page
    assert f"/jobs/batches/{batch.id}" in page
