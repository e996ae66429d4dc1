"""The library and the emulator beside the table of what Fly has.

Beyond this, each reply that any test of this folder gets is held to the table.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from worker_lib.creation import machine_config
from worker_lib.emulator.routes import _APP_ROUTES, _MACHINE_ROUTES, _OTHER_ROUTES
from worker_lib.machines.api import MachinesApi
from worker_lib.settings import Settings

from . import facts
from .client import SLEEP

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

NOT_SHOWN = {
    *("incomplete_config", "nonce"),  # a host that is lost; a lease that was asked for
    "value",  # of a secret: only to who asks for it, and here to nobody
}


class Recorder(requests.Session):
    """A session that keeps what went over it."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[requests.Response] = []
        self.hooks["response"].append(self._keep)

    def _keep(self, reply: requests.Response, **_: object) -> None:
        self.exchanges.append(reply)


def path_of(operation: facts.Operation) -> str:
    """Return an operation's path with something in each of its places."""
    return "/v1" + operation.path.format(
        app="demo", id="0123456789abcd", key="k", org="personal"
    )


def drive(api: MachinesApi) -> set[str]:
    """Call every method of the library's client once or more; return their names."""
    settings = Settings(namespace="n", secret="s" * 32, local_path="/x")
    guest = {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
    spec = {"image": "i", "env": {"A": "1"}, "guest": guest}
    real = machine_config(spec, "5107", "pool", settings)
    config = real | {"init": {"exec": SLEEP}, "auto_destroy": False}
    seen = vars(MachinesApi).keys() - {"close"}
    made = api.create_machine(name="one", region="ams,fra", config=config)
    api.find_machine("one", metadata=made.metadata)
    api.list_machines(metadata=made.metadata, include_deleted=True)
    api.get_machine(made.id)
    api.start_machine(made.id)
    api.stop_machine(made.id, signal="SIGTERM", timeout=1.0)
    api.destroy_machine(made.id)
    api.wait_until_destroyed(made.id, 5)
    return {name for name in seen if not name.startswith("_")}


def test_the_library_sends_what_fly_takes_and_gets_what_fly_gives(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method of its client, and the config of a real worker's machine."""
    recorder = Recorder()
    called: set[str] = set()

    class Noted(MachinesApi):
        def __getattribute__(self, name: str) -> Any:
            called.add(name)
            return super().__getattribute__(name)

    monkeypatch.setattr(requests, "Session", lambda: recorder)
    methods = drive(Noted(api.emulator.url, api.emulator.token, "demo"))

    assert set() == methods - called
    for reply in recorder.exchanges:
        sent = reply.request
        assert sent.method
        assert sent.url
        body = json.loads(sent.body) if sent.body else None
        assert [] == facts.odd_request(sent.method, sent.url, body)
        assert reply.ok, reply.text
    recorder.close()


@pytest.mark.parametrize("operation", facts.OPERATIONS, ids=str)
def test_an_operation_of_fly_s_is_there(api: Api, operation: facts.Operation) -> None:
    """It may refuse the empty request, but it knows the path."""
    reply = api.call(operation.method, path_of(operation))

    assert "no such path" not in reply.text


@pytest.mark.parametrize("line", facts.LEFT_OUT)
def test_an_operation_that_is_left_out_says_so(api: Api, line: str) -> None:
    """404, not a reply that looks like success."""
    method, path = line.split()
    reply = api.call(method, path_of(facts.Operation(method=method, path=path)))

    assert 404 == reply.status_code


def test_every_endpoint_is_an_operation_of_fly_s() -> None:
    """So that all that any test gets from it is held to the table."""
    routes = (*_APP_ROUTES, *_MACHINE_ROUTES, *_OTHER_ROUTES)
    paths = [(one.method, "/" + "/".join(one.pattern)) for one in routes]

    assert [] == [
        (method, path)
        for method, path in paths
        if path.startswith("/v1/") and facts.operation_of(method, path) is None
    ]


def test_replies_have_every_field_that_fly_describes(api: Api) -> None:
    """More than a client reads today: what is left out now is missed later."""
    machine = api.create(["sleep", "60"], top={"lease_ttl": 1})
    path = f"machines/{machine['id']}"
    api.call("POST", "secrets/A", json={"value": "1"})

    def lacking(what: str, shape: facts.Shape) -> set[str]:
        missing = facts.lacks(api.call("GET", what).json(), shape)
        return {field.rpartition(".")[2] for field in missing} - NOT_SHOWN

    assert {"incomplete_config"} == {
        field.removeprefix(".") for field in facts.lacks(machine, facts.MACHINE)
    }
    assert set() == lacking(path, facts.MACHINE)
    assert set() == lacking(f"{path}/events", [facts.EVENT])
    assert set() == lacking(f"{path}/lease", facts.LEASE)
    assert set() == lacking(f"{path}/ps", [facts.PROCESS])
    assert set() == lacking("/v1/apps/demo", facts.APP)
    assert set() == lacking("secrets/A", facts.SECRET)
    assert set() == lacking("/v1/platform/regions", facts.REGIONS)
    tokens = api.call("GET", "/v1/tokens/current").json()["tokens"]
    assert [] == facts.lacks(tokens, [facts.TOKEN])
    organisation = api.call("GET", "/v1/orgs/personal/machines").json()
    assert [] == facts.lacks(organisation, facts.ORG_MACHINES)
    assert [] == facts.lacks(organisation["machines"], [facts.ORG_MACHINE])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "FlyV1"])
