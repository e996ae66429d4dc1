"""`worker-lib jobs`, `logs` and `queues`: what they print, change and exit with."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import jobs
import pytest
import redis
from commands import LATER, failed_job

from worker_lib.calls.codec import OUTPUT
from worker_lib.cli import main
from worker_lib.client.queues import Queue
from worker_lib.printable import printable
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from commands import Ran
    from store_rig import StoreRig

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_jobs_are_lines_with_tabs_for_programs(run: Callable[..., Ran]) -> None:
    """Newest first, no header, no colour, and nothing that a terminal obeys."""
    failed = failed_job()
    late = jobs.add.options(**LATER, queue="high").delay(1, 2)

    ran = run("jobs", "list")

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

    header, *lines = run("jobs", "list").out.splitlines()

    assert ["ID", "TASK", "STATUS", "QUEUE"] == header.split()[:4]
    assert failed.id == lines[1].split()[0]
    at = header.index("QUEUE")
    assert ["a-long-name", "default"] == [line[at:].split()[0] for line in lines]
    assert 100 == max(map(len, lines))


def test_statuses_have_colours_for_people(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However narrow the terminal, no line is longer and every colour ends."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    failed_job()

    for columns in (100, 38, 20):
        monkeypatch.setenv("COLUMNS", str(columns))
        _, line = run("jobs", "list").out.splitlines()
        assert line.count("\x1b[31m") == line.count("\x1b[0m") == (columns > 33)
        assert len(re.sub(r"\x1b\[\d+m", "", line)) <= columns


def test_jobs_in_json_have_stable_names_and_times_in_utc(
    run: Callable[..., Ran],
) -> None:
    """One object; `after` leads to the next page."""
    failed = failed_job()
    late = jobs.add.options(**LATER, key="k", priority=3).delay(1, 2)

    told = run("jobs", "list", "--json", "--limit", "1").json
    (info,) = told["jobs"]
    assert (late.id, late.id) == (told["after"], info["id"])
    assert ("k", 3, {}, []) == tuple(
        info[name] for name in ("key", "priority", "tags", "attempts")
    )
    assert ISO.fullmatch(info["created_at"])
    assert ISO.fullmatch(info["due_at"])

    told = run("jobs", "list", "--json", "--limit", "1", "--after", late.id).json
    (info,) = told["jobs"]
    assert (None, failed.id) == (told["after"], info["id"])
    (attempt,) = info["attempts"]
    assert ("error", 1) == (attempt["outcome"], attempt["number"])
    assert ISO.fullmatch(attempt["started_at"])


def test_more_jobs_than_the_limit_are_told_of(run: Callable[..., Ran]) -> None:
    """On stderr, with the option that shows them."""
    made = [jobs.add.options(**LATER).delay(1, 2).id for _ in range(3)][::-1]

    ran = run("jobs", "list", "--limit", "2")

    assert made[:2] == [row[0] for row in ran.rows]
    assert f"there are more: --after {made[1]}, or a larger --limit" in ran.err
    assert "" == run("jobs", "list", "--limit", "3").err
    assert made[2:] == [row[0] for row in run("jobs", "list", "--after", made[1]).rows]


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
        assert [failed.id] == [row[0] for row in run("jobs", "list", *words).rows]
    assert (0, "", "no such job\n") == run("jobs", "list", "--since", "1ms")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["jobs", "list", "--status", "fialed"], 2, "did you mean 'failed'?"),
        (["jobs", "list", "--tag", "tenant"], 2, "write it as NAME=VALUE"),
        (["jobs", "list", "--limit", "0"], 2, "--limit='0': use a whole number from 1"),
        (["jobs", "list", "--limit", "many"], 2, "--limit='many': use a whole number"),
        (["jobs", "list", "--since", "soon"], 2, "is not a duration"),
        (["jobs", "list", "--after", "nope"], 3, "there is no job nope"),
        (["jobs", "list", "--tga", "x"], 2, "did you mean '--tag'?"),
        (["jobs", "show", "nope"], 3, "there is no job nope"),
        (["logs", "nope"], 3, "there is no job nope"),
        (["jobs", "retry", "nope"], 3, "there is no job nope"),
        (["jobs", "edit", "nope", "--first"], 3, "there is no job nope"),
        (["jobs", "edit", "nope"], 2, "name a change: --queue, --priority"),
        (["jobs", "edit", "nope", "--firts"], 2, "did you mean '--first'?"),
        (["jobs"], 2, "required: VERB"),
        (["jobs", "shwo", "x"], 2, "invalid choice: 'shwo'"),
        (["jobs", "wait", "nope"], 3, "there is no job nope"),
        (["jobs", "result", "nope"], 3, "there is no job nope"),
        (["jobs", "retry"], 2, "name the jobs by their ids, or all that fit"),
        (["jobs", "retry", "nope", "--all"], 2, "name the jobs by their ids, or all"),
        (["jobs", "delete", "nope", "--tag", "a=b"], 2, "--tag is for --all"),
        (["jobs", "retry", "--all", "--limit", "1001"], 2, "from 1 to 1000"),
        (["jobs", "edit", "nope", "--args", "7"], 2, "write JSON, as --args '[7"),
        (["jobs", "edit", "nope", "--kwargs", "{"], 2, "write JSON, as --kwargs '{"),
        (["logs", "nope", "--lines", "-1"], 2, "use a whole number from 0"),
        (["logs", "nope", "-f"], 3, "there is no job nope"),
        (["logs", "nope", "--since", "yesterday"], 2, "--since"),
        (["queues"], 2, "required: VERB"),
        (["queues", "pause"], 2, "required: NAME"),
        (["queues", "list", "high"], 2, "unexpected argument 'high'"),
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

    text = run("jobs", "show", job.id).out
    assert "status: failed\n" in text
    assert "error: ValueError: no\\x1b good\n" in text
    assert "tags: tenant=x\n" in text
    assert "retry_of" not in text
    (row,) = [line.split("\t") for line in text.splitlines() if "\terror\t" in line]
    assert ("1", "error") == (row[0], row[5])

    told = run("jobs", "show", job.id, "--json").json
    assert ("", None, {"tenant": "x"}) == (
        told["retry_of"],
        told["progress"],
        told["tags"],
    )


def test_queues_are_listed_paused_and_resumed(run: Callable[..., Ran]) -> None:
    """Jobs of a paused queue wait until it is resumed, from wherever."""
    ran = run("queues", "pause", "bulk", "mail")
    assert (0, "bulk\tpaused\nmail\tpaused\n", "") == ran
    job = jobs.add.options(queue="bulk").delay(1, 2)

    bulk, mail = run("queues", "list", "--json").json["queues"]
    assert ("bulk", 1, "mail", 0) == (
        *(bulk["name"], bulk["waiting"]),
        *(mail["name"], mail["waiting"]),
    )
    assert ISO.fullmatch(bulk["paused_at"])
    assert None is mail["next_created_at"]
    assert ["bulk", "1"] == run("queues", "list").rows[0][:2]

    assert [["bulk", "resumed"]] == run("queues", "resume", "bulk").rows
    assert 3 == job.result(timeout=20)
    assert ["mail"] == [row[0] for row in run("queues", "list").rows]
    assert {"queues": {"mail": "resumed"}} == run(
        "queues", "resume", "mail", "--json"
    ).json
    assert (0, "", "nothing waits, and no queue is paused\n") == run("queues", "list")
    assert (0, "", "") == run("queues", "list", "-q")


def test_a_queue_is_emptied(run: Callable[..., Ran]) -> None:
    """What waits is cancelled, whenever it is due; what is elsewhere stays."""
    Queue("bulk").pause()
    bulk = jobs.add.options(queue="bulk")
    waiting = [bulk.delay(1, 2), bulk.options(**LATER).delay(1, 2)]
    elsewhere = jobs.add.options(**LATER).delay(1, 2)

    ran = run("queues", "purge", "bulk")
    assert (2, "") == (ran.code, ran.out)
    assert "cancel what waits in bulk (1 jobs now): add --yes" in ran.err
    assert "bulk\t2 cancelled\n" == run("queues", "purge", "bulk", "--yes").out
    assert ["cancelled", "cancelled"] == [job.status for job in waiting]
    assert "scheduled" == elsewhere.status
    told = run("queues", "purge", "bulk", "default", "--yes", "--json").json
    assert {"cancelled": {"bulk": 0, "default": 1}} == told


def test_jobs_are_awaited(run: Callable[..., Ran]) -> None:
    """The exit code says whether all succeeded, one did not, or time was over."""
    good = jobs.add.delay(1, 2)
    assert (0, f"{good.id}\tsucceeded\n", "") == run("jobs", "wait", good.id)
    bad, late = failed_job(), jobs.add.options(**LATER).delay(1, 2)

    ran = run("jobs", "wait", good.id, bad.id)
    assert (1, [[good.id, "succeeded"], [bad.id, "failed"]]) == (ran.code, ran.rows)
    ran = run("jobs", "wait", bad.id, late.id, "--timeout", "50ms", "--json")
    assert (4, {"jobs": {bad.id: "failed", late.id: "scheduled"}}) == (
        ran.code,
        ran.json,
    )


def test_what_a_job_prints_is_followed(run: Callable[..., Ran]) -> None:
    """To its end, as text or as JSON lines, of all attempts or one."""
    job = jobs.says.delay("hello")
    line = {"attempt": 1, "text": "hello", "at": None, "level": "", "logger": ""}

    assert "hello\n" == run("logs", "-f", job.id).out
    for more in ([], ["--attempt", "1"], ["-n", "9"], ["--since", "1h"]):
        (found,) = run("logs", "-f", job.id, "--json", *more).out.splitlines()
        assert {**line, "fields": {}} == json.loads(found)
    for more in (["-n", "0"], ["--since", "0.001s"]):
        assert (0, "") == run("logs", "-f", job.id, *more)[:2]
    assert 2 == run("logs", "-f", job.id, "--attempt", "2").code


def test_a_result_is_printed_as_run_prints_it(run: Callable[..., Ran]) -> None:
    """What it returned or raised; 4 while it has not, and the job goes on."""
    added, failed = jobs.add.delay(1, 2), failed_job()
    late = jobs.add.options(**LATER).delay(1, 2)

    assert (0, "3\n", "") == run("jobs", "result", added.id, "--timeout", "20s")
    told = run("jobs", "result", added.id, "--json").json
    assert {
        "job_id": added.id,
        "outcome": "succeeded",
        "result": 3,
        "error": "",
    } == told
    ran = run("jobs", "result", failed.id)
    assert (1, "") == ran[:2]
    assert ran.err.endswith("ValueError: no\\x1b good\n")
    ran = run("jobs", "result", late.id, "--timeout", "0")
    assert (4, "") == ran[:2]
    assert "is not done after 0 s" in ran.err


NASTY = "a\x1b]0;title\x07\x9b2J\u202eb\r\x08"


@pytest.mark.parametrize(
    "words",
    [
        ["jobs", "list"],
        ["jobs", "list", "--json"],
        ["jobs", "failures"],
        ["jobs", "failures", "--json"],
        ["jobs", "show", "ID"],
        ["jobs", "show", "ID", "--json"],
        ["jobs", "wait", "ID"],
        ["logs", "ID"],
        ["logs", "-f", "ID"],
        ["logs", "-f", "ID", "--json"],
        ["machines", "show", "MACHINE"],
        ["machines", "show", "MACHINE", "--json"],
        ["stats"],
        ["top", "--once"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_obeys_nothing_that_others_wrote(
    run: Callable[..., Ran],
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    terminal: bool,
) -> None:
    """Arguments, errors, output, tasks, queues and machines, on any stream."""
    job = jobs.says_and_raises.delay(NASTY)
    assert job.exception(timeout=20)
    record = f"{key_prefix(client.settings.namespace)}:job:{job.id}"
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        told = {"region": NASTY, "trace": NASTY, "tail": NASTY, "priority": "0"}
        connection.hset(record, mapping=told)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    names = {"ID": job.id, "MACHINE": job.info().machine_id}

    ran = run(*(names.get(word, word) for word in words))

    shown = ran.out + ran.err
    assert "" != shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "words",
    [
        ["enqueue", "jobs:add", "1"],
        ["jobs", "list"],
        ["jobs", "failures"],
        ["jobs", "wait", "x"],
        ["jobs", "retry", "--all", "--status", "failed", "--yes"],
        ["logs", "x"],
        ["queues", "list"],
        ["queues", "purge", "bulk", "--yes"],
        ["machines", "list"],
        ["stats"],
        ["top"],
        ["top", "--json"],
        ["replay", "x"],
        ["sweep"],
    ],
    ids=" ".join,
)
def test_without_redis_each_command_exits_with_5(
    emulator: Emulator,
    make_client: Callable[..., Client],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    """One sentence on stderr, nothing on stdout."""
    make_client(emulator, redis_url="unix:///nowhere")

    assert 5 == main(words)

    printed = capsys.readouterr()
    assert "" == printed.out
    assert printed.err.startswith("worker-lib: Redis at /nowhere cannot be reached")
    assert 1 == printed.err.count("\n")


def test_what_a_job_printed_is_read(run: Callable[..., Ran], rig: StoreRig) -> None:
    """As text, or as JSON."""
    machine, job = rig.running()
    assert (0, "", "it has printed nothing\n") == run("logs", job.id)
    text = "one\x1btwo\n"
    sealed = rig.codec.seal(
        text.encode(), kind=OUTPUT, job_id=job.id, fence=str(job.fence)
    )
    machine.report(job, "succeeded", output=sealed)

    assert "one\\x1btwo\n" == run("logs", job.id).out
    told = run("logs", job.id, "--json").json
    assert (job.id, "succeeded") == (told["job_id"], told["status"])
    assert [(1, text.removesuffix("\n"))] == [
        (one["attempt"], one["text"]) for one in told["lines"]
    ]
    assert 2 == run("logs", job.id, "--attempt", "2").code
    assert "one\\x1btwo\n" == run("logs", job.id, "-n", "1").out
    assert (0, "", "it has printed nothing\n") == run("logs", job.id, "-n", "0")
