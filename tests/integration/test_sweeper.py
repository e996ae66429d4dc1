"""When a process sweeps, and when it stops."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from store_rig import claimed
from sweeps import sweeper_of
from waiting import until

from worker_lib import sweeper

if TYPE_CHECKING:
    import pytest
    from fly_server import Fly


def sweepers() -> set[threading.Thread]:
    """Return the threads that sweep; those of another test may still end."""
    return {one for one in threading.enumerate() if one.name == "worker_lib-sweeper"}


def test_a_process_without_a_token_does_not_sweep(fly: Fly) -> None:
    """It would take up what somebody with a token could have launched."""
    fly.settings = replace(fly.settings, fly_api_token="")
    before = threading.active_count()
    sweeper_of(fly).attend("j", -1)

    assert before == threading.active_count()


def test_a_sweeper_ends_when_nothing_is_left_to_look_after(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread while jobs are under way, none when idle."""
    before = sweepers()
    monkeypatch.setattr(sweeper, "_MIN_PAUSE", 0.0)
    monkeypatch.setattr(sweeper, "_GRACE", 0.01)
    _, stored = fly.rig.enqueue()
    made = sweeper_of(fly)
    fly.rig.pass_time(11)
    made.attend("j1", -1)
    until(lambda: [f"wl-{stored.slot}"] == fly.names())
    machine = fly.rig.machine(stored.slot)
    machine.report(claimed(machine), "succeeded")
    fly.rig.redis.rpush(fly.rig.key("calls"), "look")

    until(lambda: not sweepers() - before)


def test_a_call_while_a_sweeper_ends_gets_a_sweeper_of_its_own(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that ends does not take the deadline for its own."""
    before = sweepers()
    monkeypatch.setattr(sweeper, "_MIN_PAUSE", 0.0)
    monkeypatch.setattr(sweeper, "_GRACE", 0.01)
    made = sweeper_of(fly)
    real, ended = made._may_end, []

    def may_end(wakeup: Any, *, is_connected: bool = False) -> bool:
        is_over = real(wakeup, is_connected=is_connected)
        if is_over:
            ended.append(is_connected)
            if len(ended) == 1:
                made.attend("j2", -1)
        return is_over

    monkeypatch.setattr(made, "_may_end", may_end)
    made.attend("j1", -1)

    until(lambda: 2 == len(ended))
    until(lambda: not sweepers() - before)
    assert [True, True] == ended
