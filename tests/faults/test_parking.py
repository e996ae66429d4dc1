"""Parked machines, with what can go wrong while they park, sleep and wake up."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import result_of, until

from worker_lib import sweep as sweep_module
from worker_lib.client.handle import Job
from worker_lib.emulator import FaultRule
from worker_lib.fly.latencies import Latencies

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos import ChaosProxy
    from ledger import Ledger
    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

pytestmark = pytest.mark.processes_only("machines sleep with their sockets severed")


def states(emulator: Emulator) -> list[str]:
    """Return the states of all machines that are not destroyed."""
    found = [one["state"] for one in emulator.machines()]
    return [state for state in found if state != "destroyed"]


def parked(emulator: Emulator, state: str = "suspended", count: int = 1) -> None:
    """Wait until so many machines stand still, and there are no others."""
    until(lambda: [state] * count == states(emulator), within=30)


def asked(emulator: Emulator, action: str) -> int:
    """Return how often something was asked of the API."""
    return int(emulator.requests()["actions"].get(action, 0))


@pytest.mark.parametrize("memory_mb", [256, 4096])
def test_calls_at_any_moment_of_parking_are_run_once(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    memory_mb: int,
) -> None:
    """Before the machine asks for it, while Fly does it, and when it is done."""
    takes = Latencies(suspend=0.03, resume=0.02, start=0.02, settle=0.05)
    emulator = make_emulator(latencies=takes)
    make_client(emulator, lease_ttl=10.0)
    size: Any = {"machine": "shared-cpu-8x", "memory_mb": max(2048, memory_mb)}
    works = jobs.works.options(park=1, **(size if memory_mb > 256 else {}))
    chance = random.Random(5)
    for value in range(25):
        assert value == works.delay(str(ledger), value=value).result(timeout=30)
        time.sleep(chance.uniform(0, 0.1))  # any moment will do

    assert 25 == len(ledger.starts)
    assert 1 == asked(emulator, "create")


def test_a_launcher_that_dies_before_the_start_is_made_good(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had the permission; another process sees that nothing came of it."""
    monkeypatch.setattr(sweep_module, "_STARTS_WITHIN", 0.5)
    emulator = make_emulator()
    client = make_client(emulator, lease_ttl=0.5)
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    monkeypatch.setattr(client.launcher, "launch", lambda *_: None)
    client.sweeper.stop()
    job = works.delay(str(ledger), value=7)
    found = _slots(client).items()
    (slot,) = [name for name, one in found if one.get("state") == "owed"]
    assert "start" == client.store.launch(slot, 0.5, client.launcher.who).verdict

    other = make_client(emulator, lease_ttl=0.5)
    assert 7 == Job(job.id, other).result(timeout=20)
    until(lambda: 1 == len(states(emulator)))


def _slots(client: Client) -> dict[str, dict[str, str]]:
    import redis

    prefix = "{" + client.settings.namespace + "}:slot:"
    url = client.settings.redis_url
    with redis.Redis.from_url(url, decode_responses=True) as connection:
        found = connection.keys(prefix + "*")
        return {key.removeprefix(prefix): connection.hgetall(key) for key in found}


def test_a_machine_whose_host_is_lost_while_it_sleeps_is_replaced(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """Fly shows only a part of it; what is left is destroyed later."""
    emulator = make_emulator()
    make_client(emulator)
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    emulator.script_faults([FaultRule(action="get", effect="partial", times=1)])

    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)
    assert 2 == asked(emulator, "create")


def test_redis_may_restart_while_a_machine_sleeps(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
    ledger: Ledger,
) -> None:
    """It is woken by Fly, not by Redis, and connects anew."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url)
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    own_server.kill()
    own_server.start()

    assert 7 == result_of(works.delay(str(ledger), value=7))
    assert 1 == asked(emulator, "create")


@pytest.mark.parametrize("verb", ["finish", "claim"])
def test_a_verdict_to_park_whose_reply_was_lost_is_given_again(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
    verb: str,
) -> None:
    """The machine parks, and is found parked."""
    emulator = make_emulator(redis_url=proxy.url)
    make_client(emulator, lease_ttl=10.0)
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    for value in range(4):
        proxy.lose_replies(verb)
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        parked(emulator)

    assert 4 == proxy.lost[verb]
    assert (1, 5) == (asked(emulator, "create"), len(ledger.starts))


@pytest.mark.parametrize("verb", ["enqueue", "launch", "replace"])
def test_a_caller_whose_replies_are_lost_wakes_the_same_machine(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
    verb: str,
) -> None:
    """No slot is taken twice; one that is replaced is replaced once."""
    emulator = make_emulator()
    make_client(emulator, redis_url=proxy.url, lease_ttl=10.0)
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    parked(emulator)
    if verb == "replace":
        fault = FaultRule(action="start", effect="host_full", times=3)
        emulator.script_faults([fault])
    for value in range(3):
        proxy.lose_replies(verb)
        assert value == works.delay(str(ledger), value=value).result(timeout=20)
        until(lambda: "suspended" in states(emulator))

    assert 3 == proxy.lost[verb]
    assert 4 == len(ledger.starts)
    assert (4 if verb == "replace" else 1) == asked(emulator, "create")


def test_a_machine_that_was_killed_instead_of_parking_is_started_again(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """Its slot is parked by then, and Fly has kept it."""
    rule = FaultRule(state="suspending", effect="hang")
    emulator = make_emulator(faults=_plan(rule))
    client = make_client(emulator)
    works = jobs.works.options(park=1)
    works.delay(str(ledger)).result(timeout=20)
    until(lambda: ["suspending"] == states(emulator))
    emulator.script_faults([])
    client.launcher.api.destroy_machine(emulator.machines()[0]["id"])

    assert 7 == works.delay(str(ledger), value=7).result(timeout=20)


def _plan(*rules: FaultRule) -> Any:
    from worker_lib.emulator import FaultPlan

    return FaultPlan(rules=rules)


def test_many_machines_wake_and_park_without_losing_a_call(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """Starts fail one time in five: with an error, too late, or for want of room."""
    emulator = make_emulator(latencies=Latencies(suspend=0.05, resume=0.03))
    make_client(emulator, lease_ttl=5.0)
    emulator.script_faults(
        [
            FaultRule(action="start", effect="host_full", probability=0.1),
            FaultRule(action="start", status=503, probability=0.1),
            FaultRule(action="start", effect="reset", after_commit=True, nth=3),
            FaultRule(action="suspend", effect="reset", probability=0.1),
            FaultRule(state="suspended", effect="lose_snapshot", probability=0.1),
        ],
        seed=7,
    )
    works = jobs.works.options(park=4, max_machines=4)
    stored: list[Any] = []
    for _ in range(8):
        running = [works.delay(str(ledger), seconds=0.05, value=n) for n in range(8)]
        assert list(range(8)) == [job.result(timeout=60) for job in running]
        stored += running

    assert {job.id for job in stored} == {entry.job for entry in ledger.starts}
    assert {"succeeded"} == {job.status for job in stored}
