"""What jobs have printed, as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_rig import STOPPED, claimed
from waiting import until

from worker_lib import ConfigError, Job, Retry, fly_task
from worker_lib.calls.codec import OUTPUT
from worker_lib.errors import SignatureMismatch

if TYPE_CHECKING:
    from pathlib import Path

    from store_rig import StoreRig

    from worker_lib.client.client import Client
    from worker_lib.store.claims import ClaimedJob


def sealed(rig: StoreRig, job: ClaimedJob, text: bytes) -> bytes:
    """Return output as a machine seals it."""
    return rig.codec.seal(text, kind=OUTPUT, job_id=job.id, fence=str(job.fence))


def test_a_job_with_one_attempt_has_its_output_alone(
    rig: StoreRig, client: Client
) -> None:
    """Nothing is added; what is no UTF-8 is replaced."""
    machine, job = rig.running()
    logs = Job(job.id, client).logs
    assert "" == logs() == logs(1)

    machine.report(job, "succeeded", output=sealed(rig, job, b"caf\xc3\xa9 \xff\n"))

    assert "café \N{REPLACEMENT CHARACTER}\n" == logs() == logs(1)


def test_each_of_several_attempts_is_named(rig: StoreRig, client: Client) -> None:
    """A run that was handed back keeps its number, and its output."""
    machine, job = rig.running()
    logs = Job(job.id, client).logs
    machine.report(job, "retrying", output=sealed(rig, job, b"first"), retry_in=0.0)
    again = until(lambda: machine.claim("stay").job)
    assert again is not None
    job = again
    stopped = STOPPED._replace(output=sealed(rig, job, b"handed back\n"))
    assert machine.release(job, stopped)
    machine = rig.machine(rig.slots().pop())
    job = claimed(machine)
    machine.report(job, "succeeded", output=sealed(rig, job, b"last\n"))

    assert [1, 2, 2] == [one.number for one in Job(job.id, client).attempts]
    assert (
        "--- attempt 1 ---\nfirst\n--- attempt 2 ---\nhanded back\n"
        "--- attempt 2 ---\nlast\n"
    ) == logs()
    assert "handed back\nlast\n" == logs(2)


def test_output_that_no_machine_of_ours_has_signed_is_refused(
    rig: StoreRig, client: Client
) -> None:
    """Nor that of another attempt."""
    machine, job = rig.running()
    moved = rig.codec.seal(b"x", kind=OUTPUT, job_id=job.id, fence="99")
    machine.report(job, "succeeded", output=moved)

    with pytest.raises(SignatureMismatch):
        Job(job.id, client).logs()


def test_an_attempt_that_was_not_is_refused(rig: StoreRig, client: Client) -> None:
    """The sentence says how many there were."""
    _, job = rig.running()

    with pytest.raises(ConfigError, match="has had no attempt 2: it has had 1"):
        Job(job.id, client).logs(2)


def test_what_real_attempts_have_printed_is_read(
    client: Client, tmp_path: Path
) -> None:
    """From the process that made the call, and by a machine that ran them."""
    path = tmp_path / "runs"

    @fly_task(retry=Retry(max_attempts=2, backoff="50ms"))
    def talks() -> None:
        with path.open("a+") as file:
            file.write("x")
            file.seek(0)
            run = len(file.read())
        print(f"run {run}")
        if run == 1:
            raise OSError("once")

    job = talks.delay()
    job.result(timeout=20)

    assert "--- attempt 1 ---\nrun 1\n--- attempt 2 ---\nrun 2\n" == job.logs()
    assert "run 2\n" == Job.get(job.id).logs(2)
