"""`worker-lib jobs`, `job` and `queues`: what they print, change and exit with."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import jobs
import pytest

from worker_lib import Job
from worker_lib.calls.codec import OUTPUT
from worker_lib.cli import main
from worker_lib.client.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from store_rig import StoreRig

    from worker_lib.client.client import Client

LATER: Any = {"delay": "1h"}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The lines of stdout, split at tabs."""
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        """What stdout holds."""
        return json.loads(self.out)


@pytest.fixture
def run(client: Client, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command against this test's Redis."""

    def command(*words: str) -> Ran:
        try:
            code = main(words)
        except SystemExit as end:
            code = int(str(end.code))
        return Ran(code, *capsys.readouterr())

    return command


def failed_job() -> Job[Any]:
    """Return a job that has failed."""
    job = jobs.boom.options(tags={"tenant": "x"}).delay("no\x1b good")
    assert job.exception(timeout=20)
    return job


def test_jobs_are_lines_with_tabs_for_programs(run: Callable[..., Ran]) -> None:
    """Newest first, no header, no colour, and nothing that a terminal obeys."""
    failed = failed_job()
    late = jobs.add.options(**LATER, queue="high").delay(1, 2)

    ran = run("jobs")

    assert (0, "") == (ran.code, ran.err)
    assert [late.id, failed.id] == [row[0] for row in ran.rows]
    first, second = ran.rows
    assert ["jobs:add", "scheduled", "high", "0/1"] == first[1:5]
    assert ["tenant=x", "ValueError: no\\x1b good"] == second[6:]


def test_jobs_are_a_table_for_people(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a header, columns in line, and no wider than the terminal."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    failed = failed_job()
    jobs.add.options(**LATER, queue="a-long-name").delay(1, 2)

    header, *lines = run("jobs").out.splitlines()

    assert ["ID", "TASK", "STATUS", "QUEUE"] == header.split()[:4]
    assert failed.id == lines[1].split()[0]
    at = header.index("QUEUE")
    assert ["a-long-name", "default"] == [line[at:].split()[0] for line in lines]
    assert 100 == max(map(len, lines))


def test_jobs_in_json_have_stable_names_and_times_in_utc(
    run: Callable[..., Ran],
) -> None:
    """One object; `after` leads to the next page."""
    failed = failed_job()
    late = jobs.add.options(**LATER, key="k", priority=3).delay(1, 2)

    told = run("jobs", "--json", "--limit", "1").json
    (info,) = told["jobs"]
    assert (late.id, late.id) == (told["after"], info["id"])
    assert ("k", 3, {}, []) == tuple(
        info[name] for name in ("key", "priority", "tags", "attempts")
    )
    assert ISO.fullmatch(info["created_at"])
    assert ISO.fullmatch(info["due_at"])

    told = run("jobs", "--json", "--limit", "1", "--after", late.id).json
    (info,) = told["jobs"]
    assert (None, failed.id) == (told["after"], info["id"])
    (attempt,) = info["attempts"]
    assert ("error", 1) == (attempt["outcome"], attempt["number"])
    assert ISO.fullmatch(attempt["started_at"])


def test_more_jobs_than_the_limit_are_told_of(run: Callable[..., Ran]) -> None:
    """On stderr, with the option that shows them."""
    made = [jobs.add.options(**LATER).delay(1, 2).id for _ in range(3)][::-1]

    ran = run("jobs", "--limit", "2")

    assert made[:2] == [row[0] for row in ran.rows]
    assert f"there are more: --after {made[1]}, or a larger --limit" in ran.err
    assert "" == run("jobs", "--limit", "3").err
    assert made[2:] == [row[0] for row in run("jobs", "--after", made[1]).rows]


def test_jobs_are_filtered(run: Callable[..., Ran]) -> None:
    """By each option, and by all together."""
    failed = failed_job()
    jobs.add.options(**LATER, queue="high").delay(1, 2)

    for words in (
        ["--status", "failed"],
        ["--queue", "default"],
        ["--task", "jobs:boom"],
        ["--tag", "tenant=x"],
        ["--tag", "tenant=x", "--status", "failed", "--since", "1h"],
    ):
        assert [failed.id] == [row[0] for row in run("jobs", *words).rows]
    assert (0, "", "no such job\n") == run("jobs", "--since", "1ms")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["jobs", "--status", "fialed"], 2, "did you mean 'failed'?"),
        (["jobs", "--tag", "tenant"], 2, "write it as NAME=VALUE"),
        (["jobs", "--limit", "0"], 2, "--limit='0': use a whole number from 1"),
        (["jobs", "--limit", "many"], 2, "--limit='many': use a whole number"),
        (["jobs", "--since", "soon"], 2, "is not a duration"),
        (["jobs", "--after", "nope"], 3, "there is no job nope"),
        (["jobs", "--tga", "x"], 2, "did you mean '--tag'?"),
        (["job", "show", "nope"], 3, "there is no job nope"),
        (["job", "logs", "nope"], 3, "there is no job nope"),
        (["job", "retry", "nope"], 3, "there is no job nope"),
        (["job", "edit", "nope", "--first"], 3, "there is no job nope"),
        (["job", "edit", "nope"], 2, "name a change: --queue, --priority"),
        (["job", "edit", "nope", "--firts"], 2, "did you mean '--first'?"),
        (["job"], 2, "required: ACTION"),
        (["job", "shwo", "x"], 2, "invalid choice: 'shwo'"),
        (["queues", "pause"], 2, "pause takes some queues"),
        (["queues", "list", "high"], 2, "list takes no queues"),
        (["queues", "pause", "a b"], 2, "use 1 to 64 letters"),
    ],
)
def test_a_wrong_word_has_its_exit_code_and_remedy(
    run: Callable[..., Ran], words: list[str], code: int, said: str
) -> None:
    """On stderr; stdout stays empty."""
    ran = run(*words)

    assert (code, "") == (ran.code, ran.out)
    assert said in ran.err


