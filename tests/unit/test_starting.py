"""The start of a parked machine, and what is in its way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from worker_lib import starting
from worker_lib.errors import (
    ApiUnavailable,
    MachineConflict,
    MachineNotFound,
    MachinesApiError,
    RateLimited,
    Unauthorized,
)
from worker_lib.machines.types import Machine
from worker_lib.starting import Start

if TYPE_CHECKING:
    from worker_lib.machines.protocol import Machines

PARKED = Machine(id="m1", state="suspended", host_status="ok")
STOPPING = MachineConflict("still active", status=412, refusal="retry")
FULL = MachineConflict("insufficient CPUs", status=409, refusal="next_region")
GONE = MachineNotFound("gone", status=404, refusal="person")
LIMITED = RateLimited("slow down", status=429, refusal="retry", retry_after=3.0)
AWAY = ApiUnavailable("no answer", status=503, refusal="retry")
REVOKED = Unauthorized("revoked", status=401, refusal="person")


class Fly:
    """Answers starts one after the other, the last one for ever."""

    def __init__(self, *answers: str | MachinesApiError) -> None:
        self.answers = [*answers]
        self.asked = 0
        self.slept: list[float] = []
        self.now = 0.0

    def start_machine(self, machine_id: str) -> str:
        """Answer as told."""
        assert "m1" == machine_id
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, MachinesApiError):
            raise answer
        return answer

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


def start(
    fly: Fly, monkeypatch: pytest.MonkeyPatch, machine: Machine = PARKED, **options: Any
) -> str:
    """Start a machine, on a clock that does not wait."""
    clock = SimpleNamespace(monotonic=lambda: fly.now, sleep=fly.sleep)
    monkeypatch.setattr(starting, "time", clock)
    is_owed = options.get("is_owed", lambda _slot: True)
    return Start("slot", machine, cast("Machines", fly), is_owed).run()


@pytest.mark.parametrize("state", ["stopped", "suspended"])
def test_a_parked_machine_is_started_once(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """No second request, no pause."""
    fly = Fly(state)

    assert "" == start(fly, monkeypatch)
    assert (1, []) == (fly.asked, fly.slept)


@pytest.mark.parametrize("first", [STOPPING, "started", "suspending", AWAY])
def test_a_machine_that_still_stops_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, first: str | MachinesApiError
) -> None:
    """It was refused, or taken for one that runs."""
    fly = Fly(first, first, first, "stopped")

    assert "" == start(fly, monkeypatch)
    assert 4 == fly.asked
    assert [0.2, 0.5, 1.1] == fly.slept


def test_a_machine_that_has_taken_a_job_needs_no_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It heard of the job before it parked."""
    fly = Fly("started")

    assert "" == start(fly, monkeypatch, is_owed=lambda _slot: False)
    assert 1 == fly.asked


@pytest.mark.parametrize("answer", [GONE, FULL])
def test_a_machine_that_cannot_come_is_replaced_at_once(
    monkeypatch: pytest.MonkeyPatch, answer: MachinesApiError
) -> None:
    """It is gone, or its host has no room for it any more."""
    fly = Fly(answer)

    assert str(answer) == start(fly, monkeypatch)
    assert [] == fly.slept


@pytest.mark.parametrize("answer", [STOPPING, "started"])
def test_a_machine_that_never_parks_is_replaced(
    monkeypatch: pytest.MonkeyPatch, answer: str | MachinesApiError
) -> None:
    """Within the time that a create would have taken."""
    fly = Fly(answer)

    assert start(fly, monkeypatch)
    assert 8 < fly.now < 10


def test_a_limited_start_waits_as_long_as_fly_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And then comes."""
    fly = Fly(LIMITED, "stopped")

    assert "" == start(fly, monkeypatch)
    assert [3.0] == fly.slept


@pytest.mark.parametrize("answer", [REVOKED, AWAY, LIMITED])
def test_trouble_with_the_api_is_none_with_the_machine(
    monkeypatch: pytest.MonkeyPatch, answer: MachinesApiError
) -> None:
    """A create would meet the same, so nothing is replaced."""
    with pytest.raises(type(answer)):
        start(Fly(answer), monkeypatch)


@pytest.mark.parametrize(
    ("state", "host"),
    [("destroyed", "ok"), ("destroying", "ok"), ("suspended", "unreachable")],
)
def test_a_machine_that_is_lost_is_not_even_asked(
    monkeypatch: pytest.MonkeyPatch, state: str, host: str
) -> None:
    """Fly has said already that it will not come."""
    fly = Fly("stopped")
    lost = Machine(id="m1", state=state, host_status=host)

    assert "m1" in start(fly, monkeypatch, machine=lost)
    assert 0 == fly.asked