def test_both_schemes_of_a_token_are_let_in(
    start_emulator: StartEmulator, scheme: str
) -> None:
    """The guide's and fly-go's; what comes after it has to be right."""
    api = start_emulator(tokens=("fm2_a,fm2_b",))

    def status(token: str) -> int:
        headers = {"Authorization": f"{scheme} {token}"}
        return api.call("GET", "machines", headers=headers).status_code

    assert (200, 401) == (status("fm2_a,fm2_b"), status("fm2_a"))


@pytest.mark.parametrize("body", [{"name": "x"}, {"app_name": "x"}])
def test_an_app_is_named_in_either_way(api: Api, body: dict[str, str]) -> None:
    """The OpenAPI file and fly-go say `name`, the guide `app_name`."""
    assert 201 == api.call("POST", "/v1/apps", json=body).status_code
    assert 200 == api.call("GET", "/v1/apps/x").status_code


@pytest.mark.parametrize(
    "form", [{"json": {"ttl": 7}}, {"params": {"ttl": 7}}], ids=["body", "query"]
)
def test_the_life_of_a_lease_is_set_in_either_way(
    api: Api, form: dict[str, Any]
) -> None:
    """In the body as the OpenAPI file has it, or in the query as fly-go does."""
    path = f"machines/{api.create()['id']}/lease"
    lease = api.call("POST", path, **form).json()

    assert lease["data"].items() <= lease.items()
    assert 5 <= lease["expires_at"] - time.time() <= 8


@pytest.mark.parametrize(
    ("signal", "timeout"),
    [(15, "200ms"), ("15", "0.2s"), ("TERM", 200_000_000), ("SIGTERM", "0m0.2s")],
)
def test_signals_and_durations_are_read_in_every_form(
    api: Api, signal: object, timeout: object
) -> None:
    """Names or numbers; Go's text or nanoseconds."""
    machine_id = api.create(["sh", "-c", "trap : TERM; echo up; sleep 60; sleep 60"])[
        "id"
    ]
    api.printed(machine_id, "up")

    reply = api.post(machine_id, "stop", signal=signal, timeout=timeout)

    assert 200 == reply.status_code
    api.wait(machine_id, "stopped")
    assert 137 == api.exit_event(machine_id)["exit_code"]
