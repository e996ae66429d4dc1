"""From slots to machines: one each, wherever there is room, or a reason why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fly_server import TOKEN
from store_rig import SPEC
from waiting import until

from worker_lib import creation
from worker_lib import launcher as launcher_module
from worker_lib.creation import machine_config
from worker_lib.emulator import FaultRule
from worker_lib.errors import (
    ConfigError,
    InvalidRequest,
    MachineError,
    Unauthorized,
)
from worker_lib.fly.naming import (
    METADATA_NAMESPACE,
    METADATA_OWNER,
    METADATA_POOL,
    METADATA_SLOT,
    owner,
)
from worker_lib.launcher import Launcher
from worker_lib.settings import Settings
from worker_lib.store import store as store_module
from worker_lib.trouble import rebuild

if TYPE_CHECKING:
    from fly_server import Fly
    from store_rig import StoreRig

    from worker_lib.machines.protocol import Machines
    from worker_lib.store.replies import Seen
    from worker_lib.store.scripts import Script

TWO_REGIONS = json.dumps(SPEC | {"regions": ["ams", "fra"]}).encode()


def look(fly: Fly, job: str) -> Seen:
    """Return a job as it is seen."""
    (seen,) = fly.rig.store.look(job)
    assert seen is not None
    return seen


def test_a_slot_becomes_a_machine_of_its_name(fly: Fly) -> None:
    """Found again by name and metadata, whoever looks."""
    _, slot = fly.launch()
    (machine,) = fly.machines()

    assert f"wl-{slot}" == machine["name"]
    found = fly.api.find_machine(f"wl-{slot}", metadata={METADATA_SLOT: slot})
    assert found is not None
    assert machine["id"] == found.id
    assert "launching" == fly.rig.slot(slot)["state"]


def test_a_machine_ends_for_good_and_a_deploy_leaves_it_alone(fly: Fly) -> None:
    """No restarts, no rest of it left, a known stop signal, no platform version."""
    config = machine_config(json.loads(TWO_REGIONS), "51", "pool", fly.settings)

    assert ({"policy": "no"}, True) == (config["restart"], config["auto_destroy"])
    assert {"signal": "SIGTERM", "timeout": "10s"} == config["stop_config"]
    assert {
        METADATA_SLOT: "51",
        METADATA_POOL: "pool",
        METADATA_NAMESPACE: fly.settings.namespace,
        METADATA_OWNER: owner(fly.settings.namespace, fly.settings.secret),
    } == config["metadata"]


def test_calls_out_of_a_machine_follow_the_settings_of_its_launcher() -> None:
    """They share pools with calls from outside, and keep results as long."""
    ours = Settings(
        namespace="n",
        max_machines=3,
        max_payload_bytes=300_000,
        result_ttl=1234567.5,
        pending_ttl=7654321.0,
        lease_ttl=12.5,
        boot_timeout=99.0,
        max_lifetime=1000000.0,
        max_generations=7,
        nested_rate=9,
    )
    config = machine_config(SPEC, "5107", "pool", ours)
    theirs = Settings.load(config["env"])

    assert ours == theirs


def test_no_secret_is_in_a_machines_config(fly: Fly) -> None:
    """Whoever may list machines may read their config."""
    told = json.dumps(machine_config(SPEC, "51", "pool", fly.settings))

    for secret in (TOKEN, fly.settings.secret, fly.settings.redis_url):
        assert secret not in told


@pytest.mark.parametrize("how", ["drop", "reset", "truncate", "html"])
def test_a_create_whose_reply_was_lost_is_adopted(fly: Fly, how: str) -> None:
    """The machine is there; looking it up is enough."""
    fly.fail(FaultRule(action="create", effect=how, after_commit=True, times=1))
    _, slot = fly.launch()

    assert [f"wl-{slot}"] == fly.names()
    assert "launching" == fly.rig.slot(slot)["state"]


def test_a_create_that_never_arrived_is_sent_again(fly: Fly) -> None:
    """Looking it up found nothing."""
    fly.fail(FaultRule(action="create", effect="drop", times=2))
    _, slot = fly.launch()

    assert [f"wl-{slot}"] == fly.names()


@pytest.mark.parametrize("refusal", [403, 422])
def test_a_machine_whose_create_was_refused_after_a_lost_reply_is_adopted(
    fly: Fly, refusal: int
) -> None:
    """The first request made it, whatever the second one says."""
    fly.fail(
        FaultRule(action="create", effect="drop", after_commit=True, times=1),
        FaultRule(action="list", effect="omit", times=1),
        FaultRule(action="create", status=refusal, nth=2, times=1),
    )
    job, slot = fly.launch()
    (machine,) = fly.machines()

    assert machine["id"] == fly.rig.slot(slot)["made"]
    assert {slot} == fly.rig.slots()
    assert "" == look(fly, job).info.trouble


def test_a_machine_that_claimed_before_its_create_was_refused_keeps_its_slot(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody finds it in the list, so the refusal is all that the launcher knows."""
    fly.fail(
        FaultRule(action="create", effect="drop", after_commit=True, times=1),
        FaultRule(action="list", effect="omit"),
        FaultRule(action="create", status=422, nth=2),
    )

    def claim_meanwhile(_attempt: int) -> float:
        (machine,) = fly.machines()
        slot = machine["name"].removeprefix("wl-")
        assert fly.rig.machine(slot, machine["id"]).claim("stay").job
        return 0.001

    monkeypatch.setattr(creation, "_backoff", claim_meanwhile)
    monkeypatch.setattr(fly.rig.store, "is_launching", lambda _slot: True)
    job, slot = fly.launch()

    assert {slot} == fly.rig.slots()
    assert ("running", "") == (fly.rig.status(job), look(fly, job).info.trouble)
    fly.rig.pass_time(31)
    assert [slot] == [one.slot for one in fly.rig.store.sweep().checks]