def test_a_job_is_shown_with_its_attempts(run: Callable[..., Ran]) -> None:
    """What is empty is left out of the text, and nothing out of the JSON."""
    job = failed_job()

    text = run("job", "show", job.id).out
    assert "status: failed\n" in text
    assert "error: ValueError: no\\x1b good\n" in text
    assert "tags: tenant=x\n" in text
    assert "retry_of" not in text
    row = text.splitlines()[-1].split("\t")
    assert ("1", "error") == (row[0], row[5])

    told = run("job", "show", job.id, "--json").json
    assert ("", None, {"tenant": "x"}) == (
        told["retry_of"],
        told["progress"],
        told["tags"],
    )


def test_jobs_are_retried_from_the_command_line(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    """The new ids are the data; one that is refused does not stop the others."""
    task = jobs.succeeds_at_last.options(retry=1)
    failed = [task.delay(str(tmp_path / str(n)), tries=2) for n in range(2)]
    assert all(job.exception(timeout=20) for job in failed)
    late = jobs.add.options(**LATER).delay(1, 2)
    words = [failed[0].id, late.id, failed[1].id]

    ran = run("job", "retry", *words, "--yes")

    assert 1 == ran.code
    assert f"job {late.id} is scheduled: only one that failed" in ran.err
    assert [job.id for job in failed] == [row[0] for row in ran.rows]
    assert [2, 2] == [Job.get(row[1]).result(timeout=20) for row in ran.rows]
    told = run("job", "retry", failed[0].id, "--json").json["jobs"]
    assert 3 == Job.get(told[failed[0].id]).result(timeout=20)


def test_a_job_is_cancelled_edited_and_deleted(run: Callable[..., Ran]) -> None:
    """Each prints what the job is afterwards."""
    job = jobs.add.options(**LATER).delay(1, 2)
    Queue("high").pause()

    told = run("job", "edit", job.id, "--queue", "high", "--priority", "-5", "--json")
    assert ("high", -5) == (told.json["queue"], told.json["priority"])
    ran = run("job", "edit", job.id, "--delay", "0", "--first")
    assert f"{job.id}: queued in high, -5\n" == ran.out
    assert {"jobs": {job.id: "cancelled"}} == run(
        "job", "cancel", job.id, "--json"
    ).json
    assert 1 == run("job", "edit", job.id, "--first").code
    assert f"{job.id}\tdeleted\n" == run("job", "delete", job.id, "--yes").out
    assert 3 == run("job", "show", job.id).code


def test_nothing_is_unpickled_by_the_command_line(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    """Whatever is looked at, run again, edited or deleted."""
    late = jobs.echo.options(**LATER).delay(_Mark(tmp_path / "marked"))
    gone = jobs.echo.options(**LATER).delay(_Mark(tmp_path / "marked"))
    gone.cancel()

    for words in (
        ["jobs", "--json"],
        ["job", "show", late.id],
        ["job", "edit", late.id, "--queue", "high", "--first"],
        ["job", "retry", gone.id],
        ["job", "logs", gone.id],
        ["job", "cancel", late.id],
        ["job", "delete", late.id, "--yes"],
    ):
        assert 0 == run(*words).code
    assert not (tmp_path / "marked").exists()


class _Mark:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return self.path.touch, ()


@pytest.mark.parametrize(
    ("answer", "code", "gone"), [("y\n", 0, True), ("\n", 2, False), ("", 2, False)]
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

    ran = run("job", "delete", job.id)

    assert (code, gone) == (ran.code, run("job", "show", job.id).code == 3)
    assert f"delete job {job.id}? [y/N] " in ran.err


@pytest.mark.parametrize("words", [["delete"], ["cancel", "other"], ["retry", "other"]])
def test_where_nobody_can_be_asked_yes_is_wanted(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """For what deletes, and for more than one job."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    job = jobs.add.options(**LATER).delay(1, 2)

    ran = run("job", *words, job.id)

    assert (2, "") == (ran.code, ran.out)
    assert "add --yes" in ran.err
    assert "scheduled" == job.status


def test_queues_are_listed_paused_and_resumed(run: Callable[..., Ran]) -> None:
    """Jobs of a paused queue wait until it is resumed, from wherever."""
    ran = run("queues", "pause", "bulk", "mail")
    assert (0, "bulk: paused\nmail: paused\n") == (ran.code, ran.err)
    job = jobs.add.options(queue="bulk").delay(1, 2)

    bulk, mail = run("queues", "--json").json["queues"]
    assert ("bulk", 1, "mail", 0) == (
        *(bulk["name"], bulk["waiting"]),
        *(mail["name"], mail["waiting"]),
    )
    assert ISO.fullmatch(bulk["paused_at"])
    assert None is mail["next_created_at"]
    assert ["bulk", "1"] == run("queues", "list").rows[0][:2]

    assert [["mail", "0"]] == [
        row[:2] for row in run("queues", "resume", "bulk").rows if row[0] == "mail"
    ]
    assert 3 == job.result(timeout=20)
    assert 0 == run("queues", "resume", "mail").code
    assert (0, "", "nothing waits, and no queue is paused\n") == run("queues")


def test_what_a_job_printed_is_read(run: Callable[..., Ran], rig: StoreRig) -> None:
    """As text, or as JSON."""
    machine, job = rig.running()
    assert (0, "", "it has printed nothing\n") == run("job", "logs", job.id)
    text = "one\x1btwo\n"
    sealed = rig.codec.seal(
        text.encode(), kind=OUTPUT, job_id=job.id, fence=str(job.fence)
    )
    machine.report(job, "succeeded", output=sealed)

    assert "one\\x1btwo\n" == run("job", "logs", job.id).out
    told = run("job", "logs", job.id, "--json").json
    assert {"job_id": job.id, "logs": text} == told
    assert 2 == run("job", "logs", job.id, "--attempt", "2").code
