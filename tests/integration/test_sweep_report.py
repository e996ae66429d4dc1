"""What a sweep tells of what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_rig import claimed

from worker_lib import sweep as sweep_module
from worker_lib.calls.codec import Codec
from worker_lib.emulator import FaultRule
from worker_lib.errors import ConfigError
from worker_lib.sweeper import Sweeper

if TYPE_CHECKING:
    from fly_server import Fly

    from worker_lib.sweep import SweepReport


def sweep(fly: Fly, launch_within: float = 10.0) -> SweepReport:
    """Sweep as `worker-lib sweep` does."""
    settings = fly.settings
    codec = Codec(settings.secret, settings.namespace, max_bytes=1 << 20)
    made = Sweeper(fly.rig.store, fly.launcher, codec, settings)
    return made.sweep_and_reap(launch_within)


def events(report: SweepReport) -> list[str]:
    """Return which steps there were, in order."""
    return [step.event for step in report.steps]


def test_where_nothing_is_overdue_there_is_nothing_to_tell(fly: Fly) -> None:
    """And nobody has to look again."""
    report = sweep(fly)

    assert ((), None, {}) == (report.steps, report.next_in, report.counts)


def test_a_machine_that_was_owed_is_told_with_its_id(fly: Fly) -> None:
    """Its launch ends in another thread, and is waited for."""
    _, stored = fly.rig.enqueue()
    fly.rig.pass_time(11)
    (step,) = sweep(fly).steps
    (machine,) = fly.machines()

    assert ("machine_created", stored.slot) == (step.event, step.slot)
    assert (machine["id"], machine["region"]) == (step.machine_id, step.region)


def test_a_refused_launch_is_told_with_its_reason(fly: Fly) -> None:
    """The next launch of its pool has to wait, and says so."""
    fly.rig.enqueue()
    fly.rig.pass_time(11)
    fly.fail(FaultRule(action="create", status=401))
    (step,) = sweep(fly).steps

    assert "machine_refused" == step.event
    assert "check FLY_API_TOKEN" in step.reason
    assert "CANARY" not in step.reason


def test_a_launch_that_takes_too_long_is_told_as_pending(fly: Fly) -> None:
    """Nobody waits for it longer than was said."""
    _, stored = fly.rig.enqueue()
    fly.rig.pass_time(11)
    fly.fail(FaultRule(action="create", delay=0.5))
    report = sweep(fly, launch_within=0.0)
    fly.settle()

    assert [("launch_pending", stored.slot)] == [one[:2] for one in report.steps]
    assert [f"wl-{stored.slot}"] == fly.names()


def test_a_lost_machine_is_told_with_its_job_and_what_took_its_place(fly: Fly) -> None:
    """First that it is lost, then that it was destroyed, then the new one."""
    job, slot = fly.launch()
    (machine,) = fly.machines()
    claimed(fly.rig.machine(slot, machine["id"]))
    fly.rig.pass_time(31)
    report = sweep(fly)
    lost, destroyed, created = report.steps

    assert ("machine_lost", slot, machine["id"], job) == lost[:4]
    assert "was not heard of for longer than its lease" in lost.reason
    assert ("machine_destroyed", slot, machine["id"]) == destroyed[:3]
    assert "machine_created" == created.event
    assert report.counts["machine_lost"] == 1
    assert report.next_in is not None


def test_a_machine_that_is_given_more_time_is_told(fly: Fly) -> None:
    """It is late, and Fly says that it is up."""
    _, slot = fly.launch()
    fly.rig.pass_time(11)
    report = sweep(fly)

    assert [("machine_late", slot)] == [step[:2] for step in report.steps]
    assert report.next_in is not None
    assert 0 < report.next_in <= 5


def test_what_could_not_be_looked_up_or_destroyed_is_told(fly: Fly) -> None:
    """With the API's error; the job is handed on all the same."""
    _, slot = fly.launch()
    (machine,) = fly.machines()
    claimed(fly.rig.machine(slot, machine["id"]))
    fly.rig.pass_time(31)
    fly.fail(*(FaultRule(action=one, status=503) for one in ("get", "list")))
    report = sweep(fly)

    assert ["check_failed", "machine_lost"] == events(report)[:2]
    assert 2 == report.counts["check_failed"], "the machine, and the list of all"
    assert "503" in report.steps[0].reason


def test_an_orphan_is_told_once(fly: Fly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found, then destroyed."""
    monkeypatch.setattr(sweep_module, "_ORPHAN_AFTER", -10_000.0)
    _, slot = fly.launch()
    (machine,) = fly.machines()
    fly.rig.redis.delete(fly.rig.key("slot", slot))
    report = sweep(fly)

    assert ["orphan_found", "machine_destroyed"] == events(report)
    assert {(slot, machine["id"])} == {step[1:3] for step in report.steps}


def test_who_could_launch_nothing_takes_up_nothing(fly: Fly) -> None:
    """Others could; the error names what is missing."""
    _, stored = fly.rig.enqueue()
    fly.rig.pass_time(11)
    real, fly.settings = fly.settings, fly.rig.settings
    with pytest.raises(ConfigError, match="FLY_API_TOKEN is not set"):
        sweep(fly)
    fly.settings = real

    assert [stored.slot] == [step.slot for step in sweep(fly).steps]
