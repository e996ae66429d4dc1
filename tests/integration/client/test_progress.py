"""How far batches and maps are: on a terminal, and for pages."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import jobs as tasks
import pytest
from waiting import until

from worker_lib.client import progress
from worker_lib.client.fleet import FleetMeter
from worker_lib.errors import BatchNotFound
from worker_lib.fly.prices import price
from worker_lib.inspection import batch_progress
from worker_lib.store.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store_rig import StoreRig

    from worker_lib.client.client import Client

SIZE = "shared-cpu-1x@256mb"
# What the launcher may be sending meanwhile is none of them.
LOOKS = {"batch", "machines", "exits", "overview"}


class Terminal(io.StringIO):
    """Takes text, and says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts that were run so far, in order."""
    names: list[str] = []
    run = Connection.run

    def noted(self: Connection, script: Any, *words: Any, **named: Any) -> Any:
        names.append(script.name)
        return run(self, script, *words, **named)

    monkeypatch.setattr(Connection, "run", noted)
    return names


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return a terminal on which the library draws a line, with machines at once."""
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    live = progress.Live
    monkeypatch.setattr(
        progress, "Live", lambda *words: live(*words, first=0.01, every=0.05)
    )
    return out


@pytest.fixture
def gated(client: Client, tmp_path: Path) -> Iterator[Path]:
    """A gate that tasks wait at; it is opened in the end."""
    gate = tmp_path / "gate"
    yield gate
    gate.touch()


def test_a_fleet_is_the_machines_of_one_pool(rig: StoreRig) -> None:
    """With what they have cost, those that have ended too; each once."""
    meter = FleetMeter(rig.store.views, "pool", 0.0)
    assert 0 == meter.read().machines
    machine, job = rig.running(size=SIZE)
    rig.running(size=SIZE, pool="other")
    for slot in rig.slots():
        up_at = rig.redis.time()[0] - 100
        rig.redis.hset(rig.key("slot", slot), mapping={"up_at": up_at, "boot": 0})
    up = meter.read()
    machine.report(job, "succeeded")
    ended = meter.read()

    second = price(SIZE, "ams")
    assert (1, 0) == (up.machines, ended.machines)
    assert up.cost_usd == pytest.approx(100 * second, rel=0.03)
    assert up.cost_usd <= ended.cost_usd == pytest.approx(100 * second, rel=0.05)
    assert ended.cost_usd == meter.read().cost_usd


def test_a_fleet_costs_nothing_before_it_is_looked_at(rig: StoreRig) -> None:
    """What machines did for others until then is not counted."""
    rig.running(size=SIZE)
    for slot in rig.slots():
        rig.redis.hset(rig.key("slot", slot), "up_at", rig.redis.time()[0] - 1000)
    meter = FleetMeter(rig.store.views, "pool")

    assert 0.0 == meter.read().cost_usd
    assert 0 < meter.read().cost_usd < 10 * price(SIZE, "ams")


def test_a_batch_tells_how_far_it_is(
    client: Client, gated: Path, sent: list[str]
) -> None:
    """Done and failed jobs, machines and costs so far; nothing of rates at its end."""
    batch = tasks.waits_for.delay_many([(str(gated),), (str(gated),)])
    until(lambda: batch_progress(batch.id).machines >= 1)
    sent.clear()
    seen = batch_progress(batch.id)
    assert ["batch", "machines", "exits"] == [name for name in sent if name in LOOKS]
    assert (0, 2, 0) == (seen.done, seen.total, seen.failed)
    assert seen.eta_s is None
    gated.touch()
    assert batch.wait(30)
    done = batch_progress(batch.id)

    assert (2, 2, 0) == (done.done, done.total, done.failed)
    assert done.rate is done.eta_s is done.cost_usd is None
    assert json.dumps(done._asdict())


@pytest.mark.usefixtures("client")
def test_failures_of_a_batch_are_told() -> None:
    """Also while others wait."""
    batch = tasks.boom.delay_many([("no",), ("no",)])
    assert batch.wait(30)

    seen = batch_progress(batch.id)
    assert (2, 2, 0) == (seen.failed, seen.counts["failed"], seen.counts["queued"])
    with pytest.raises(BatchNotFound):
        batch_progress("0" * 16)


@pytest.mark.usefixtures("client")
def test_a_map_shows_failures_and_machines_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it waits for them, too."""
    line = terminal(monkeypatch)
    values = tasks.boom.map(["a", "b"], errors="collect", progress=True)
    assert 2 == len([*values])

    last = line.getvalue().splitlines()[-1]
    assert "2/2  100%" in last
    assert "2 failed" in last
    assert "machine" in line.getvalue()
    assert "$0.0" in line.getvalue()


@pytest.mark.usefixtures("client")
def test_a_batch_shows_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Up to the error that ends it."""
    line = terminal(monkeypatch)
    batch = tasks.boom.delay_many([("a",)])
    with pytest.raises(ValueError, match="a"):
        [*batch.results(progress=True)]

    assert "1/1  100%" in line.getvalue()
    assert "1 failed" in line.getvalue()


@pytest.mark.usefixtures("client")
def test_machines_are_looked_at_for_a_terminal_alone(sent: list[str]) -> None:
    """Neither in a pipe nor unasked."""
    for wanted in (True, False):
        assert [1, 2] == list(tasks.add.map([1, 2], progress=wanted))

    assert not (LOOKS - {"batch"}) & set(sent)
