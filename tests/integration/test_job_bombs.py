"""Calls that would multiply: at a module's top level, and in endless recursions."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import jobs
import pytest
from scripts import environment_of
from waiting import until

from worker_lib import CallRefused, Job, JobFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

HELLO = """
from worker_lib import fly_task

@fly_task
def add(a: int, b: int) -> int:
    return a + b

print(add.delay(1, 2).result(timeout=30))
"""


@pytest.fixture
def unguarded(tmp_path: Path) -> Path:
    """A folder with a hello.py that makes a call whenever it is imported."""
    (tmp_path / "hello.py").write_text(HELLO)
    return tmp_path


def run_here(
    words: list[str], folder: Path, client: Client
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder whose modules machines find, too."""
    environ = environment_of(client)
    environ["WORKER_LIB_LOCAL_PATH"] += f":{folder}"
    environ["PYTHONPATH"] += f":{folder}"
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_module_that_makes_calls_when_imported_is_refused_by_run(
    client: Client,
    emulator: Emulator,
    unguarded: Path,
    redis_keys: Callable[[str], list[str]],
) -> None:
    """One sentence with module, line and remedy; no job and no machine."""
    words = ["-m", "worker_lib", "run", "hello:add", "1", "2"]
    ran = run_here(words, unguarded, client)

    assert (2, "", 1) == (ran.returncode, ran.stdout, ran.stderr.count("\n"))
    assert "worker-lib: the module hello calls hello:add whenever it" in ran.stderr
    assert f"({unguarded / 'hello.py'}, line 8)" in ran.stderr
    assert 'under `if __name__ == "__main__":`' in ran.stderr
    assert [] == redis_keys("job:*")
    assert [] == emulator.machines()


def test_a_module_that_makes_calls_when_imported_starts_one_machine(
    client: Client,
    emulator: Emulator,
    unguarded: Path,
    redis_keys: Callable[[str], list[str]],
) -> None:
    """Its machine refuses the call; who imported it is told, and nothing goes on."""
    ran = run_here(["-c", "import hello"], unguarded, client)

    last = ran.stderr.strip().splitlines()[-1]
    assert 1 == ran.returncode
    assert last.startswith("worker_lib.errors.CallRefused: the module hello calls")
    assert f"({unguarded / 'hello.py'}, line 8)" in last
    until(lambda: {one["state"] for one in emulator.machines()} <= {"destroyed"})
    assert 1 == len(emulator.machines())
    (key,) = redis_keys("job:*")
    job: Job[int] = Job(key.partition(":")[2], client)
    assert ("failed", "refused") == (job.status, job.attempts[-1].outcome)
    assert [] == redis_keys("slots:*")


def test_a_call_in_a_thread_of_an_import_is_refused_too(
    client: Client, emulator: Emulator, tmp_path: Path
) -> None:
    """`adelay` makes its call in another thread; the module's name is the task's."""
    calls = "import asyncio\nasync def main(): await (await add.adelay(1, 2))\n"
    text = HELLO.partition("print")[0] + calls + "asyncio.run(main())\n"
    (tmp_path / "hello.py").write_text(text)

    ran = run_here(["-c", "import hello"], tmp_path, client)

    assert "CallRefused: the module hello calls hello:add" in ran.stderr
    assert 1 == len(emulator.machines())


def test_an_endless_recursion_ends_in_a_refusal(
    emulator: Emulator,
    make_client: Callable[..., Client],
    redis_keys: Callable[[str], list[str]],
) -> None:
    """So deep as is allowed and no deeper; the last one says why."""
    make_client(emulator, max_generations=3)

    first = jobs.descends.delay()
    ids = [first.id]
    for _ in range(2):
        ids.append(Job.get(ids[-1]).result(timeout=20))
    with pytest.raises(CallRefused) as caught:
        Job.get(ids[-1]).result(timeout=20)

    assert "this job is of generation 3" in str(caught.value)
    assert "WORKER_LIB_MAX_GENERATIONS" in str(caught.value)
    assert isinstance(caught.value.__cause__, JobFailed)
    assert 3 == len(redis_keys("job:*"))


def test_a_job_knows_its_generation(client: Client) -> None:
    """1 for one that was called from outside, one more in each that it makes."""
    outer = jobs.generations.delay(2)

    number, inner = outer.result(timeout=20)

    assert (1, 2) == (number, Job.get(inner).result(timeout=20)[0])


def test_a_retried_job_keeps_its_generation(client: Client) -> None:
    """It is signed with the call."""
    made = jobs.nests_a_retry.remote()

    assert 2 == Job.get(made).result(timeout=20)


def test_a_program_that_a_job_starts_belongs_to_its_generation(client: Client) -> None:
    """A script that calls the task that runs the script is a recursion, too."""
    code = "import jobs; print(jobs.generations.delay(1).id)"

    made = jobs.starts_a_program.remote(code)

    assert 2 == Job.get(made).result(timeout=20)[0]
