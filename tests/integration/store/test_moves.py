"""The table of moves, and what the scripts really do: each is drawn, and compared."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from scripts import ROOT
from store_rig import claimed
from waiting import until

from tools.moves import picture
from worker_lib.errors import StoreError
from worker_lib.job import FINAL, MOVES
from worker_lib.store.replies import Check
from worker_lib.store.scripts import Script, script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_rig import StoreRig


class Witness:
    """Hears what the scripts announce, and draws it."""

    def __init__(self, rig: StoreRig) -> None:
        self.rig = rig
        self.graph: set[tuple[str, str]] = set()
        self._status: dict[str, str] = {}
        self._news: Any = rig.redis.pubsub()
        self._news.psubscribe(rig.key("changed", "*"))
        until(rig.redis.pubsub_numpat)

    def stored(self, **changes: Any) -> str:
        """Store a call; return its id."""
        job, stored = self.rig.enqueue(**changes)
        self._moved(job, stored.status)
        return job

    def draw(self) -> set[tuple[str, str]]:
        """Return all moves so far."""
        while (message := self._news.get_message(timeout=0.2)) is not None:
            if message["type"] == "pmessage":
                self._moved(message["channel"].rpartition(":")[2], message["data"])
        return self.graph

    def close(self) -> None:
        """Stop listening."""
        self._news.close()

    def _moved(self, job: str, status: str) -> None:
        before = self._status.get(job, "")
        if before != status and job != "probe":
            self.graph.add((before, status))
        self._status[job] = status


@pytest.fixture
def witness(rig: StoreRig) -> Iterator[Witness]:
    """One that hears from the beginning."""
    made = Witness(rig)
    yield made
    made.close()


def running(witness: Witness, **changes: Any) -> tuple[Any, Any]:
    """Return a machine of a pool of its own, and the job that it holds."""
    pool = secrets.token_hex(4)
    job = witness.stored(pool=pool, **changes)
    (slot,) = witness.rig.slots(pool)
    machine = witness.rig.machine(slot)
    held = claimed(machine)
    assert job == held.id
    return machine, held


def lose(rig: StoreRig, slot: str, **changes: Any) -> None:
    """Have a sweep find a machine gone, whatever it says."""
    rig.redis.zadd(rig.key("timers"), {f"s:{slot}": 1})
    (check,) = [one for one in rig.store.sweep().checks if one.slot == slot]
    assert isinstance(check, Check)
    loss = rig.store.lose(
        check, envelope=b"x", error="gone", kind="lost", gone=True, **changes
    )
    assert loss.is_lost


def retrying(witness: Witness) -> str:
    """Return a job that failed once."""
    machine, held = running(witness)
    machine.report(held, "retrying", retry_in=60.0)
    return str(held.id)


def test_the_scripts_make_the_moves_of_the_table_and_no_others(
    witness: Witness,
) -> None:
    """Each way that a job can take is taken once; the graph is that of the table."""
    rig = witness.rig
    for end in ("succeeded", "failed"):
        machine, held = running(witness)
        machine.report(held, end, outcome=b"x")
    machine, held = running(witness)
    machine.give_back(held)
    machine, held = running(witness)
    lose(rig, machine._slot)
    machine, held = running(witness, policy={"on_lost": "fail"})
    lose(rig, machine._slot)
    _, held = running(witness)
    waiting = [witness.stored(), witness.stored(delay=60.0), retrying(witness)]
    for job in (held.id, *waiting):
        assert rig.store.cancel(job)
    for job in (witness.stored(), witness.stored(delay=60.0), retrying(witness)):
        rig.expire(job)
    retrying(witness)
    witness.stored(delay=60.0)
    rig.pass_time(61)
    rig.store.sweep()
    moved = witness.stored()
    rig.store.edit(moved, fence="0", queue="default", priority=0, delay=60.0)

    assert {(move.source, move.target) for move in MOVES} == witness.draw()


def test_a_script_that_made_another_move_would_be_refused(rig: StoreRig) -> None:
    """By the one function that writes statuses: nothing is written."""
    machine, job = rig.running()
    machine.report(job, "succeeded", outcome=b"x")
    before = rig.snapshot()
    shared = script("cancel").source.partition(b"local function verb()")[0]
    wrong = Script("wrong", shared, b"move(ARGV[1], 'succeeded', 'queued')")

    with pytest.raises(StoreError, match="no job moves from succeeded to queued"):
        rig.store._connection.run(wrong, job.id)
    assert before == rig.snapshot()


def test_only_one_function_writes_a_status() -> None:
    """`move`; and `enqueue`, before there is any status."""
    folder = ROOT / "worker_lib" / "store" / "lua"
    writers = {
        path.name: path.read_text().count("'status', ")
        for path in folder.glob("*.lua")
        for line in path.read_text().splitlines()
        if "HSET" in line and "'status'" in line
    }

    assert {"_moves.lua", "enqueue.lua"} == writers.keys()


def test_every_status_is_reached_and_no_final_one_is_left() -> None:
    """Statuses that nothing reaches do not exist."""
    reached = {move.target for move in MOVES}

    assert {move.source for move in MOVES} - {""} <= reached
    assert {move.source for move in MOVES} & FINAL == set()
    assert reached >= FINAL


def test_the_scripts_know_which_statuses_are_final() -> None:
    """The same as Python does."""
    (listed,) = re.findall(r"local FINAL = \{(.*)\}", script("cancel").source.decode())

    assert {f"{status} = true" for status in FINAL} == set(listed.split(", "))


def test_the_readme_shows_the_table() -> None:
    """Its picture is made from it: `python -m tools.moves`."""
    assert picture() in (ROOT / "README.md").read_text()