def test_a_machine_that_no_list_shows_is_adopted_by_the_id_of_the_clash(
    fly: Fly,
) -> None:
    """The name is taken, and the refusal says by which machine."""
    fly.fail(
        FaultRule(action="create", effect="drop", after_commit=True, times=1),
        FaultRule(action="list", effect="omit"),
    )
    _, slot = fly.launch()
    (machine,) = fly.machines()

    assert machine["id"] == fly.rig.slot(slot)["made"]
    assert 2 == fly.emulator.requests()["actions"]["create"]


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_a_refusal_that_passes_is_tried_again(fly: Fly, status: int) -> None:
    """Twice refused, then taken: one machine, and nobody is told of trouble."""
    fly.fail(FaultRule(action="create", status=status, times=2))
    job, slot = fly.launch()

    assert [f"wl-{slot}"] == fly.names()
    assert "" == look(fly, job).info.trouble


@pytest.mark.parametrize("how", ["no_capacity", "host_full", "quota"])
def test_where_one_region_is_full_the_next_one_is_asked(fly: Fly, how: str) -> None:
    """In the order in which the task names them."""
    fly.fail(FaultRule(action="create", region="ams", effect=how))
    fly.launch(pool_spec=TWO_REGIONS)

    assert ["fra"] == [one["region"] for one in fly.machines()]


def test_where_all_regions_are_full_the_job_waits_and_the_reason_is_seen(
    fly: Fly,
) -> None:
    """It passes by itself, so nobody's wait is broken off; launches pause."""
    fly.fail(
        *(
            FaultRule(action="create", region=one, effect="no_capacity")
            for one in ("ams", "fra")
        )
    )
    job, slot = fly.launch(pool_spec=TWO_REGIONS)
    seen = look(fly, job)

    assert ([], set()) == (fly.machines(), fly.rig.slots())
    assert ("queued", "") == (seen.info.status, seen.trouble)
    assert "no region has room" in seen.info.trouble
    assert "ams: " in seen.info.trouble
    assert "fra: " in seen.info.trouble
    assert 14 < fly.rig.timers()["p:pool"] <= 15
    assert {} == fly.rig.slot(slot)


@pytest.mark.parametrize(
    ("status", "how", "remedy"),
    [
        (401, "unauthorized", "check FLY_API_TOKEN"),
        (403, "forbidden", "check FLY_API_TOKEN"),
        (403, "payment", "add a payment method"),
    ],
)
def test_what_only_a_person_can_fix_is_told_to_who_waits(
    fly: Fly, status: int, how: str, remedy: str
) -> None:
    """With the error of the launcher's own process, status and remedy; no token."""
    fly.fail(FaultRule(action="create", effect=how))
    job, _ = fly.launch()
    assert fly.rig.store.wait(job, 1) is None
    seen = look(fly, job)
    error = rebuild(seen.trouble, fly.launcher.who)

    assert isinstance(error, Unauthorized)
    assert status == error.status
    assert remedy in str(error)
    assert "the job is stored and waits" in str(error)
    assert "CANARY" not in seen.trouble + str(error)


