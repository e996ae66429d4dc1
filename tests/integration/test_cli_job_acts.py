"""What `worker-lib jobs` does with jobs: retry, clone, cancel, delete, move, edit."""

from __future__ import annotations

import getpass
import io
import socket
import sys
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from commands import LATER, failed_job

from worker_lib import Job
from worker_lib.client.queues import Queue
from worker_lib.dashboard.registry import Registry
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from commands import Ran


def test_jobs_are_retried_from_the_command_line(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    """The new ids are the data; one that is refused does not stop the others."""
    task = jobs.succeeds_at_last.options(retry=1)
    failed = [task.delay(str(tmp_path / str(n)), tries=2) for n in range(2)]
    assert all(job.exception(timeout=20) for job in failed)
    late = jobs.add.options(**LATER).delay(1, 2)
    words = [failed[0].id, late.id, failed[1].id]

    ran = run("jobs", "retry", *words, "--yes")

    assert 1 == ran.code
    assert f"job {late.id} is scheduled: only one that failed" in ran.err
    assert [job.id for job in failed] == [row[0] for row in ran.rows]
    assert [2, 2] == [Job.get(row[1]).result(timeout=20) for row in ran.rows]
    told = run("jobs", "retry", failed[0].id, "--json").json["jobs"]
    assert 3 == Job.get(told[failed[0].id]).result(timeout=20)


def test_a_job_is_cancelled_edited_and_deleted(run: Callable[..., Ran]) -> None:
    """Each prints what the job is afterwards."""
    job = jobs.add.options(**LATER).delay(1, 2)
    Queue("high").pause()

    told = run("jobs", "edit", job.id, "--queue", "high", "--priority", "-5", "--json")
    assert ("high", -5) == (told.json["queue"], told.json["priority"])
    ran = run("jobs", "edit", job.id, "--delay", "0", "--first")
    assert f"{job.id}: queued in high, -5\n" == ran.out
    assert {"jobs": {job.id: "cancelled"}} == run(
        "jobs", "cancel", job.id, "--json"
    ).json
    assert 1 == run("jobs", "edit", job.id, "--first").code
    assert f"{job.id}\tdeleted\n" == run("jobs", "delete", job.id, "--yes").out
    assert 3 == run("jobs", "show", job.id).code


def test_a_job_is_cloned(run: Callable[..., Ran]) -> None:
    """One that succeeded with the arguments that are shown, after a question."""
    late = jobs.add.options(**LATER, key="k").delay(1, 2)
    made = run("jobs", "clone", late.id, "--args", "[3, 4]", "--kwargs", "{}")
    job = Job.get(made.out.strip())
    assert 7 == job.result(timeout=20)

    asked = run("jobs", "clone", job.id)
    assert (2, "") == (asked.code, asked.out)
    assert "call jobs:add with" in asked.err
    assert '"kwargs": {"a": 3, "b": 4}' in asked.err
    told = run("jobs", "clone", job.id, "--yes", "--priority", "9", "--json")
    other = Job.get(told.json["job_id"])
    assert (7, 9) == (other.result(timeout=20), other.info().priority)
    wrong = run("jobs", "clone", job.id, "--yes", "--kwargs", '{"c": 1}')
    assert (2, True) == (wrong.code, "cannot be called like this" in wrong.err)
    assert ["clone-job", "clone-job"] == [entry.what for entry in audits()]


def test_what_is_not_shown_in_full_has_to_be_given(run: Callable[..., Ran]) -> None:
    job = jobs.echo.delay({1, 2})
    job.result(timeout=20)
    ran = run("jobs", "clone", job.id, "--yes")

    assert (2, "") == (ran.code, ran.out)
    assert "give --args and --kwargs" in ran.err


def test_nothing_is_unpickled_by_the_command_line(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    """Whatever is looked at, run again, edited or deleted."""
    Queue("default").pause()  # what is run again stays where it is
    late = jobs.echo.options(**LATER).delay(_Mark(tmp_path / "marked"))
    gone = jobs.echo.options(**LATER).delay(_Mark(tmp_path / "marked"))
    gone.cancel()

    for words in (
        ["jobs", "list", "--json"],
        ["jobs", "show", late.id],
        ["jobs", "edit", late.id, "--queue", "high", "--first"],
        ["jobs", "retry", gone.id],
        ["logs", gone.id],
        ["logs", "-f", gone.id],
        ["jobs", "failures"],
        ["stats", "--json"],
        ["top", "--once"],
        ["machines", "list", "--json"],
        ["jobs", "retry", "--all", "--status", "cancelled", "--yes"],
        ["jobs", "cancel", late.id],
        ["jobs", "delete", late.id, "--yes"],
    ):
        assert 0 == run(*words).code
    assert 1 == run("jobs", "wait", gone.id).code
    assert not (tmp_path / "marked").exists()


class _Mark:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return self.path.touch, ()


@pytest.mark.parametrize(
    ("answer", "code", "gone"), [("y\n", 0, True), ("\n", 1, False), ("", 1, False)]
)
def test_a_person_is_asked_before_jobs_are_deleted(
    run: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    gone: bool,
) -> None:
    """No is the default, and what no answer means."""
    job = jobs.add.options(**LATER).delay(1, 2)
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", stdin)

    ran = run("jobs", "delete", job.id)

    assert (code, gone) == (ran.code, run("jobs", "show", job.id).code == 3)
    assert f"delete job {job.id}? [y/N] " in ran.err


@pytest.mark.parametrize("words", [["delete"], ["cancel", "other"], ["retry", "other"]])
def test_where_nobody_can_be_asked_yes_is_wanted(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """For what deletes, and for more than one job."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    job = jobs.add.options(**LATER).delay(1, 2)

    ran = run("jobs", *words, job.id)

    assert (2, "") == (ran.code, ran.out)
    assert "add --yes" in ran.err
    assert "scheduled" == job.status


def test_all_jobs_that_fit_are_retried(run: Callable[..., Ran], tmp_path: Path) -> None:
    """After they were counted and somebody said yes; each of them once."""
    task = jobs.succeeds_at_last.options(retry=1, tags={"tenant": "x"})
    failed = [task.delay(str(tmp_path / str(n)), tries=2) for n in range(3)]
    assert all(job.exception(timeout=20) for job in failed)
    other = failed_job()
    words = ["jobs", "retry", "--all", "--status", "failed"]
    ours = [*words, "--task", "jobs:succeeds_at_last"]

    ran = run(*ours)
    assert (2, "") == (ran.code, ran.out)
    assert "retry 3 jobs: add --yes" in ran.err
    ran = run(*ours, "--limit", "2", "--yes")
    assert [job.id for job in failed[:0:-1]] == [row[0] for row in ran.rows]
    assert "there are more: retry again\n" == ran.err
    assert [2, 2] == [Job.get(row[1]).result(timeout=20) for row in ran.rows]

    assert [failed[0].id, other.id] == sorted(
        (row[0] for row in run(*words, "--yes").rows),
        key=[failed[0].id, other.id].index,
    )
    assert (0, "", "there is nothing to retry\n") == run(*ours, "--yes")


def test_all_jobs_that_fit_are_cancelled_and_deleted(run: Callable[..., Ran]) -> None:
    """Those with which it can be done; the others are not counted."""
    ended, late = failed_job(), jobs.add.options(**LATER).delay(1, 2)

    assert [[late.id, "cancelled"]] == run("jobs", "cancel", "--all", "--yes").rows
    gone = run("jobs", "delete", "--all", "--yes", "--json").json
    assert {"jobs": {late.id: "deleted", ended.id: "deleted"}} == gone
    assert (0, "", "no such job\n") == run("jobs", "list")


def test_waiting_jobs_move_to_another_queue(run: Callable[..., Ran]) -> None:
    """Those named, or all that fit."""
    Queue("bulk").pause()
    late = [jobs.add.options(**LATER).delay(1, 2) for _ in range(3)]

    assert [[late[0].id, "moved"]] == run(
        "jobs", "move", late[0].id, "--to", "bulk"
    ).rows
    ran = run("jobs", "move", "--all", "--queue", "default", "--to", "bulk", "--yes")
    assert {late[1].id, late[2].id} == {row[0] for row in ran.rows}
    assert {"bulk"} == {job.info().queue for job in late}
    assert 2 == run("jobs", "move", late[0].id).code
    assert 2 == run("jobs", "move", late[0].id, "--to", "no queue").code
    assert {"bulk"} == {job.info().queue for job in late}


def test_a_job_that_has_ended_is_not_cancelled_again(run: Callable[..., Ran]) -> None:
    """Who asks for it is told how it ended."""
    job = failed_job()

    ran = run("jobs", "cancel", job.id)
    assert (1, "") == (ran.code, ran.out)
    assert f"job {job.id} is failed already" in ran.err


def test_a_waiting_job_gets_other_arguments(run: Callable[..., Ran]) -> None:
    """All positional or all named ones; checked where the function is at hand."""
    Queue("bulk").pause()
    job = jobs.add.options(queue="bulk").delay(1, b=2)

    ran = run("jobs", "edit", job.id, "--args", "[1, 2, 3, 4]")
    assert (2, "") == (ran.code, ran.out)
    assert "jobs:add cannot be called so" in ran.err
    assert (
        0 == run("jobs", "edit", job.id, "--args", "[7]", "--kwargs", '{"b": 1}').code
    )
    assert 0 == run("queues", "resume", "bulk").code
    assert 8 == job.result(timeout=20)


def test_what_people_do_is_kept_for_the_audit(run: Callable[..., Ran]) -> None:
    """Who, what, to how many jobs; with what was refused, and no mere look."""
    Queue("bulk").pause()
    made = [jobs.add.options(queue="bulk").delay(1, 2).id for _ in range(3)]

    run("jobs", "list")
    run("jobs", "edit", made[0], "--priority", "3")
    run("jobs", "cancel", *made[:2], "nope", "--yes")
    run("queues", "pause", "bulk", "mail")
    run("queues", "purge", "bulk", "--yes")
    run("queues", "resume", "bulk")
    run("jobs", "delete", "--all", "--status", "failed", "--yes")

    found = audits()
    assert {f"{getpass.getuser()}@{socket.gethostname()}"} == {one.who for one in found}
    told = [(one.what, one.target, one.total, one.outcome) for one in found]
    assert [
        ("resume-queue", "bulk", 0, "done"),
        ("purge-queue", "bulk", 1, "done"),
        ("pause-queue", "bulk and 1 more", 1, "done"),
        ("cancel-jobs", f"{made[0]} and 1 more", 2, "1 refused"),
        ("edit-job", made[0], 1, "done"),
    ] == told
    assert set(Registry.load().actions) >= {one.what for one in found}
