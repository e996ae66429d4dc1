"""`worker-lib stats`, `top`, `jobs failures`: what they show, what that costs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jobs
import pytest
import redis
from terminals import Terminal, environ_of, hear_interrupts

from worker_lib.cli import main
from worker_lib.client.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

WORDS = [sys.executable, "-m", "worker_lib"]
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
GIVEN_BACK = "\x1b[?7h\x1b[?25h\x1b[?1049l"
LATER: Any = {"delay": "1h"}


def failed(text: str) -> str:
    """Return the id of a job that has failed."""
    job = jobs.boom.delay(text)
    assert job.exception(timeout=20)
    return job.id


def test_stats_are_names_and_numbers_for_programs(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """What there is now, what happened in the window, what it cost."""
    failed("no good")
    jobs.add.options(**LATER).delay(1, 2)

    assert 0 == main(["stats", "--window", "1h"])
    rows = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert ("1", "0", "1") == (
        rows["jobs scheduled"],
        rows["jobs running"],
        rows["failed 1h"],
    )
    assert rows["wait 1h"].startswith("p50 ")
    assert rows["cost today"].startswith("$0.")
    assert 0 == main(["stats", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert {"overview", "history", "costs"} == set(told)
    assert 1 == told["overview"]["counts"]["scheduled"]
    assert "24h" == told["history"]["window"]
    assert told["overview"]["at"].endswith("Z")


def test_stats_are_tables_for_people(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is wrong, and what to do about it."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    Queue("bulk").pause()
    jobs.add.options(queue="bulk").delay(1, 2)

    assert 0 == main(["stats"])

    shown = capsys.readouterr().out
    assert re.search(r"(?m)^jobs +queued 1 ", shown)
    assert "  → worker-lib queues resume bulk\n" in shown
    assert re.search(r"(?m)^cost today +\$0\.00$", shown)


def test_failures_are_grouped_by_their_cause(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The largest group first, with the newest of its jobs."""
    assert 0 == main(["jobs", "failures"])
    assert ("", "no job that is kept has failed\n") == capsys.readouterr()
    ids = [failed(f"row {number}") for number in (1, 2)]
    other = jobs.exits_hard.delay(7)
    assert other.exception(timeout=20)

    assert 0 == main(["jobs", "failures"])
    first, second = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert ["2", "jobs:boom", "error"] == first[:3]
    assert [ids[1], "ValueError: row 2"] == first[4:]
    assert ["1", "jobs:exits_hard", "exit"] == second[:3]
    assert 0 == main(["jobs", "failures", "--json"])
    (told, _) = json.loads(capsys.readouterr().out)["failures"]
    assert (2, "ValueError: row …") == (told["total"], told["pattern"])


