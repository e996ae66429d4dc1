"""Reading what the API says: all of it, and whatever is left of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.machines.types import ExitEvent, Machine, MachineEvent

EXIT = {
    "exit_code": 137,
    "guest_exit_code": 0,
    "guest_signal": 9,
    "signal": -1,
    "oom_killed": True,
    "requested_stop": False,
    "restarting": False,
    "exited_at": "2026-08-01T12:00:00.123456789Z",
}
MACHINE = {
    "id": "148ed599c14189",
    "name": "jobs-1",
    "state": "stopped",
    "region": "ams",
    "instance_id": "01HZXA",
    "private_ip": "fdaa:0:18:a7b:7d:f066:5f32:2",
    "created_at": "2026-08-01T11:59:00Z",
    "updated_at": "2026-08-01T12:00:00Z",
    "host_status": "ok",
    "cordoned": True,
    "config": {
        "image": "registry.fly.io/jobs:deployment-01",
        "env": {"REDIS_URL": "redis://default:hunter2@fly-jobs.upstash.io:6379"},
        "metadata": {"pool": "p1"},
    },
    "events": [
        {
            "id": "01B",
            "type": "exit",
            "status": "stopped",
            "source": "flyd",
            "timestamp": 1785585600123,
            "request": {"exit_event": EXIT, "restart_count": 2},
        },
        {"id": "01A", "type": "start", "status": "started", "request": None},
    ],
    "a_field_of_next_year": {"any": "thing"},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*MACHINE, *EXIT, "request", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def ended(*events: dict[str, Any]) -> ExitEvent | None:
    """Return how a machine with these events, newest first, has ended."""
    return Machine.from_json({"id": "1", "events": list(events)}).exit_event


def test_machine_keeps_the_names_of_the_api() -> None:
    """Every field is where Fly's pages say it is; unknown ones are ignored."""
    machine = Machine.from_json(MACHINE)

    plain = ("id", "name", "state", "region", "host_status", "created_at")
    assert [MACHINE[key] for key in plain] == [getattr(machine, key) for key in plain]
    assert MACHINE["config"] == machine.config
    assert {"pool": "p1"} == machine.metadata


def test_machine_does_not_show_its_environment() -> None:
    """A machine in a log line gives no secret away."""
    assert "hunter2" not in repr(Machine.from_json(MACHINE))


def test_machine_of_a_silent_host_has_its_incomplete_config() -> None:
    """What the API still knows of the config is used."""
    partial = {"id": "1", "host_status": "unreachable", "incomplete_config": {"a": 1}}

    assert {"a": 1} == Machine.from_json(partial).config


@pytest.mark.parametrize("state", ["destroying", "destroyed", "launch_failed"])
def test_machine_on_its_way_out_is_gone(state: str) -> None:
    """Nobody adopts or reuses a machine that will never run again."""
    assert Machine(id="1", state=state).is_gone
    assert not Machine(id="1", state="stopped").is_gone


def test_exit_is_read_with_all_its_details() -> None:
    """Out of memory is told apart from a kill by somebody."""
    expected = ExitEvent(exit_code=137, oom_killed=True, exited_at=1785585600.123456)

    assert expected == Machine.from_json(MACHINE).exit_event


def test_event_keeps_its_time() -> None:
    """In milliseconds, as the API has it."""
    event = Machine.from_json(MACHINE).events[0]

    assert ("exit", "stopped", 1785585600123) == (
        event.type,
        event.status,
        event.timestamp,
    )


def test_exit_of_the_monitor_goes_before_the_other() -> None:
    """Both places are known; fly-go prefers this one."""
    request = {
        "exit_event": {"exit_code": 1},
        "MonitorEvent": {"exit_event": {"exit_code": 2}},
    }
    event = MachineEvent.from_json({"type": "exit", "request": request})

    assert ExitEvent(exit_code=2) == event.exit_event


def test_absent_exit_code_is_zero() -> None:
    """Fly leaves zeros out of its JSON."""
    event = {"type": "exit", "request": {"exit_event": {"requested_stop": True}}}

    assert ExitEvent(exit_code=0, requested_stop=True) == ended(event)


def test_exit_of_an_earlier_run_does_not_count() -> None:
    """A machine that runs again has not ended."""
    old = {"type": "exit", "request": {"exit_event": {"exit_code": 1}}}

    assert ended({"type": "start"}, old) is None
    assert ended({"type": "launch"}) is None


@pytest.mark.parametrize(
    ("expected", "exited_at"),
    [
        (1785585600.0, "2026-08-01T12:00:00Z"),
        (1785585600.0, "2026-08-01T14:00:00+02:00"),
        (1785585600.5, 1785585600500),
        (0.0, "0001-01-01T00:00:00Z"),
        (0.0, "yesterday"),
        (0.0, None),
    ],
)
def test_time_of_exit_is_read_in_both_forms(expected: float, exited_at: object) -> None:
    """Text and milliseconds give the same; rubbish gives 0."""
    assert expected == ExitEvent.from_json({"exited_at": exited_at}).exited_at


@given(value=json_values)
def test_reading_never_fails(value: object) -> None:
    """No reply, however odd, raises where it is read."""
    data = value if isinstance(value, dict) else {"id": value, "events": [value]}
    for kind in (Machine, MachineEvent, ExitEvent):
        assert hash(kind.from_json(data)) is not None
