"""Commands that need a machine: run and sweep, what they print and exit with."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from terminals import environ_of
from waiting import until

from worker_lib.cli import exits, main
from worker_lib.client.handle import Job
from worker_lib.emulator.faults import FaultRule
from worker_lib.fly.naming import (
    METADATA_NAMESPACE,
    METADATA_OWNER,
    METADATA_SLOT,
    owner,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"


def test_run_prints_what_the_task_returned(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words are JSON where they can be; the result goes to stdout as its repr."""
    status = main(["run", "jobs:add", "1", "--kw", "b=2", "--timeout", "20s"])

    printed = capsys.readouterr()
    assert (0, "3\n", "") == (status, printed.out, printed.err)


def test_run_takes_options_and_text(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no JSON is text; options are those of `.options()`."""
    words = ["run", "jobs:echo", "hello world", "--option", "linger=0", "memory_mb=512"]

    status = main([*words, "--timeout", "20s"])

    assert (0, "'hello world'\n") == (status, capsys.readouterr().out)


def test_run_tells_programs_in_json(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object with the job's id, how it ended, and its result."""
    status = main(["run", "worker_lib.ping:ping", "--json", "--timeout", "20s"])

    told = json.loads(capsys.readouterr().out)
    assert (0, "succeeded", "") == (status, told["outcome"], told["error"])
    assert "iad" == told["result"]["region"]
    assert sys.version.split()[0] == told["result"]["python"]
    assert 20 == len(told["job_id"])


def test_run_of_a_task_that_raises_exits_with_1_and_its_traceback(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remote traceback goes to stderr, and none of ours."""
    status = main(["run", "jobs:boom", "what happened", "--timeout", "20s"])

    printed = capsys.readouterr()
    assert (1, "") == (status, printed.out)
    assert "ValueError: what happened" in printed.err
    assert "worker_lib/cli" not in printed.err


def test_run_of_a_task_that_dies_says_so_in_json(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that failed without an exception is a failed job too."""
    status = main(["run", "jobs:exits_hard", "7", "--json", "--timeout", "20s"])

    told = json.loads(capsys.readouterr().out)
    assert (1, "failed", None) == (status, told["outcome"], told["result"])
    assert "Crashed: " in told["error"]


def test_run_of_a_task_that_takes_too_long_names_the_timeout(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it stood, and last what ended it, which it did not raise itself."""
    status = main(["run", "jobs:hangs", "--timeout", "20s"])

    *traceback, last = capsys.readouterr().err.splitlines()
    assert 1 == status
    assert any("in hangs" in line for line in traceback)
    assert "the attempt ran longer than its timeout" in last


def test_run_shows_what_the_task_prints(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --follow, on stderr: stdout has the result alone."""
    words = ["run", "jobs:says", "hello\x1b", "--follow", "--timeout", "20s"]

    status = main(words)

    printed = capsys.readouterr()
    assert 0 == status
    assert "hello\\x1b\n" in printed.err
    assert 1 == printed.out.count("\n")


def test_run_shows_what_a_task_that_dies_prints_once(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end of it stands for the traceback, unless all was shown before."""
    words = ["run", "jobs:exits_hard", "7", "--kw", "says=last words"]

    for follow in ([], ["--follow"]):
        assert 1 == main([*words, *follow, "--timeout", "20s"])
        printed = capsys.readouterr().err
        assert 1 == printed.count("last words")
        assert printed.endswith("the task ended its process with exit code 7\n")


def test_enqueue_prints_the_id_and_does_not_wait(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job runs after the command has ended."""
    gate = tmp_path / "gate"

    assert 0 == main(["enqueue", "jobs:waits_for", str(gate)])
    job_id = capsys.readouterr().out.strip()
    gate.touch()

    assert Job.get(job_id).wait(20)
    assert 0 == main(["enqueue", "jobs:add", "1", "--kw", "b=2", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert 3 == Job.get(told["job_id"]).result(20)


@pytest.mark.parametrize("command", ["run", "enqueue"])
def test_arguments_that_the_task_does_not_take_are_a_wrong_call(
    command: str, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is stored."""
    assert 2 == main([command, "jobs:add", "1", "2", "3", "4"])
    assert "too many positional arguments" in capsys.readouterr().err
    assert [] == client.store.recent(10)


def test_run_out_of_time_exits_with_4_and_names_the_job(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job goes on, and its id is told."""
    gate = tmp_path / "gate"

    status = main(["run", "jobs:waits_for", str(gate), "--timeout", "0.3"])
    gate.touch()

    printed = capsys.readouterr()
    assert (4, "") == (status, printed.out)
    assert "goes on without this command" in printed.err


def test_run_that_is_interrupted_exits_with_130_and_names_the_job(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends the command, not the job."""

    def interrupted(job: Job[Any], timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("worker_lib.client.handle.Job.result", interrupted)

    assert 130 == main(["run", "jobs:add", "1"])
    assert "goes on without this command" in capsys.readouterr().err


def test_run_without_redis_exits_with_5(
    client: Client,
    emulator: Emulator,
    make_client: Callable[..., Client],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing was stored, and one sentence says why."""
    make_client(emulator, redis_url="unix:///nowhere")

    status = main(["run", "jobs:add", "1"])

    printed = capsys.readouterr()
    assert 5 == status
    assert printed.err.startswith("worker-lib: Redis at /nowhere cannot be reached")
    assert 1 == printed.err.count("\n")


def test_run_with_a_refused_token_exits_with_5(
    client: Client, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a person can bring the machine, so the wait ends at once."""
    emulator.script_faults([FaultRule(action="create", status=401)])

    status = main(["run", "jobs:add", "1", "--timeout", "20s"])

    assert 5 == status
    assert "FLY_API_TOKEN" in capsys.readouterr().err


def test_run_shows_progress_on_a_terminal_and_nowhere_else(
    client: Client, emulator: Emulator
) -> None:
    """Stderr has each change; stdout, a pipe, has the result alone."""
    environ = environ_of(client.settings)
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "worker_lib", "run", "jobs:reports", "2"]

    ran = subprocess.run(
        words, env=environ, stdout=subprocess.PIPE, stderr=theirs, check=False
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)

    assert (0, b"2\n") == (ran.returncode, ran.stdout)
    assert "running on" in shown
    assert "1/2 step 1" in shown


def test_sweep_says_that_there_is_nothing_to_do(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty namespace needs nothing."""
    status = main(["sweep"])

    assert (0, "nothing to put right\n") == (status, capsys.readouterr().out)


def test_sweep_launches_what_is_owed_and_tells_of_it(
    emulator: Emulator,
    make_client: Callable[..., Client],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A call whose process had no token gets its machine."""
    import jobs

    make_client(emulator, fly_api_token="")
    job = jobs.add.delay(1, 2)
    make_client(emulator)

    status = main(["sweep", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert 0 == status
    assert ["machine_created"] == [one["event"] for one in told["events"]]
    assert 3 == type(job).get(job.id).result(timeout=20)


def test_sweep_says_what_was_not_launched_in_time(
    emulator: Emulator,
    make_client: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit status is that of a time-out; a later sweep takes it up."""
    import jobs

    make_client(emulator, fly_api_token="")
    jobs.add.delay(1, 2)
    make_client(emulator)
    emulator.script_faults([FaultRule(action="create", delay=0.5)])
    monkeypatch.setattr("worker_lib.cli.sweep._LAUNCH_WITHIN", 0.0)

    assert exits.TIMEOUT == main(["sweep"])
    assert capsys.readouterr().out.startswith("launch_pending slot=")


@pytest.mark.processes_only("its machine asks for an image that no engine has")
def test_sweep_destroys_a_machine_that_nobody_knows(
    client: Client,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also when no job is overdue: that is what an hourly sweep is for."""
    settings = client.settings
    config = {
        "image": "local",
        "init": {"exec": ["sleep", "60"]},
        "metadata": {
            METADATA_NAMESPACE: settings.namespace,
            METADATA_OWNER: owner(settings.namespace, settings.secret),
            METADATA_SLOT: "0123456789ab",
        },
    }
    client.launcher.api.create_machine(name="wl-stray", region=None, config=config)
    monkeypatch.setattr("worker_lib.sweep._ORPHAN_AFTER", -3600.0)

    status = main(["sweep"])

    assert 0 == status
    found, destroyed = capsys.readouterr().out.splitlines()
    assert found.startswith("orphan_found slot=0123456789ab machine_id=")
    assert destroyed == found.replace("orphan_found", "machine_destroyed")
    until(lambda: {"destroyed"} >= {one["state"] for one in emulator.machines()})


def test_sweep_without_a_token_touches_nothing(
    emulator: Emulator,
    make_client: Callable[..., Client],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would take up launches that it cannot make."""
    make_client(emulator, fly_api_token="")

    assert 2 == main(["sweep"])
    assert "FLY_API_TOKEN is not set" in capsys.readouterr().err
