"""Machines that start and can never work: few are created, and who waits is told."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import Job, MachineError, WorkerLibError, creation, launcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


def creates(emulator: Emulator) -> int:
    """Return how many machines were asked for."""
    return int(emulator.requests()["actions"].get("create", 0))


def stays_at(emulator: Emulator, job: Job[int], number: int) -> None:
    """See that no more machines are asked for, long after the longest pause."""
    until(lambda: "after 5 such machines in a row" in what_is_told(job), within=50)
    time.sleep(2)
    assert number == creates(emulator)


def what_is_told(job: Job[int]) -> str:
    """Return what who asks for a job's result is told of its pool."""
    try:
        Job.get(job.id).result(timeout=0)
    except WorkerLibError as error:
        return str(error)
    return ""


def test_an_image_without_python_costs_five_machines(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Told with the exit code and what it means; another pool is not held up."""
    real = creation.machine_config

    def without_python(spec: dict[str, Any], *more: Any) -> dict[str, Any]:
        config = real(spec, *more)
        if "WITHOUT" in spec["env"]:
            config["init"] = {"exec": ["no-such-python", "-m", "worker_lib.runtime"]}
        return config

    monkeypatch.setattr(launcher, "machine_config", without_python)
    emulator = make_emulator()
    make_client(emulator, boot_timeout=1.0)
    works = jobs.works.options(max_machines=1, env={"WITHOUT": "python"})
    running = [works.delay(str(ledger), value=n) for n in range(10)]
    # A process exits with 127; an engine refuses to start such a container.
    with pytest.raises(MachineError, match=r"exit code 127|could not be started"):
        running[0].result(timeout=30)

    stays_at(emulator, running[9], 5)
    assert {"queued"} == {job.status for job in running}
    assert 3 == jobs.add.delay(1, 2).result(timeout=20)


def test_a_missing_secret_is_told_and_put_right_the_jobs_run(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """No job is lost: a new call after the pause has them all done."""
    emulator = make_emulator()
    client = make_client(emulator, boot_timeout=1.0)
    emulator.set_secrets("tests", {"WORKER_LIB_SECRET": None})
    works = jobs.works.options(max_machines=1)
    running = [works.delay(str(ledger), value=n) for n in range(3)]
    with pytest.raises(MachineError, match="ended with exit code"):
        running[0].result(timeout=60)
    stays_at(emulator, running[0], 5)

    emulator.set_secrets("tests", {"WORKER_LIB_SECRET": client.settings.secret})
    last = works.delay(str(ledger), value=3)
    assert [3, 0, 1, 2] == [job.result(timeout=30) for job in (last, *running)]
    assert 6 == creates(emulator)


def test_machines_that_cannot_reach_redis_are_not_created_for_ever(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    """They may hang instead of ending: then they are destroyed as well."""
    emulator = make_emulator(redis_url=f"unix://{tmp_path}/nowhere")
    make_client(emulator, boot_timeout=1.0)
    works = jobs.works.options(max_machines=1)
    job = works.delay(str(ledger))
    with pytest.raises(MachineError, match=r"before it took a job|took no job within"):
        job.result(timeout=60)

    stays_at(emulator, job, 5)
    gone = {"destroying", "destroyed"}
    until(lambda: all(one["state"] in gone for one in emulator.machines()))


def test_one_machine_that_fails_to_boot_is_told_to_nobody(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    """Accidents happen: another one comes, and the count begins anew."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        f"mark = {str(tmp_path / 'first')!r}\n"
        "if not os.path.exists(mark):\n"
        "    open(mark, 'w').close()\n"
        "    os._exit(9)\n"
    )
    emulator = make_emulator()
    client = make_client(emulator, boot_timeout=1.0)
    path = os.pathsep.join([str(tmp_path), client.settings.local_path])
    job = jobs.works.options(env={"PYTHONPATH": path}).delay(str(ledger), value=5)

    assert 5 == job.result(timeout=30)
    assert 2 == creates(emulator)
    assert "" == job.info().trouble
