"""Machines that park themselves when their pool is empty, and are started again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import result_of, until

from worker_lib import Unauthorized
from worker_lib.emulator import FaultRule
from worker_lib.fly.latencies import Latencies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

# Too large to be suspended: it is stopped.
LARGE: Any = {"machine": "shared-cpu-2x", "memory_mb": 4096}
HOW: dict[str, dict[str, Any]] = {"suspended": {}, "stopped": LARGE}
on_each_way = pytest.mark.parametrize("state", HOW)
only_processes = pytest.mark.processes_only("sockets of local processes are severed")


def state_of(emulator: Emulator) -> list[str]:
    """Return the states of all machines that are not destroyed."""
    states = [one["state"] for one in emulator.machines()]
    return [state for state in states if state != "destroyed"]


def asked(emulator: Emulator, action: str) -> int:
    """Return how often something was asked of the API."""
    return int(emulator.requests()["actions"].get(action, 0))


def parked(emulator: Emulator, state: str = "suspended", count: int = 1) -> None:
    """Wait until so many machines stand still."""
    until(lambda: [state] * count == state_of(emulator))


@on_each_way
def test_a_parked_machine_takes_the_next_call(
    client: Client, emulator: Emulator, ledger: Ledger, state: str
) -> None:
    """It is started, and none is created."""
    works = jobs.works.options(park=1, **HOW[state])
    for value in range(3):
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        parked(emulator, state)

    assert (1, 2) == (asked(emulator, "create"), asked(emulator, "start"))
    assert 1 == len({entry.machine for entry in ledger.starts})


def test_a_suspended_machine_keeps_its_processes(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """And with them what its tasks have loaded."""
    works = jobs.works.options(park=1)
    for value in range(2):
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        parked(emulator)

    assert 1 == len({entry.pid for entry in ledger.starts})


def test_a_parked_machine_costs_nothing_and_asks_for_nothing(
    client: Client, emulator: Emulator, ledger: Ledger, redis_url: str
) -> None:
    """No command, no API call, no second that is paid for."""
    assert 5 == jobs.works.options(park=1).delay(str(ledger), value=5).result(20)
    parked(emulator)

    def seen() -> tuple[Any, ...]:
        return emulator.billing()["started_s"], emulator.requests()["actions"]

    before = seen()
    time.sleep(1.0)

    assert before == seen()


def test_no_more_machines_park_than_the_task_says(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path
) -> None:
    """The others destroy themselves."""
    gate = tmp_path / "gate"
    works = jobs.works.options(park=2)
    running = [works.delay(str(ledger), gate=str(gate), value=n) for n in range(4)]
    until(lambda: 4 == len(ledger.starts))
    gate.touch()
    for job in running:
        job.result(timeout=20)

    parked(emulator, count=2)
    until(lambda: 4 == len(emulator.machines()))


def test_many_machines_are_started_in_the_same_second(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    """Fly's limit of creates does not hold for starts."""
    emulator = make_emulator(rate_limits=True)
    make_client(emulator)
    works = jobs.works.options(park=5, max_machines=5, target_latency=0.1)

    def burst(name: str, event: str) -> float:
        gate, before = tmp_path / name, len(ledger.starts)
        running = [works.delay(str(ledger), gate=str(gate)) for _ in range(5)]
        until(lambda: before + 5 == len(ledger.starts), within=30)
        gate.touch()
        for job in running:
            job.result(timeout=20)
        parked(emulator, count=5)
        return spread(emulator, event)

    created, started = burst("cold", "launch"), burst("warm", "start")

    assert (5, 5) == (asked(emulator, "create"), asked(emulator, "start"))
    assert created > 1.9
    assert started < created / 2


def test_a_start_does_not_wait_for_the_creates_of_others(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path
) -> None:
    """These wait for their turn, a second each, in the same process."""
    gate = tmp_path / "gate"
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    others = [
        jobs.works.options(env={"POOL": str(n)}).delay(str(ledger), gate=str(gate))
        for n in range(6)
    ]
    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)
    created = asked(emulator, "create")
    gate.touch()
    for job in others:
        job.result(timeout=20)

    assert created < 7
    assert 7 == asked(emulator, "create")


