"""Whatever a request says, the emulator answers it and goes on."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import until

from worker_lib.emulator import Emulator, EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = st.sampled_from(
    ["", "x", "true", "false", "-1", "3", "1e9", "9" * 30, "SIGTERM", "a=b", "\0", "²"]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.text(max_size=5)
)
JSON = st.recursive(
    LEAVES | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2)
    ),
    max_leaves=4,
)
CONFIG: dict[str, Any] = {
    "image": "x",
    "init": {"exec": ["true"], "swap_size_mb": 1, "tty": False},
    "env": {"A": "1"},
    "metadata": {"a": "1"},
    "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
    "restart": {"policy": "no", "max_retries": 1},
    "auto_destroy": False,
    "stop_config": {"signal": "SIGTERM", "timeout": "1s"},
    "files": [{"guest_path": "/a", "raw_value": "eA==", "mode": 420}],
    "services": [{"internal_port": 1, "ports": [{"port": 1}], "autostop": True}],
    "checks": {"a": {"interval": "1s", "port": 1}},
}
CREATE: dict[str, Any] = {
    "config": CONFIG,
    "name": "one",
    "region": "ams",
    "lease_ttl": 1,
    "skip_launch": False,
    "skip_secrets": False,
    "min_secrets_version": 0,
}
BODIES: dict[str, dict[str, Any]] = {
    "POST machines": CREATE,
    "POST machines/{id}": CREATE | {"current_version": ""},
    "POST machines/{id}/stop": {"signal": "SIGTERM", "timeout": "0s"},
    "POST machines/{id}/signal": {"signal": 15},
    "POST machines/{id}/exec": {"cmd": "true", "command": ["true"], "timeout": 1},
    "POST machines/{id}/lease": {"ttl": 1, "description": ""},
    "POST machines/{id}/metadata/a": {"value": "1"},
    "PATCH machines/{id}/metadata": {"metadata": {"a": "1"}, "machine_version": ""},
    "PUT machines/{id}/metadata": {"metadata": {"a": "1"}, "machine_version": ""},
    "POST secrets": {"values": {"A": "1"}},
    "POST secrets/A": {"value": "1"},
    "POST /v1/apps": {"name": "a", "app_name": "a", "org_slug": "", "network": ""},
    "POST /_emulator/faults": {"seed": 1, "rules": [{"action": "none", "status": 500}]},
}
QUERIES = {
    "GET machines": ("state", "region", "summary", "include_deleted", "metadata.a"),
    "GET machines/{id}/events": ("limit",),
    "GET machines/{id}/ps": ("sort_by", "order"),
    "GET machines/{id}/wait": ("state", "version", "from_event_id"),
    "POST machines/{id}/restart": ("signal", "timeout", "force_stop"),
    "POST machines/{id}/lease": ("ttl",),
    "DELETE machines/{id}": ("force", "kill"),
}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One for all examples: each must leave it as good as it was."""
    folder = tmp_path_factory.mktemp("emulator")
    options = EmulatorOptions(
        apps=("demo",), rate_limits=False, state_dir=folder, project_dir=folder
    )
    with Emulator(options) as running:
        yield running


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where something stands in a body."""
    items: Any = ()
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    deeper = [one for key, inner in items for one in paths(inner, (*path, key))]
    return [path, *deeper]


def with_value(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a body with another value in one place."""
    if not path:
        return value
    changed = copy.copy(body)
    changed[path[0]] = with_value(body[path[0]], path[1:], value)
    return changed


def send(emulator: Emulator, line: str, machine_id: str, **options: Any) -> int:
    """Send a request; return its status."""
    method, path = line.format(id=machine_id).split()
    path = path if path.startswith("/") else f"/v1/apps/demo/{path}"
    headers = {"Authorization": f"Bearer {emulator.token}", "Connection": "close"}
    return requests.request(
        method, emulator.url + path, headers=headers, timeout=20, **options
    ).status_code


def fresh_machine(emulator: Emulator) -> str:
    """Return the id of a machine that runs, the only one."""
    emulator.script_faults([])
    for one in emulator.machines():
        send(emulator, f"DELETE machines/{one['id']}?force=true", "")
    body = {"config": {"image": "x", "init": {"exec": ["sleep", "60"]}}}
    send(emulator, "POST machines", "", json=body)
    alive = [one for one in emulator.machines() if "started" == one["state"]]
    return str(alive[-1]["id"])


MODEST = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@MODEST
@given(data=st.data())
def test_no_body_is_an_internal_error(emulator: Emulator, data: st.DataObject) -> None:
    """Any value in any place of any body is done or refused, and nothing hangs."""
    line = data.draw(st.sampled_from(sorted(BODIES)))
    path = data.draw(st.sampled_from(paths(BODIES[line])))
    body = with_value(BODIES[line], path, data.draw(JSON))

    status = send(emulator, line, fresh_machine(emulator), data=json.dumps(body))

    assert 500 != status
    until(lambda: "created" not in {one["state"] for one in emulator.machines()})


@MODEST
@given(data=st.data())
def test_no_query_is_an_internal_error(emulator: Emulator, data: st.DataObject) -> None:
    """The same for what stands behind a question mark."""
    line = data.draw(st.sampled_from(sorted(QUERIES)))
    query = {name: data.draw(WORDS | st.text(max_size=3)) for name in QUERIES[line]}
    query |= {"timeout": "1"} if line.endswith("/wait") else {}

    assert 500 != send(emulator, line, fresh_machine(emulator), params=query)
