"""How a job is told to people, in the cases that are rare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from demo.lives import Lives
from demo.view import _SENTENCES, describe, place_of
from worker.tasks import make_report
from worker_lib.errors import JobFailed, ResultExpired
from worker_lib.job import MOVES

if TYPE_CHECKING:
    from flask import Flask

    from worker_lib import Job
    from worker_lib.client.client import Client
    from worker_lib.job import JobInfo, JobStatus


class Ended:
    """A job whose outcome is given beforehand."""

    def __init__(self, outcome: BaseException | None) -> None:
        self._outcome = outcome

    def result(self, timeout: float) -> dict[str, Any]:
        """Raise the outcome."""
        raise cast("BaseException", self._outcome)

    def exception(self, timeout: float) -> BaseException | None:
        """Return the outcome."""
        return self._outcome


@pytest.fixture
def info(client: Client) -> JobInfo:
    """What is known of a job of ours."""
    return make_report.options(delay="1h").delay("Figures", 1).info()


def _told(
    info: JobInfo,
    status: JobStatus,
    outcome: BaseException | None,
    *,
    public: bool = False,
) -> dict[str, Any]:
    ended = info._replace(status=status)
    return describe(
        cast("Job[Any]", Ended(outcome)), ended, "x", Lives(), public=public
    )


def test_an_expired_result_says_so(app: Flask, info: JobInfo) -> None:
    """It is no failure of the job."""
    job = _told(info, "succeeded", ResultExpired("kept no longer than its result_ttl"))

    assert "gone" == job["error"]["kind"]
    with app.test_request_context():
        page = app.jinja_env.get_template("_panel.html").render(job=job)
    assert "The result has expired." in page
    assert "result_ttl" in page


def test_a_death_without_an_exception_is_told_by_its_kind(info: JobInfo) -> None:
    """Out of memory is not the task's error."""
    death = JobFailed("killed at 512 MB", kind="out_of_memory")

    expected = {
        "kind": "out_of_memory",
        "type": "",
        "message": "killed at 512 MB",
        "trace": "",
    }
    assert expected == _told(info, "failed", death)["error"]


def test_the_public_learns_what_failed_and_nothing_of_the_servers(
    info: JobInfo,
) -> None:
    """A traceback names paths, a refusal by Fly names apps; an owner sees both."""
    error = ValueError("no such colour")
    error.__cause__ = JobFailed(
        "no such colour",
        kind="error",
        remote_type="ValueError",
        remote_traceback='File "/app/worker/tasks.py", line 9',
    )
    waiting = info._replace(trouble="POST /v1/apps/secret-app: 401")

    assert "/app/worker" in _told(info, "failed", error)["error"]["trace"]
    told = _told(info, "failed", error, public=True)
    assert ("no such colour", "ValueError", "") == (
        told["error"]["message"],
        told["error"]["type"],
        told["error"]["trace"],
    )
    assert "secret-app" in _told(waiting, "queued", None)["trouble"]
    assert "secret-app" not in str(_told(waiting, "queued", None, public=True))


@pytest.mark.parametrize(
    ("url", "origin", "place"),
    [
        ("https://b.s3.r.amazonaws.com/k", "https://b.s3.r.amazonaws.com", "shown"),
        ("https://b.s3.r.amazonaws.com/k", "", "linked"),
        ("https://other.example/k", "https://b.s3.r.amazonaws.com", "linked"),
        ("http://127.0.0.1:1/k", "http://127.0.0.1:2", "gone"),
    ],
)
def test_a_file_is_shown_only_where_the_policy_allows_it(
    url: str, origin: str, place: str
) -> None:
    """One in a bucket that this app does not know is linked, not called gone."""
    assert place == place_of(url, origin)


def test_files_of_a_stand_in_that_stopped_are_not_linked(
    app: Flask, info: JobInfo
) -> None:
    """Jobs outlive stand-ins: dead links would look like a fault."""
    result = {"url": "http://127.0.0.1:1/x", "pages": 1, "size_bytes": 10}
    job = {**_told(info, "cancelled", None), "status": "succeeded", "result": result}

    with app.test_request_context():
        page = app.jinja_env.get_template("_panel.html").render(job=job)
    assert "has been stopped since" in page
    assert "127.0.0.1:1/x" not in page


def test_results_of_other_programs_are_not_read(info: JobInfo) -> None:
    """They are pickles that no page of ours asked for."""
    other = info._replace(task="__main__:add", status="succeeded")
    job = describe(
        cast("Job[Any]", Ended(AssertionError("was read"))),
        other,
        "x",
        Lives(),
        public=False,
    )

    assert (None, None) == (job["result"], job["error"])
    assert "__main__:add" == job["title"]


def test_every_status_has_a_sentence() -> None:
    """But for `succeeded`, which has one for each kind of job."""
    assert {move.target for move in MOVES} - {"succeeded"} == _SENTENCES.keys()
