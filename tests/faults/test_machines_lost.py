"""Machines that vanish, freeze, never come or come twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import jobs
import pytest
from fly_calls import restart_machine, stop_machine
from scripts import start_script
from waiting import is_running, until

from worker_lib import Crashed, Job, JobFailed, MachineLost
from worker_lib.emulator import FaultRule
from worker_lib.store.machine import MachineStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator
    from worker_lib.store.claims import Claim

LEASE = 1.0


def test_a_job_whose_machine_is_killed_runs_on_another(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """Within the lease and five seconds it runs again; one outcome, and no hiding."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)

    os.kill(first.supervisor, signal.SIGKILL)
    killed = time.monotonic()
    second = until(lambda: ledger.starts[1:])[0]
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert second.at - killed < LEASE + 5
    assert first.machine != second.machine
    assert ["lost", "succeeded"] == [one.outcome for one in job.attempts]
    assert [first.machine, second.machine] == [one.machine_id for one in job.attempts]
    assert (1, 1) == (job.info().lost, job.info().attempt)
    assert [second.pid] == [entry.pid for entry in ledger.ends]


def test_a_job_that_outlives_no_machine_fails_at_last(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """What kills its machine again and again is not started for ever."""
    job = jobs.works.delay(str(ledger), gate=str(tmp_path / "never"))
    for round_ in range(3):
        started = until(lambda seen=round_: ledger.starts[seen:])[0]  # type: ignore[misc]  # bound now
        os.kill(started.supervisor, signal.SIGKILL)

    with pytest.raises(MachineLost) as caught:
        job.result(timeout=20)
    assert ("lost", 3, 3) == (caught.value.kind, job.info().lost, len(ledger.starts))
    assert [("lost", 137)] * 3 == [(one.outcome, one.exit_code) for one in job.attempts]


def test_only_the_child_is_lost_when_only_the_child_is_killed(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """The supervisor reports the signal at once; nobody waits for a lease."""
    running = jobs.works.delay(str(ledger), gate=str(tmp_path / "never"))
    (started,) = until(lambda: ledger.starts)
    os.kill(started.pid, signal.SIGKILL)

    with pytest.raises(Crashed, match="killed by SIGKILL") as caught:
        running.result(timeout=LEASE)
    assert ("signal", 0) == (caught.value.kind, running.info().lost)


def test_a_machine_that_is_stopped_hands_its_job_back(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path
) -> None:
    """No attempt is charged, and the job runs again elsewhere, not waiting a lease."""
    gate = tmp_path / "gate"
    job = jobs.works.options(retry=1).delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)

    stop_machine(client, first.machine)
    second = until(lambda: ledger.starts[1:])[0]
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert first.machine != second.machine
    assert [(1, "released"), (1, "succeeded")] == [
        (one.number, one.outcome) for one in job.attempts
    ]
    assert (1, 0) == (job.info().attempt, job.info().lost)
    until(lambda: not is_running(first.supervisor), within=5)


@pytest.mark.parametrize("how", ["stop", "restart", "kill and restart"])
def test_a_job_that_may_not_run_twice_ends_with_its_machine(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path, how: str
) -> None:
    """Stopped, or restarted by Fly under the same id: it never starts again."""
    gate = str(tmp_path / "never")
    job = jobs.works.options(on_lost="fail", retry=5).delay(str(ledger), gate=gate)
    (first,) = until(lambda: ledger.starts)
    if how == "stop":
        stop_machine(client, first.machine)
    else:
        signal_ = "SIGKILL" if how == "kill and restart" else "SIGTERM"
        restart_machine(client, first.machine, signal_)

    with pytest.raises(MachineLost, match="while the task ran") as caught:
        job.result(timeout=20)
    assert ("lost", "failed") == (caught.value.kind, job.status)
    assert ["lost"] == [one.outcome for one in job.attempts]
    assert [first] == ledger.starts


def test_a_job_that_may_run_again_does_after_its_machine_was_restarted(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """Its loss is counted, and another machine takes it at once."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)
    restart_machine(client, first.machine, "SIGKILL")
    until(lambda: ledger.starts[1:])
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert (1, 1) == (job.info().attempt, job.info().lost)


def test_what_waits_behind_a_job_that_was_cancelled_as_its_machine_stopped_runs(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """The slot of the stopped machine goes to those who wait in the same pool."""
    works = jobs.works.options(max_machines=1)
    first = works.delay(str(ledger), gate=str(tmp_path / "never"))
    (started,) = until(lambda: ledger.starts)
    second = works.delay(str(ledger), value=2)
    os.kill(started.supervisor, signal.SIGSTOP)
    first.cancel()
    os.kill(started.supervisor, signal.SIGTERM)
    os.kill(started.supervisor, signal.SIGCONT)

    assert 2 == second.result(timeout=20)


@pytest.mark.parametrize("on_lost", ["retry", "fail"])
def test_a_machine_that_was_frozen_cannot_write_when_it_thaws(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path, on_lost: str
) -> None:
    """Its lease ran out and it could not be destroyed: its late success is refused."""
    emulator.script_faults([FaultRule(action="destroy", status=500)])
    gate = tmp_path / "gate"
    task = jobs.works.options(on_lost=on_lost)
    job = task.delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)
    os.kill(first.supervisor, signal.SIGSTOP)
    if on_lost == "retry":
        second = until(lambda: ledger.starts[1:])[0]
        assert second.machine != first.machine
    until(lambda: job.info().attempts[0].outcome == "lost")
    before = job.info().attempts

    os.kill(first.supervisor, signal.SIGCONT)
    thawed = time.monotonic()
    until(lambda: not is_running(first.pid), within=5)
    until(lambda: not is_running(first.supervisor), within=5)

    assert time.monotonic() - thawed < 4
    assert before == job.info().attempts
    assert not ledger.ends
    gate.touch()
    if on_lost == "retry":
        assert 5 == job.result(timeout=20)
        assert ["lost", "succeeded"] == [one.outcome for one in job.attempts]
    else:
        with pytest.raises(JobFailed):
            job.result(timeout=20)


def test_a_late_success_of_a_frozen_machine_is_refused(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path
) -> None:
    """Its child went on and finished; by then another machine has the job."""
    emulator.script_faults([FaultRule(action="destroy", status=500)])
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)
    os.kill(first.supervisor, signal.SIGSTOP)
    second = until(lambda: ledger.starts[1:])[0]
    os.kill(second.supervisor, signal.SIGSTOP)
    gate.touch()
    until(lambda: len(ledger.ends) == 2)
    os.kill(first.supervisor, signal.SIGCONT)
    until(lambda: not is_running(first.supervisor), within=5)

    assert "running" == job.status
    os.kill(second.supervisor, signal.SIGCONT)
    assert 5 == job.result(timeout=20)
    assert "succeeded" == job.attempts[-1].outcome
    assert 1 == [one.outcome for one in job.attempts].count("succeeded")


def test_a_machine_that_froze_while_it_waited_does_not_hold_up_a_job(
    client: Client, ledger: Ledger
) -> None:
    """A lingering machine that does not come when called is replaced."""
    works = jobs.works.options(linger="60s")
    works.delay(str(ledger)).result(timeout=20)
    os.kill(ledger.starts[0].supervisor, signal.SIGSTOP)

    assert 2 == works.delay(str(ledger), value=2).result(timeout=25)
    assert 2 == len({entry.machine for entry in ledger.starts})


def test_a_machine_that_died_while_it_waited_does_not_hold_up_a_job(
    client: Client, ledger: Ledger
) -> None:
    """A lingering machine that is gone is found out by its timer."""
    works = jobs.works.options(linger="60s")
    works.delay(str(ledger)).result(timeout=20)
    os.kill(ledger.starts[0].supervisor, signal.SIGKILL)

    assert 2 == works.delay(str(ledger), value=2).result(timeout=25)


def test_a_job_whose_caller_was_killed_before_the_launch_is_taken_over(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """It was stored: whoever asks for it later has its machine launched."""
    emulator = make_emulator()
    client = make_client(emulator)
    code = f"""
import os, signal, jobs
from worker_lib.client.client import default_client
client = default_client()
client.launcher.launch = lambda slot: None
print(jobs.works.delay({str(ledger)!r}, value=5).id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with start_script(code, client) as program:
        job_id, _ = program.communicate(timeout=30)
    assert -signal.SIGKILL == program.returncode
    assert {} == emulator.requests()["actions"]

    assert 5 == Job.get(job_id.strip()).result(timeout=25)


def test_a_job_whose_caller_was_killed_during_the_launch_runs_once(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """The request was under way: its machine is adopted, whoever sweeps."""
    emulator = make_emulator()
    emulator.script_faults(
        [
            FaultRule(action="create", delay=3.0, after_commit=True),
            FaultRule(state="created", delay=1.0),
        ]
    )
    client = make_client(emulator)
    code = f"""
import jobs, sys
print(jobs.works.delay({str(ledger)!r}, value=5).id, flush=True)
sys.stdin.read()
"""
    with start_script(code, client) as program:
        assert program.stdout
        job_id = program.stdout.readline().strip()
        until(lambda: emulator.requests()["actions"].get("create"))
        program.kill()
        program.wait()

    assert 5 == Job.get(job_id).result(timeout=25)
    assert 1 == len(ledger.starts)


def test_a_machine_that_never_claims_is_replaced(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    """A wedged boot costs its machine, not the job."""
    wedge = tmp_path / "hang"
    wedge.mkdir()
    (wedge / "sitecustomize.py").write_text(
        "import os, time\n"
        f"mark = {str(wedge / 'first')!r}\n"
        "if not os.path.exists(mark):\n"
        "    open(mark, 'w').close()\n"
        "    time.sleep(600)\n"
    )
    emulator = make_emulator()
    client = make_client(emulator, boot_timeout=1.0)
    path = os.pathsep.join([str(wedge), client.settings.local_path])
    job = jobs.works.options(env={"PYTHONPATH": path}).delay(str(ledger), value=5)

    assert 5 == job.result(timeout=30)
    assert 1 == len(ledger.starts)
    until(lambda: not _alive(emulator))
    assert 2 == len(emulator.billing()["machines"])


def test_a_machine_that_thaws_while_fly_is_asked_about_it_is_left_alone(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path
) -> None:
    """It renewed its lease before anything was decided: its job runs once."""
    emulator.script_faults([FaultRule(action="get", delay=2.0)])
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (started,) = until(lambda: ledger.starts)
    os.kill(started.supervisor, signal.SIGSTOP)
    until(lambda: emulator.requests()["actions"].get("get"))
    os.kill(started.supervisor, signal.SIGCONT)
    time.sleep(3)  # the answer came, and what followed from it
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert ["succeeded"] == [one.outcome for one in job.attempts]
    assert 1 == len(ledger.starts)


@pytest.mark.parametrize("replies", ["come", "are lost"])
def test_a_machine_that_hangs_as_it_starts_and_is_in_no_list_is_destroyed(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    replies: str,
) -> None:
    """Its id is known from the create, or from the clash of names that follows."""
    emulator = make_emulator()
    make_client(emulator, boot_timeout=1.0)
    rules = [
        FaultRule(state="starting", effect="hang", times=1),
        FaultRule(action="list", effect="omit"),
    ]
    if replies == "are lost":
        rules.append(
            FaultRule(action="create", effect="drop", after_commit=True, times=1)
        )
    emulator.script_faults(rules)
    job = jobs.works.delay(str(ledger), value=5)

    until(lambda: len(emulator.machines()) == 2, within=25)
    until(lambda: len(_alive(emulator)) <= 1)
    assert 5 == job.result(timeout=30)
    until(lambda: not _alive(emulator))


def test_a_machine_whose_boot_is_merely_slow_is_left_alone(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """Up to twice the boot timeout a machine that Fly shows as alive may come."""
    emulator = make_emulator()
    emulator.script_faults([FaultRule(state="created", delay=2.5)])
    make_client(emulator, boot_timeout=2.0)
    job = jobs.works.delay(str(ledger), value=5)

    assert 5 == job.result(timeout=30)
    assert 1 == emulator.requests()["actions"]["create"]


def test_one_of_fifty_claimers_gets_the_job(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is handed to one machine, however many ask in the same moment."""
    monkeypatch.setattr(client.launcher, "launch", lambda _slot: None)
    job = jobs.add.options(delay="1h").delay(1, 2)
    claimers = [_claimer(client, f"{n:012x}") for n in range(50)]
    pool = job.info().pool
    _own_slots(client, pool, [f"{n:012x}" for n in range(50)])
    start = threading.Barrier(50)
    claims: list[Claim] = []

    def claim(store: MachineStore) -> None:
        store.wire.connect()
        start.wait(20)
        claims.append(store.claim("stay"))
        store.close()

    _make_due(client, job)
    threads = [threading.Thread(target=claim, args=(one,)) for one in claimers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    verdicts = [one.verdict for one in claims]
    assert (1, 49) == (verdicts.count("jobs"), verdicts.count("empty"))
    assert ("running", 1) == (job.status, job.info().attempt)


def _claimer(client: Client, slot: str) -> MachineStore:
    settings = client.settings
    return MachineStore(
        settings.redis_url,
        settings.namespace,
        slot=slot,
        machine_id=f"m{slot}",
        region="iad",
        lease_ttl=30.0,
    )


def _own_slots(client: Client, pool: str, slots: list[str]) -> None:
    import redis

    from worker_lib.store.keys import key_prefix

    prefix = key_prefix(client.settings.namespace)
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        for slot in slots:
            connection.hset(
                f"{prefix}:slot:{slot}", mapping={"pool": pool, "state": "launching"}
            )
            connection.sadd(f"{prefix}:slots:{pool}", slot)


def _make_due(client: Client, job: Job[int]) -> None:
    import redis

    from worker_lib.store.keys import key_prefix

    prefix = key_prefix(client.settings.namespace)
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        pool = job.info().pool
        connection.zadd(f"{prefix}:due:{pool}", {job.id: 1})
        connection.hset(f"{prefix}:pool:{pool}", "due_at", "1")


def _alive(emulator: Emulator) -> list[str]:
    gone = {"destroying", "destroyed"}
    return [one["id"] for one in emulator.machines() if one["state"] not in gone]
