"""Every fault that the API and its machines can have, and what the library makes of it.

Whatever goes wrong, three things hold: each job comes to its one outcome, a job runs
once unless its machine was lost, and in the end no machine is left. The rest of a test
is what is particular: it was retried, adopted, taken elsewhere, swept, or a person was
told.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import jobs
import pytest
from waiting import until

from worker_lib import (
    InvalidRequest,
    MachineNotFound,
    MachinesApiError,
    Unauthorized,
    WaitTimeout,
    creation,
    launcher,
    sweep,
)
from worker_lib.emulator import FaultRule
from worker_lib.fly.naming import METADATA_OWNER, METADATA_SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger import Ledger

    from worker_lib import Job
    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator
    from worker_lib.errors import Refusal

GONE = {"destroyed", "destroying", "launch_failed"}


def fault(action: str, effect: str = "", **more: object) -> FaultRule:
    """Return a fault of a request."""
    return FaultRule.of({"action": action, "effect": effect, **more})


def transition(state: str, effect: str = "", **more: object) -> FaultRule:
    """Return something that happens to a machine."""
    return FaultRule.of({"state": state, "effect": effect, **more})


LOST = fault("create", "drop", after_commit=True, times=1)

# What is retried, or looked up and adopted: in the end there is one machine for it.
PASSING: dict[str, list[FaultRule]] = {
    "429 without a time": [fault("create", "rate_limited", times=1)],
    "429 with a time": [fault("create", "rate_limited", times=1, retry_after=1)],
    "500": [fault("create", status=500, times=1)],
    "502": [fault("create", status=502, times=1)],
    "503": [fault("create", "unavailable", times=1)],
    "a proxy's page": [fault("create", "html", times=1)],
    "408 before the work": [fault("create", "timed_out", times=1)],
    "408 after the work": [fault("create", "timed_out", after_commit=True, times=1)],
    "500 after the work": [fault("create", status=500, after_commit=True, times=1)],
    "a lost request": [fault("create", "drop", times=1)],
    "a lost reply": [LOST],
    "a reset after the work": [
        fault("create", "reset", after_commit=True, times=1),
    ],
    "half a reply": [fault("create", "truncate", times=1)],
    "a garbled reply": [fault("create", "html", after_commit=True, times=1)],
    "a slow create": [fault("create", delay=1.5, times=1)],
    "a lost reply and slow lists": [LOST, fault("list", delay=0.5)],
    "a lost reply and an empty list": [LOST, fault("list", "omit", times=1)],
    "a lost reply and a stale list": [LOST, fault("list", "stale", delay=0.3)],
    "a lost reply and a list without configs": [LOST, fault("list", "partial")],
    "a lost reply and no list": [LOST, fault("list", status=500, times=1)],
    "a lost reply and the other words for a clash": [
        LOST,
        fault("list", "omit", times=1),
        fault("create", "name_taken", nth=2, times=1),
    ],
    "404 just after the create": [fault("get", "stale", delay=1.0)],
    "a delay in created": [transition("created", delay=1.0)],
    "boots that take their time": [transition("starting", delay=[0, 1.5])],
    "machines that are slow to go": [transition("destroying", delay=3.0)],
    "machines that stay on their way out": [transition("destroying", "hang")],
    "machines that are 404 at once": [transition("destroyed", delay=0.001)],
}


def run(ledger: Ledger, many: int = 2) -> list[Job[int]]:
    """Store some jobs that one machine can do, one after the other."""
    works = jobs.works.options(max_machines=1)
    return [works.delay(str(ledger), value=n) for n in range(many)]


def alive(emulator: Emulator) -> list[str]:
    """Return the machines that are not gone or going."""
    return [one["id"] for one in emulator.machines() if one["state"] not in GONE]


def settle(running: Sequence[Job[int]], emulator: Emulator, within: float = 25) -> None:
    """See every job to its success and every machine to its end."""
    assert list(range(len(running))) == [job.result(timeout=within) for job in running]
    for job in running:
        outcomes = Counter(attempt.outcome for attempt in job.attempts)
        assert 1 == outcomes["succeeded"]
    until(lambda: not alive(emulator), within=10)


@pytest.mark.parametrize("rules", PASSING.values(), ids=PASSING.keys())
def test_what_passes_costs_neither_a_job_nor_a_second_machine(
    client: Client,
    emulator: Emulator,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    rules: list[FaultRule],
) -> None:
    """Retried or adopted: every job runs once, on the one machine of its slot."""
    monkeypatch.setattr(creation, "_backoff", lambda _attempt: 0.1)
    emulator.script_faults(rules)

    settle(run(ledger), emulator)

    assert 2 == len(ledger.starts)
    assert 1 == len(emulator.billing()["machines"])


def test_a_time_to_wait_is_waited(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """`Retry-After` is held to, and is not waited longer."""
    emulator.script_faults([fault("create", "rate_limited", times=1, retry_after=2)])
    began = time.monotonic()
    settle(run(ledger), emulator)

    assert 2 <= ledger.starts[0].at - began < 5
    assert 2 == emulator.requests()["actions"]["create"]


REFUSED = {
    "no host": "no_capacity",
    "a full host": "host_full",
    "a start without room": "start_refused",
    "quota": "quota",
}


@pytest.mark.parametrize("effect", REFUSED.values(), ids=REFUSED.keys())
def test_the_next_region_is_taken_where_one_refuses(
    client: Client, emulator: Emulator, ledger: Ledger, effect: str
) -> None:
    """At once, in the order that the task names them."""
    emulator.script_faults([fault("create", effect, region="ams")])
    works = jobs.works.options(region=["ams", "fra"])
    began = time.monotonic()
    settle([works.delay(str(ledger))], emulator)

    assert ledger.starts[0].at - began < 3
    assert ["fra"] == [one["region"] for one in emulator.billing()["machines"]]


def test_the_next_region_is_taken_where_a_size_is_sold_out(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """Other sizes are there; the task is for this one."""
    emulator.script_faults(
        [fault("create", "no_capacity", region="ams", size="shared-cpu-2x")]
    )
    works = jobs.works.options(region=["ams", "fra"])
    small = works.delay(str(ledger), value=0)
    big = works.options(machine="shared-cpu-2x").delay(str(ledger), value=1)
    settle([small, big], emulator)

    assert ["ams", "fra"] == [small.info().region, big.info().region]


TOLD: dict[str, tuple[FaultRule, type[MachinesApiError], str]] = {
    "a revoked token": (
        fault("create", "unauthorized", times=1),
        Unauthorized,
        "check FLY_API_TOKEN",
    ),
    "a token of another app": (
        fault("create", "forbidden", times=1),
        Unauthorized,
        "this token may not do this",
    ),
    "no payment method": (
        fault("create", "payment", times=1),
        Unauthorized,
        "add a payment method",
    ),
    "an app that is gone": (
        fault("create", "app_not_found", times=1),
        MachineNotFound,
        "does not exist",
    ),
    "a bad request": (
        fault("create", status=400, error="invalid_argument: config.x", times=1),
        InvalidRequest,
        "has to be fixed",
    ),
    "a refused config": (
        fault("create", status=422, error="Validation failed", times=1),
        InvalidRequest,
        "has to be fixed",
    ),
}


@pytest.mark.parametrize(("rule", "kind", "told"), TOLD.values(), ids=TOLD.keys())
def test_a_person_is_told_what_only_a_person_can_fix(  # noqa: PLR0917 - a table of three
    client: Client,
    emulator: Emulator,
    ledger: Ledger,
    rule: FaultRule,
    kind: type[MachinesApiError],
    told: str,
) -> None:
    """Within a moment and by one request; the job is kept and still waits."""
    emulator.script_faults([rule])
    (job,) = run(ledger, many=1)
    with pytest.raises(kind, match=told):
        job.result(timeout=10)

    assert "queued" == job.status
    assert told in job.info().trouble
    assert {"create": 1} == emulator.requests()["actions"]


def test_what_a_person_has_fixed_is_tried_again(
    client: Client,
    emulator: Emulator,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token that is revoked from the second request on, and then is not."""
    monkeypatch.setitem(_hold(), "person", 0.5)
    emulator.script_faults([fault("*", "unauthorized", nth=2)])
    settle(run(ledger), emulator)
    (job,) = run(ledger, many=1)
    with pytest.raises(Unauthorized):
        job.result(timeout=10)
    emulator.script_faults([])

    until(lambda: "succeeded" == job.status)
    settle([job], emulator)


