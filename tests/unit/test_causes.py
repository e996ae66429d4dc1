"""Why a machine is gone, from Fly's record of it."""

from __future__ import annotations

from typing import Any

import pytest

from worker_lib.causes import Cause, boot_cause, cause_of
from worker_lib.fly import exits
from worker_lib.machines.types import Machine
from worker_lib.store.replies import Check

BOOTING = Check("51", "launching", "m1", "pool", "", 12.0)


@pytest.mark.parametrize(
    ("expected", "machine"),
    [
        ("m1 took no job within 12 s of its launch", None),
        (
            "took no job within 12 s of its launch (its state is starting)",
            Machine(id="m1", state="starting"),
        ),
        (
            "could not be started: check that the image a:b exists",
            Machine(id="m1", state="failed", config={"image": "a:b"}),
        ),
    ],
)
def test_a_machine_that_never_came_is_described(
    expected: str, machine: Machine | None
) -> None:
    """As far as Fly knows of it."""
    cause = boot_cause(BOOTING, machine)

    assert cause is not None
    assert expected in cause.error
    assert not cause.is_permanent


@pytest.mark.parametrize(
    ("expected", "event"),
    [
        (("ran out of memory", False), {"oom_killed": True, "exit_code": 137}),
        (("check that REDIS_URL", False), {"exit_code": exits.REDIS_UNREACHABLE}),
        (("user, password and rights", True), {"exit_code": exits.REDIS_REFUSED}),
        (("no `python` on its PATH", True), {"exit_code": 127}),
        (("with exit code 0 before", False), {"exit_code": 0}),
    ],
)
def test_a_machine_that_ended_before_it_claimed_is_described(
    expected: tuple[str, bool], event: dict[str, Any]
) -> None:
    """With the remedy, and whether the next one will fail in the same way."""
    cause = boot_cause(BOOTING, machine_with(**event))

    assert cause is not None
    assert expected[0] in cause.error
    assert expected[1] is cause.is_permanent


def test_a_machine_that_was_stopped_by_request_failed_at_nothing() -> None:
    """A person or Fly itself did that."""
    assert boot_cause(BOOTING, machine_with(requested_stop=True, exit_code=143)) is None


CHECK = Check("51", "busy", "m1", "pool", "j1:1", 40.0)


def machine_with(**exit_event: Any) -> Machine:
    """Return a machine as Fly shows it after its end."""
    event = {"type": "exit", "request": {"exit_event": exit_event}}
    return Machine.from_json({"id": "m1", "state": "destroyed", "events": [event]})


@pytest.mark.parametrize(
    ("expected", "machine"),
    [
        (
            Cause("out_of_memory", "machine m1 ran out of memory", 137),
            machine_with(oom_killed=True, exit_code=137),
        ),
        (
            Cause("lost", "machine m1 ended with exit code 1", 1),
            machine_with(exit_code=1, requested_stop=False),
        ),
        (
            Cause("lost", "machine m1 was not heard of for longer than its lease"),
            machine_with(exit_code=0, requested_stop=True),
        ),
        (
            Cause("lost", "machine m1 was not heard of for longer than its lease"),
            Machine.from_json({"id": "m1", "state": "started", "events": []}),
        ),
        (
            Cause("lost", "machine m1 was not heard of for longer than its lease"),
            None,
        ),
    ],
)
def test_the_cause_is_taken_from_the_machines_own_record(
    expected: Cause, machine: Machine | None
) -> None:
    """Where Fly still has it; else only that it is silent is known."""
    assert expected == cause_of(CHECK, machine)


def test_a_machine_without_an_id_is_called_by_its_name() -> None:
    """It never claimed, so Redis never learnt its id."""
    check = CHECK._replace(machine_id="")

    assert "machine wl-51 was not heard of" in cause_of(check, None).error