def test_a_size_that_fly_does_not_sell_is_told_at_once(fly: Fly) -> None:
    """No other region sells it; it is asked for once, and not every 15 seconds."""
    words = "invalid config.guest.memory_mb, minimum required 512 MiB"
    fly.fail(FaultRule(action="create", status=422, error=words))
    job, _ = fly.launch(pool_spec=TWO_REGIONS)
    error = rebuild(look(fly, job).trouble, fly.launcher.who)

    assert isinstance(error, InvalidRequest)
    assert words in str(error)
    assert "choose another machine or memory_mb" in str(error)
    assert 1 == fly.emulator.requests()["actions"]["create"]
    assert 29 < fly.rig.timers()["p:pool"] <= 30


def test_who_has_other_credentials_is_not_told_of_those(fly: Fly) -> None:
    """They may have been fixed."""
    fly.fail(FaultRule(action="create", status=401))
    job, _ = fly.launch()

    assert rebuild(look(fly, job).trouble, "fixed") is None


def test_a_pool_that_was_refused_pauses_and_then_goes_on(fly: Fly) -> None:
    """No request is wasted meanwhile; the first machine after it is asked for."""
    fly.fail(FaultRule(action="create", status=401, times=1))
    fly.launch()
    fly.launch()
    assert [] == fly.machines()
    fly.rig.pass_time(31)
    (slot, *_) = fly.rig.store.sweep().launches
    fly.launcher.launch(slot)
    fly.settle()

    assert [f"wl-{slot}"] == fly.names()


def test_a_slot_that_nobody_needs_any_more_costs_no_request(fly: Fly) -> None:
    """Its job was cancelled before its turn."""
    job, stored = fly.rig.enqueue()
    fly.rig.store.cancel(job)
    fly.launcher.launch(stored.slot)
    fly.settle()

    assert ([], set()) == (fly.machines(), fly.rig.slots())


def test_a_setting_that_is_missing_is_told_to_who_waits(rig: StoreRig) -> None:
    """The same sentence as in the process that tried."""

    def make_api() -> Machines:
        raise ConfigError("WORKER_IMAGE is not set, so no machine can be started")

    launcher = Launcher(rig.store, make_api, rig.codec, rig.settings)
    job, stored = rig.enqueue()
    launcher.launch(stored.slot)
    assert launcher.flush(10)
    (seen,) = rig.store.look(job)
    assert seen is not None
    error = rebuild(seen.trouble, launcher.who)

    assert isinstance(error, ConfigError)
    assert "WORKER_IMAGE is not set" in str(error)


def test_a_reason_of_a_newer_library_is_still_told() -> None:
    """A class that is unknown here, or none of ours, is a plain machine error."""
    for name in ("Newer", "WorkerLibError", "__all__"):
        told = {"error": name, "message": "no", "status": 0, "who": "me"}
        error = rebuild(json.dumps(told), "me")
        assert MachineError is type(error)


def test_two_launchers_make_one_machine_of_a_slot(fly: Fly) -> None:
    """The process that took it, and the one that thought it dead."""
    other = fly.make_launcher()
    _, stored = fly.rig.enqueue()
    for launcher in (fly.launcher, other):
        launcher.launch(stored.slot)
    assert other.flush(10)
    fly.settle()

    assert [f"wl-{stored.slot}"] == fly.names()


def asked(rig: StoreRig, verb: str) -> list[tuple[Any, ...]]:
    """Count from now on with which words a script is run."""
    connection: Any = rig.store._connection
    seen, real = [], connection.run

    def run(one: Script, *words: Any, **more: Any) -> Any:
        if one.name == verb:
            seen.append(words)
        return real(one, *words, **more)

    connection.run = run
    return seen


def test_a_line_of_pools_asks_once_for_each_machine(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a sweep hands it the same slots; they are not taken for dead."""
    monkeypatch.setattr(store_module, "CREATES_PER_SECOND", 20.0)
    monkeypatch.setattr(launcher_module, "_RENEW_EVERY", 0.1)
    slots = [fly.rig.enqueue(pool=f"p{n}")[1].slot for n in range(40)]
    fly.rig.pass_time(9)
    asks = asked(fly.rig, "launch")
    for _ in range(3):
        for slot in slots:
            fly.launcher.launch(slot)
    until(lambda: len(asks) > 10)
    timers = fly.rig.timers()
    waiting = slots[20:]
    assert all(8 < timers[f"s:{slot}"] <= 10 for slot in waiting)
    fly.settle()

    assert sorted(f"wl-{slot}" for slot in slots) == sorted(fly.names())
    assert 40 <= len(asks) <= 50


def test_fingerprints_tell_credentials_apart_and_give_nothing_away(fly: Fly) -> None:
    """They stand in Redis beside the reason of a refusal."""
    assert 12 == len(fly.launcher.who)
    assert "CANARY" not in fly.launcher.who
    fly.settings = fly.rig.settings
    assert fly.launcher.who != fly.make_launcher().who