def test_no_room_anywhere_is_waited_out(
    client: Client,
    emulator: Emulator,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job says why it waits, asks seldom, and runs once there is room."""
    monkeypatch.setitem(_hold(), "next_region", 0.5)
    emulator.script_faults([fault("create", "no_capacity", until=2.0)])
    (job,) = run(ledger, many=1)
    until(lambda: "no region has room" in job.info().trouble)
    with pytest.raises(WaitTimeout):
        job.result(timeout=0.2)

    settle([job], emulator)
    assert "" == job.info().trouble
    assert emulator.requests()["actions"]["create"] <= 8


LAUNCHES_THAT_FAIL: dict[str, list[FaultRule]] = {
    "launch failed while created": [transition("created", "launch_failed", times=1)],
    "launch failed while starting": [transition("starting", "launch_failed", times=1)],
    "wedged in created": [transition("created", "hang", times=1)],
    "wedged in starting": [transition("starting", "hang", times=1)],
    "killed while it booted": [transition("started", "kill", times=1)],
    "its host was lost while it booted": [transition("started", "lose_host", times=1)],
}


@pytest.mark.parametrize(
    "rules", LAUNCHES_THAT_FAIL.values(), ids=LAUNCHES_THAT_FAIL.keys()
)
def test_a_machine_that_does_not_come_is_replaced(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    rules: list[FaultRule],
) -> None:
    """By the sweep, after its time to boot; it is destroyed if it is there at all."""
    emulator = make_emulator()
    make_client(emulator, boot_timeout=1.0)
    emulator.script_faults(rules)

    settle(run(ledger), emulator)

    assert 2 == len(ledger.starts)
    assert 2 == emulator.requests()["actions"]["create"]


LOSSES: dict[str, list[FaultRule]] = {
    "killed": [transition("started", "kill", delay=1.2, times=1)],
    "its host lost": [transition("started", "lose_host", delay=1.2, times=1)],
    "its host lost, and lists without it": [
        transition("started", "lose_host", delay=1.2, times=1),
        fault("list", "omit"),
    ],
    "its host lost, and the API away for a moment": [
        transition("started", "lose_host", delay=1.2, times=1),
        fault("destroy", "unavailable", times=4),
    ],
    "killed, and the API away for a moment": [
        transition("started", "kill", delay=1.2, times=1),
        fault("get", status=500, times=4),
    ],
}


@pytest.mark.parametrize("rules", LOSSES.values(), ids=LOSSES.keys())
def test_a_job_whose_machine_is_lost_runs_again(
    client: Client, emulator: Emulator, ledger: Ledger, rules: list[FaultRule]
) -> None:
    """Elsewhere, once its lease has run out; the lost attempt is on record."""
    emulator.script_faults(rules)
    works = jobs.works.options(max_machines=1)
    job = works.delay(str(ledger), seconds=1.5, value=0)

    settle([job], emulator)

    assert ["lost", "succeeded"] == [attempt.outcome for attempt in job.attempts]
    assert 2 == len({entry.machine for entry in ledger.starts})


def test_a_job_survives_the_move_of_its_machine(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """It is handed back at SIGTERM and charged no attempt."""
    emulator.script_faults([transition("started", "migrate", delay=1.2, times=1)])
    works = jobs.works.options(max_machines=1)
    job = works.delay(str(ledger), seconds=1.5, value=0)

    settle([job], emulator)

    assert ["released", "succeeded"] == [attempt.outcome for attempt in job.attempts]
    assert 1 == job.info().attempt


DESTROYS = {
    "500": fault("destroy", status=500, times=4),
    "a lease that somebody holds": fault("destroy", "lease_held", times=2),
    "a lost reply": fault("destroy", "drop", after_commit=True, times=4),
    "a lost request": fault("destroy", "reset", times=4),
    "429": fault("destroy", "rate_limited", times=2),
}


@pytest.mark.parametrize("rule", DESTROYS.values(), ids=DESTROYS.keys())
def test_a_machine_that_could_not_be_destroyed_at_once_is_not_left(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
    rule: FaultRule,
) -> None:
    """A wedged machine goes in the end, however often the API refuses."""
    emulator = make_emulator()
    make_client(emulator, boot_timeout=1.0)
    emulator.script_faults([transition("starting", "hang", times=1), rule])

    settle(run(ledger), emulator)


def test_a_machine_that_one_list_did_not_show_runs_no_job_twice(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """It was given up while it booted: when it comes it finds no slot, and goes."""
    emulator = make_emulator()
    make_client(emulator, boot_timeout=1.0)
    emulator.script_faults(
        [transition("starting", delay=1.6), fault("list", "omit", times=1)]
    )

    settle(run(ledger), emulator)

    assert 2 == len(ledger.starts)


@pytest.mark.processes_only("a container starts too late for the moment of its kill")
def test_nothing_of_others_is_swept(
    client: Client,
    emulator: Emulator,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor what is not worker_lib's at all, nor what another secret's owner has."""
    monkeypatch.setattr(sweep, "_ORPHAN_AFTER", -1000.0)
    (job,) = run(ledger, many=1)
    settle([job], emulator)
    listed = client.launcher.api.list_machines(include_deleted=True)
    config = {"image": client.settings.image, "init": {"exec": ["sleep", "60"]}}
    other = {**listed[0].metadata, METADATA_OWNER: "another", METADATA_SLOT: "f00d"}
    for name, metadata in (("web", {}), ("wl-f00d", other)):
        client.launcher.api.create_machine(
            name=name, region=None, config={**config, "metadata": metadata}
        )
    emulator.script_faults(
        [
            transition("started", "kill", delay=0.8, times=1),
            fault("list", "stale", delay=0.5),
        ]
    )
    works = jobs.works.options(max_machines=1)
    lost = works.delay(str(ledger), seconds=1.2, value=5)

    assert 5 == lost.result(timeout=20)
    assert ["lost", "succeeded"] == [attempt.outcome for attempt in lost.attempts]
    until(lambda: 2 == len(alive(emulator)))
    names = {one["name"] for one in emulator.machines() if one["state"] not in GONE}
    assert {"web", "wl-f00d"} == names


def test_thirty_jobs_come_through_everything_at_once(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """Half of the errors after the work, stale and empty lists, slow boots."""
    emulator.script_faults(
        [
            fault("create", status=500, probability=0.15),
            fault("create", "reset", probability=0.15, after_commit=True),
            fault("list", "stale", delay=0.5),
            fault("list", "omit", probability=0.05),
            transition("starting", delay=[0, 0.5]),
        ],
        seed=11,
    )
    works = jobs.works.options(max_machines=8)
    running = [works.delay(str(ledger), seconds=0.1, value=n) for n in range(30)]

    settle(running, emulator, within=40)
    assert 30 == len(ledger.starts)


def _hold() -> dict[Refusal, float]:
    """Return the pauses of a pool after a refusal, for a test to shorten."""
    return launcher._HOLD