def test_a_job_is_shown_with_where_its_time_went(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each phase, and what it cost."""
    job_id = failed("no")

    assert 0 == main(["jobs", "show", job_id])
    shown = capsys.readouterr().out
    assert re.search(r"(?m)^cost: \$0\.0", shown)
    assert re.search(r"(?m)^boot\t1\t\d+\.\d\d$", shown)
    assert 0 == main(["jobs", "show", job_id, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert "run" == told["timeline"][-1]["name"]
    assert told["timeline"][-1]["started_at"].endswith("Z")
    assert told["cost_usd"] > 0


@pytest.fixture
def open_top(client: Client) -> Iterator[Callable[..., Terminal]]:
    """Run `top` on terminals."""
    made: list[Terminal] = []

    def start(*words: str, **options: Any) -> Terminal:
        env = environ_of(client.settings)
        made.append(Terminal([*WORDS, "top", *words], env, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_top_is_drawn_anew(open_top: Callable[..., Terminal]) -> None:
    """What has changed since is in the next frame, in colours."""
    top = open_top("--interval", "200ms")
    assert "jobs" in top.read_until("scheduled 0")

    Queue("bulk").pause()
    jobs.add.options(queue="bulk").delay(1, 2)

    top.read_until("queued 1")
    top.read_until("\x1b[33m! Queue bulk is paused; 1 job waits in it.\x1b[0m")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda top: top.press("q"), 0),
        (lambda top: top.press("\x03"), 130),
        (lambda top: os.kill(top.program.pid, signal.SIGTERM), 143),
    ],
)
def test_top_gives_the_terminal_back(
    open_top: Callable[..., Terminal], end: Callable[[Terminal], None], code: int
) -> None:
    """However it ends: the other screen, the cursor, the echo of keys."""
    top = open_top()
    top.read_until("jobs")
    assert top.modes != top.mode()

    end(top)

    assert code == top.end()
    assert top.shown.endswith(GIVEN_BACK)
    assert top.modes == top.mode()


def test_top_gives_the_terminal_back_while_it_stands_still(client: Client) -> None:
    """Ctrl-Z stops it as any other program; fg brings it back."""
    shell = Terminal(
        ["bash", "--norc", "--noprofile", "-i"], environ_of(client.settings)
    )
    try:
        shell.press(f"{' '.join(WORDS)} top\n")
        shell.read_until("scheduled 0")
        shell.press("\x1a")
        stopped = shell.read_until("Stopped")
        assert GIVEN_BACK in stopped
        shell.press("fg\n")
        shell.read_until("\x1b[?1049h")
        shell.read_until("scheduled 0")
        shell.press("q")
        shell.read_until(GIVEN_BACK)
        shell.press('echo $?-e""nded; exit\n')
        shell.read_until("0-ended")
        assert 0 == shell.end()
    finally:
        shell.close()


@pytest.mark.parametrize("size", [(24, 80), (8, 30), (1, 5)])
def test_top_fits_into_any_terminal(
    open_top: Callable[..., Terminal], size: tuple[int, int]
) -> None:
    """No line is longer than it is wide, and there are no more than it has."""
    for number in range(10):
        queue = f"queue-{number}-with-a-long-name-of-its-own"
        Queue(queue).pause()
        jobs.add.options(queue=queue).delay(1, 2)
    top = open_top("--interval", "200ms", size=size)

    shown = top.read_until("\x1b[J", count=2)

    frame = CONTROL.sub("", shown.split("\x1b[H")[-2])
    lines = frame.replace("\r", "").split("\n")
    assert len(lines) == size[0]
    assert max(map(len, lines)) <= size[1]
    top.press("q")
    assert 0 == top.end()


def test_top_is_shown_once_where_no_terminal_is(client: Client) -> None:
    """Without any control sequence; --json is a line each time."""
    env = environ_of(client.settings)

    ran = subprocess.run([*WORDS, "top"], env=env, capture_output=True, check=True)
    assert b"scheduled 0" in ran.stdout
    assert b"\x1b" not in ran.stdout + ran.stderr
    ran = subprocess.run(
        [*WORDS, "top", "--json", "--once"], env=env, capture_output=True, check=True
    )
    (line,) = ran.stdout.splitlines()
    assert 0 == json.loads(line)["counts"]["scheduled"]


def test_a_frame_costs_one_command(
    make_client: Callable[..., Client],
    make_emulator: Callable[..., Emulator],
    own_server: Any,
    tmp_path: Path,
) -> None:
    """Whoever watches for an hour sends 1,800 of them."""
    emulator = make_emulator(redis_url=own_server.url)
    client = make_client(emulator, redis_url=own_server.url)
    jobs.add.options(**LATER).delay(1, 2)
    watching = redis.Redis.from_url(own_server.url)
    program = subprocess.Popen(
        [*WORDS, "top", "--json", "--interval", "200ms"],
        env=environ_of(client.settings),
        stdout=subprocess.PIPE,
        preexec_fn=hear_interrupts,  # noqa: PLW1509 - it only makes a system call
    )
    assert program.stdout is not None
    with program.stdout as lines:
        for _ in range(3):
            lines.readline()
        before = _evaluated(watching)
        for _ in range(10):
            lines.readline()
        after = _evaluated(watching)
        program.send_signal(signal.SIGINT)
        program.wait(10)

    assert 130 == program.returncode
    assert 9 <= after - before <= 11


def _evaluated(connection: Any) -> int:
    stats = connection.info("commandstats")
    return sum(
        one["calls"] for name, one in stats.items() if name.startswith("cmdstat_eval")
    )


def test_top_goes_on_while_redis_is_away(
    make_client: Callable[..., Client],
    make_emulator: Callable[..., Emulator],
    own_server: Any,
) -> None:
    """It shows what there was, and says so."""
    emulator = make_emulator(redis_url=own_server.url)
    client = make_client(emulator, redis_url=own_server.url)
    env = environ_of(client.settings)
    top = Terminal([*WORDS, "top", "--interval", "200ms"], env)
    try:
        top.read_until("jobs")
        own_server.kill()
        top.read_until("as of before: Redis at")
        top.press("q")
        assert 0 == top.end()
    finally:
        top.close()