def spread(emulator: Emulator, event: str) -> float:
    """Return the seconds between the first and the last machine's latest event."""
    at = [
        next(one["timestamp"] for one in machine["events"] if one["type"] == event)
        for machine in emulator.machines()
    ]
    return float(max(at) - min(at)) / 1000


@pytest.mark.parametrize("effect", ["host_full", "start_refused"])
@on_each_way
def test_a_machine_whose_host_has_no_room_is_replaced(
    client: Client, emulator: Emulator, ledger: Ledger, state: str, effect: str
) -> None:
    """By a new one, at once; the old one is destroyed."""
    works = jobs.works.options(park=1, **HOW[state])
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator, state)
    emulator.script_faults([FaultRule(action="start", effect=effect)])

    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)
    assert 2 == asked(emulator, "create")
    client.sweeper.look_soon()
    parked(emulator, state)


def test_a_machine_that_is_gone_is_replaced(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """Somebody has destroyed it meanwhile."""
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    client.launcher.api.destroy_machine(emulator.machines()[0]["id"])

    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)
    assert 2 == asked(emulator, "create")


def test_a_machine_whose_snapshot_is_lost_boots_anew(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """The same machine, another process."""
    emulator.script_faults([FaultRule(state="suspended", effect="lose_snapshot")])
    works = jobs.works.options(park=1)
    for value in range(2):
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        parked(emulator)

    assert 1 == asked(emulator, "create")
    assert 1 == len({entry.machine for entry in ledger.starts})
    assert 2 == len({entry.pid for entry in ledger.starts})


def test_a_machine_that_cannot_suspend_is_stopped(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """Fly refuses it: it ends, and is parked all the same."""
    emulator.script_faults([FaultRule(action="suspend", status=412)])
    works = jobs.works.options(park=1)
    for value in range(2):
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        parked(emulator, "stopped")

    assert 1 == asked(emulator, "create")


@pytest.mark.parametrize("effect", ["drop", "reset", "truncate"])
def test_a_lost_answer_to_a_suspend_is_none(
    client: Client, emulator: Emulator, ledger: Ledger, effect: str
) -> None:
    """The machine sees for itself that it has slept."""
    rule = FaultRule(action="suspend", effect=effect, after_commit=True)
    emulator.script_faults([rule])
    works = jobs.works.options(park=1)
    for value in range(2):
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        parked(emulator)

    assert 1 == len({entry.pid for entry in ledger.starts})


def test_a_refused_token_leaves_the_machine_parked(
    client: Client,
    emulator: Emulator,
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """The caller is told; with the right token it is started."""
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    emulator.script_faults([FaultRule(action="start", effect="unauthorized", times=1)])
    job = works.delay(str(ledger), value=7)
    with pytest.raises(Unauthorized):
        job.result(timeout=20)
    assert ["suspended"] == state_of(emulator)

    make_client(emulator, fly_api_token="fm2_CANARY")
    assert 8 == works.delay(str(ledger), value=8).result(timeout=20)
    assert 1 == asked(emulator, "create")


@pytest.mark.processes_only("its machines ask for an image of no engine")
def test_a_machine_of_somebody_else_is_not_started(
    client: Client,
    emulator: Emulator,
    ledger: Ledger,
    redis_keys: Callable[[str], list[str]],
) -> None:
    """Whoever can write to Redis must not have any machine of the app started."""
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    config = {"image": "other", "init": {"exec": ["sleep", "60"]}}
    other = client.launcher.api.create_machine(name="x", region=None, config=config).id
    until(lambda: "started" in state_of(emulator))
    emulator_stop(client, other)
    until(lambda: "stopped" in state_of(emulator))
    slot = redis_keys("parked:*")
    assert slot
    point_to(client, redis_keys, other)

    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)
    assert "stopped" in state_of(emulator)


def emulator_stop(client: Client, machine_id: str) -> None:
    """Stop a machine."""
    api: Any = client.launcher.api
    api._send("POST", api._machines(machine_id, "stop"))


def point_to(
    client: Client, redis_keys: Callable[[str], list[str]], machine_id: str
) -> None:
    """Have the only parked slot name another machine."""
    import redis

    with redis.Redis.from_url(client.settings.redis_url) as connection:
        prefix = "{" + client.settings.namespace + "}:"
        (key,) = redis_keys("slot:*")
        connection.hset(prefix + key, "machine", machine_id)


def test_the_clock_of_its_lifetime_begins_anew(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """A machine that was resumed is as young as a new one."""
    emulator = make_emulator()
    make_client(emulator, max_lifetime=1.5)
    works = jobs.works.options(park=1)
    for value in range(3):
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        parked(emulator)
        time.sleep(1.0)

    assert 1 == asked(emulator, "create")


def test_a_machine_at_the_end_of_its_lifetime_destroys_itself(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    """Though it could park."""
    emulator, gate = make_emulator(), tmp_path / "gate"
    make_client(emulator, max_lifetime=1.0)
    job = jobs.works.options(park=1).delay(str(ledger), gate=str(gate))
    until(lambda: ledger.starts)
    time.sleep(1.2)
    gate.touch()
    job.result(timeout=20)

    until(lambda: [] == state_of(emulator))


def test_random_numbers_are_others_after_a_resume(
    client: Client, emulator: Emulator
) -> None:
    """Whoever resumes the same memory twice must not draw the same."""
    drawn = []
    for _ in range(3):
        drawn.append(jobs.draws.options(park=1).delay(7).result(timeout=20))
        parked(emulator)

    assert drawn[1] != drawn[2]


@only_processes
def test_a_task_that_calls_a_task_does_so_after_a_resume_too(
    client: Client, emulator: Emulator
) -> None:
    """Its own connection to Redis has ended meanwhile."""
    nests = jobs.nests.options(park=1)
    inner = []
    for _ in range(2):
        inner.append(nests.delay(1, 2).result(timeout=20))
        until(lambda: "started" not in state_of(emulator))

    assert 2 == len(set(inner))


def test_a_parked_machine_is_destroyed_when_its_time_is_over(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """By a process that sweeps."""
    jobs.works.options(park=1, park_for="1s").delay(str(ledger)).result(timeout=20)
    parked(emulator)
    client.sweeper.look_soon()

    until(lambda: [] == state_of(emulator))


@pytest.mark.processes_only("its machines ask for an image of no engine")
def test_machines_of_an_earlier_deployment_are_destroyed(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """By a process of a later one; not the other way round."""
    emulator = make_emulator()
    image = "registry.fly.io/web:deployment-01J{}AAAAAAAAAAAAAAAAAAAAAA"
    works = jobs.works.options(park=1)
    old = make_client(emulator, image=image.format("A"))
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    new = make_client(emulator, image=image.format("B"))
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator, count=2)

    old.sweeper.sweep()
    assert 2 == len(state_of(emulator))
    new.sweeper.sweep()
    until(lambda: 1 == len(state_of(emulator)))
    assert 2 == works.delay(str(ledger), value=2).result(timeout=20)
    assert 2 == asked(emulator, "create")


def test_a_call_that_comes_while_a_machine_parks_is_not_lost(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """Fly takes some time for a suspend, and refuses a start meanwhile."""
    emulator = make_emulator(latencies=Latencies(suspend=0.3))
    make_client(emulator)
    works = jobs.works.options(park=1)
    for value in range(4):
        job = works.delay(str(ledger), value=value)
        assert value == result_of(job, within=30)

    assert 1 == asked(emulator, "create")


def test_a_machine_that_takes_too_long_to_park_is_replaced(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A create would have been faster by then."""
    monkeypatch.setattr("worker_lib.starting._PATIENCE", 0.5)
    emulator = make_emulator(latencies=Latencies(suspend=60.0))
    make_client(emulator)
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    until(lambda: ["suspending"] == state_of(emulator))

    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)
    assert 2 == asked(emulator, "create")


def test_a_machine_that_just_stopped_is_started_as_soon_as_it_may_be(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """Fly refuses it for a while, though it is shown as stopped."""
    emulator = make_emulator(latencies=Latencies(settle=1.0))
    make_client(emulator)
    works = jobs.works.options(park=1, **LARGE)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator, "stopped")

    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)
    assert 1 == asked(emulator, "create")
