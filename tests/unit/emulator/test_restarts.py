"""What follows the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker_lib.emulator.restarts import after_exit
from worker_lib.emulator.runtimes import Exit

if TYPE_CHECKING:
    from worker_lib.emulator.state import Intent


def following(
    config: dict[str, Any], code: int, *, intent: Intent = "none", recent: int = 0
) -> str:
    """Decide for a config and an exit code."""
    return after_exit(config, Exit(code=code), intent=intent, recent=recent)


NO = {"restart": {"policy": "no"}}
ALWAYS = {"restart": {"policy": "always"}}


@pytest.mark.parametrize(
    ("expected", "config", "code"),
    [
        ("stop", NO, 0),
        ("stop", NO, 1),
        ("destroy", {**NO, "auto_destroy": True}, 0),
        ("destroy", {**NO, "auto_destroy": True}, 1),
        ("retry", ALWAYS, 0),
        ("retry", {**ALWAYS, "auto_destroy": True}, 0),
        ("stop", {}, 0),
        ("retry", {}, 1),
        ("stop", {"auto_destroy": True}, 0),
        ("stop", {"restart": None}, 0),
    ],
)
def test_the_policy_decides_when_a_run_ends_by_itself(
    expected: str, config: dict[str, Any], code: int
) -> None:
    """`on-failure` is the default, and only `no` goes with auto_destroy."""
    assert expected == following(config, code)


@pytest.mark.parametrize(("expected", "recent"), [("retry", 9), ("stop", 10)])
def test_failures_are_retried_ten_times_by_default(expected: str, recent: int) -> None:
    """Then the machine stays stopped."""
    assert expected == following({}, 1, recent=recent)


@pytest.mark.parametrize(
    ("expected", "intent"),
    [("stop", "stop"), ("boot", "restart"), ("destroy", "destroy")],
)
def test_what_was_asked_for_beats_the_policy(expected: str, intent: Intent) -> None:
    """`always` does not restart what was stopped."""
    assert expected == following(ALWAYS, 1, intent=intent)


def test_a_requested_stop_completes_a_machine_with_auto_destroy() -> None:
    """It goes as if it had ended by itself."""
    assert "destroy" == following({**NO, "auto_destroy": True}, 0, intent="stop")
