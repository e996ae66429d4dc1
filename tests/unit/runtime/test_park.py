"""How a machine parks itself, by what its own API answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from worker_lib.errors import ConfigError
from worker_lib.runtime import park
from worker_lib.runtime.machine_api import Refused
from worker_lib.runtime.park import Parking

if TYPE_CHECKING:
    from worker_lib.runtime.stop import Stop


class Fly:
    """Answers requests of a machine; `seen` is what it says of it, in turn."""

    def __init__(self, *seen: str, suspend: OSError | None = None) -> None:
        self.asked: list[str] = []
        self._seen = [*seen]
        self._suspend = suspend

    def ask(
        self, method: str, path: str, body: bytes = b"", *, timeout: float
    ) -> bytes:
        """Answer one request."""
        del body, timeout
        self.asked.append(f"{method} {path}".strip())
        if path == "/suspend" and self._suspend is not None:
            raise self._suspend
        if method != "GET":
            return b'{"ok": true}'
        seen = self._seen.pop(0) if len(self._seen) > 1 else self._seen[0]
        if seen == "away":
            raise TimeoutError
        state, event = seen.split("/")
        return json.dumps({"state": state, "events": [{"id": event}]}).encode()


class Clock:
    """Stands in for `Stop`: waits cost nothing, and are counted."""

    def __init__(self, *, asked_after: float = float("inf")) -> None:
        self.waited = 0.0
        self._asked_after = asked_after

    @property
    def asked(self) -> bool:
        """Whether the machine was asked to stop."""
        return self.waited >= self._asked_after

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.waited += seconds


def parks(
    fly: Fly, monkeypatch: pytest.MonkeyPatch, how: str = "suspend", **options: float
) -> tuple[bool, Parking, Clock]:
    """Return whether a machine went on, how it parks, and the time that it waited."""
    monkeypatch.setattr(park, "ask", fly.ask)
    parking, clock = Parking(how, 1, 60.0), Clock(**options)
    return parking.park(cast("Stop", clock)), parking, clock


def test_a_suspended_machine_goes_on_when_it_runs_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not when it is still shown as it was, nor while it is only on its way."""
    fly = Fly(
        "started/1", "started/1", "suspending/2", "away", "starting/3", "started/4"
    )
    goes_on, parking, clock = parks(fly, monkeypatch)

    assert goes_on
    assert not parking.has_parked
    assert ["GET", "POST /suspend", *["GET"] * 5] == fly.asked
    assert pytest.approx(0.8) == clock.waited


@pytest.mark.parametrize(
    "suspend", [Refused("412 it has swap"), Refused("no machine"), None]
)
def test_a_machine_that_cannot_be_suspended_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suspend: OSError | None,
) -> None:
    """Fly refuses it, or takes it and does nothing for half a minute."""
    goes_on, parking, _ = parks(Fly("started/1", suspend=suspend), monkeypatch)

    assert (False, True) == (goes_on, parking.has_parked)
    assert "this machine stops, as it cannot suspend" in capsys.readouterr().err


def test_a_machine_whose_api_is_away_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not even asked to suspend it."""
    fly = Fly("away")
    goes_on, parking, _ = parks(fly, monkeypatch)

    assert (False, True) == (goes_on, parking.has_parked)
    assert ["GET"] == fly.asked


def test_a_lost_answer_may_mean_that_it_was_suspended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So it looks."""
    fly = Fly("started/1", "started/3", suspend=ConnectionResetError())

    assert parks(fly, monkeypatch)[0]


def test_a_machine_that_is_asked_to_stop_meanwhile_ends_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not parked then, and destroys itself."""
    fly = Fly("started/1", "suspending/2")
    goes_on, parking, _ = parks(fly, monkeypatch, asked_after=1.0)
    parking.vanish()

    assert (False, False) == (goes_on, parking.has_parked)
    assert "DELETE ?force=true" == fly.asked[-1]


def test_a_large_machine_ends_and_is_stopped_by_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks for nothing, and is not destroyed."""
    fly = Fly("started/1")
    goes_on, parking, _ = parks(fly, monkeypatch, how="stop")
    parking.vanish()

    assert not goes_on
    assert [] == fly.asked


def test_a_machine_that_is_woken_for_nothing_again_and_again_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A suspend that never lasts would be paid for; a job in between counts."""
    fly = Fly("started/1")
    monkeypatch.setattr(park, "ask", fly.ask)
    monkeypatch.setattr(Parking, "_is_awake", lambda *_: True)
    parking, stop = Parking("suspend", 1, 60.0), cast("Any", Clock())
    went_on = [parking.park(stop) for _ in range(2)]
    parking.worked()
    went_on += [parking.park(stop) for _ in range(4)]

    assert [True] * 5 + [False] == went_on
    assert parking.has_parked


@pytest.mark.parametrize("told", ["suspend", "suspend x 60", "suspend 1 2 3"])
def test_words_of_another_version_are_refused(told: str) -> None:
    """The launcher's and the image's versions differ."""
    with pytest.raises(ConfigError, match="WORKER_LIB_PARKING"):
        Parking.read(told)
