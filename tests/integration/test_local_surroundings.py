"""Machines of the local stack have the environment and the code of whoever calls."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle
import pytest
from home import Home, home_for_a_test, line_of
from scripts import ROOT
from waiting import text_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator

TASKS = """
import os, sys
from worker_lib import fly_task

@fly_task(linger="30s")
def bucket():
    return os.environ.get("S3_BUCKET"), os.getpid()

@fly_task
def prefix():
    return sys.prefix

@fly_task
def nests():
    return bucket.delay().id

@fly_task(max_machines=1)
def waits(gate, started=os.devnull):
    import time
    open(started, "w").write("yes")
    while not os.path.exists(gate):
        time.sleep(0.02)
    return os.environ.get("S3_BUCKET")
"""
STAYS = "import sys, tasks; print(tasks.bucket.remote()[0]); sys.stdin.readline()"
ASKS = "import tasks; print(tasks.bucket.remote()[0])"


@pytest.fixture
def home() -> Iterator[Home]:
    """A home that is removed afterwards."""
    with home_for_a_test() as made:
        (made.project / "tasks.py").write_text(TASKS)
        yield made


@contextmanager
def a_stack(home: Home, bucket: str = "") -> Iterator[str]:
    """Keep a stack up that somebody started with a variable of this value."""
    with home.start("-c", STAYS, S3_BUCKET=bucket) as program:
        yield line_of(program)
        program.communicate("\n", timeout=30)


def test_each_caller_s_environment_is_its_machine_s(home: Home) -> None:
    """Not that of whoever started the stack, nor of a machine that lingers."""
    with a_stack(home, "first") as first:
        second = home.run("-c", ASKS, S3_BUCKET="second")
        third = home.run("-c", ASKS)

    assert ("first", "second\n", "None\n") == (first, second, third)


def test_callers_of_one_environment_share_a_machine(home: Home) -> None:
    """Terminals differ by more than matters."""
    code = "import tasks; print(tasks.bucket.remote()[1])"
    with a_stack(home, "x"):
        one = home.run("-c", code, S3_BUCKET="x", TERM="xterm", SHLVL="1")
        two = home.run("-c", code, S3_BUCKET="x", TERM="screen", WINDOWID="7")

    assert one == two


def test_a_variable_set_between_two_calls_counts_for_the_second(home: Home) -> None:
    """As by `load_dotenv`, or by hand."""
    code = "import os, tasks; os.environ['S3_BUCKET'] = 'one'; a = tasks.bucket.delay()"
    code += "; os.environ['S3_BUCKET'] = 'two'; b = tasks.bucket.delay()"
    code += "; print(a.result(30)[0], b.result(30)[0])"

    assert "one two\n" == home.run("-c", code)


def test_a_call_out_of_a_task_has_the_environment_of_its_call(home: Home) -> None:
    """As on Fly: what `env=` and the machine add does not travel."""
    code = "import tasks; from worker_lib import Job\n"
    code += "job = tasks.nests.options(env={'S3_BUCKET': 'option'}).remote()\n"
    code += "print(Job.get(job).result(30)[0])"

    assert "mine\n" == home.run("-c", code, S3_BUCKET="mine")


def test_a_program_under_dev_has_its_own_environment(home: Home) -> None:
    """Not that which `dev` had."""
    code = "import os; os.environ['S3_BUCKET'] = 'inner'; " + ASKS
    words = ("-m", "worker_lib", "dev", "--", sys.executable, "-c", code)

    assert "inner\n" == home.run(*words, S3_BUCKET="outer")


def test_a_machine_has_its_caller_s_interpreter(home: Home) -> None:
    """Not that of whoever started the stack, who may have another's packages."""
    folder = home.top / "venv"
    venv.create(folder, symlinks=True)
    packages = Path(str(cloudpickle.__file__)).parents[1]
    paths = os.pathsep.join([str(ROOT), str(packages)])
    code = "import tasks; print(tasks.prefix.remote())"
    with a_stack(home):
        printed = subprocess.run(
            [folder / "bin" / "python", "-c", code],
            cwd=home.project,
            env=home.env | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=50,
        ).stdout

    assert f"{folder}\n" == printed


def test_no_variable_of_a_caller_is_kept(home: Home) -> None:
    """Neither in Redis nor in any file: the stack has them in memory."""
    code = "import tasks; tasks.prefix.remote()"
    home.run("-c", code, S3_BUCKET="CANARY-bucket")
    until(lambda: not home.processes(), within=15)

    kept = [path for path in (home.top / "state").rglob("*") if path.is_file()]
    assert [path for path in kept if path.name.endswith(".aof")]
    assert not [path for path in kept if b"CANARY" in path.read_bytes()]


def test_a_job_whose_caller_s_environment_is_gone_waits_for_it(home: Home) -> None:
    """It runs with no other; who waits for it is told what to do."""
    gate, started = home.top / "gate", home.top / "started"
    code = f"import tasks; job = tasks.waits.delay({str(gate)!r}, {str(started)!r})\n"
    code += "print(job.id); input()"
    home.env["WORKER_LIB_LEASE_TTL"] = "1s"
    with home.start("-c", code, S3_BUCKET="mine") as program:
        job_id = line_of(program)
        text_of(started)
        home.kill("worker_lib.local.stack")
        until(lambda: set(home.processes()) <= {program.pid}, within=15)
        program.kill()
    gate.touch()
    code = f"from worker_lib import Job\njob = Job.get({job_id!r})\n"
    code += "try:\n    print(job.result(timeout=40))\n"
    code += "except Exception as error:\n    print(type(error).__name__, error)"

    told = home.run("-c", code, S3_BUCKET="other")
    assert told.startswith("InvalidRequest ")
    assert "the environment that the call was made with is gone" in told
    code = f"import tasks\nprint(tasks.waits.remote({str(gate)!r}))\n{code}"
    assert "mine\nmine\n" == home.run("-c", code, S3_BUCKET="mine")
