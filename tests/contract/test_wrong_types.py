"""Requests of the wrong type: a 4xx that names the field, and nothing is made."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from .client import SLEEP

if TYPE_CHECKING:
    from .client import Api

CONFIG: dict[str, Any] = {"image": "x", "init": {"exec": SLEEP}}
FILE = {"guest_path": "/a", "raw_value": base64.b64encode(b"x").decode()}
VOLUME = {"volume": "vol_x", "path": "/data"}
SERVICE = {"internal_port": 80, "ports": [{"port": 80}]}

CONFIGS = [
    ({"image": 1}, "config.image must be a string, not a number"),
    ({"image": "a\0b"}, "config.image must not contain NUL"),
    ({"env": {"A=B": "1"}}, "config.env"),
    ({"env": {"A\0": "1"}}, "config.env"),
    ({"env": {"": "1"}}, "config.env"),
    ({"env": {"A": "1\0"}}, "config.env.A must not contain NUL"),
    ({"env": {"A": "\ud800"}}, "config.env.A must be valid Unicode"),
    ({"env": {"A": True}}, "config.env.A must be a string, not a boolean"),
    ({"env": ["A=1"]}, "config.env must be an object, not a list"),
    ({"metadata": {"a": 1}}, "config.metadata.a must be a string"),
    ({"auto_destroy": "false"}, "config.auto_destroy must be a boolean, not a string"),
    ({"auto_destroy": 1}, "config.auto_destroy must be a boolean, not a number"),
    ({"restart": {"max_retries": "3"}}, "config.restart.max_retries must be a whole"),
    ({"restart": {"max_retries": -1}}, "config.restart.max_retries must be 0 or more"),
    ({"restart": {"max_retries": 1.5}}, "config.restart.max_retries must be a whole"),
    ({"restart": "no"}, "config.restart must be an object, not a string"),
    ({"restart": {"policy": 1}}, "config.restart.policy must be a string"),
    ({"files": [{**FILE, "mode": "0644"}]}, "config.files[0].mode must be a whole"),
    ({"files": [{**FILE, "mode": True}]}, "config.files[0].mode must be a whole"),
    ({"files": [{**FILE, "mode": 0o10000}]}, "config.files[0].mode must be 0 to 4095"),
    ({"files": [{**FILE, "raw_value": "*"}]}, "config.files[0].raw_value must be bas"),
    ({"files": [{**FILE, "raw_value": 1}]}, "config.files[0].raw_value must be a str"),
    ({"files": [{"guest_path": "/a"}]}, "config.files[0] needs raw_value or secret_na"),
    ({"files": [{**FILE, "guest_path": "/"}]}, "config.files[0].guest_path must be"),
    ({"files": [{**FILE, "guest_path": "/a\0"}]}, "config.files[0].guest_path must n"),
    ({"files": [{"guest_path": "/a", "secret_name": "TEXT"}]}, "config.files[0].sec"),
    ({"files": [{"guest_path": "/a", "secret_name": "NONE"}]}, "config.files[0].sec"),
    ({"init": {"exec": "sleep 60"}}, "config.init.exec must be a list, not a string"),
    ({"init": {"cmd": ["a\0"]}}, "config.init.cmd[0] must not contain NUL"),
    ({"init": {"tty": "true"}}, "config.init.tty must be a boolean"),
    ({"init": {"swap_size_mb": "512"}}, "config.init.swap_size_mb must be a whole"),
    ({"processes": {"app": {}}}, "config.processes must be a list, not an object"),
    ({"processes": [None]}, "config.processes[0] must be an object, not null"),
    ({"processes": [{"env": {"A": 1}}]}, "config.processes[0].env.A must be a string"),
    ({"processes": [{"user": 1}]}, "config.processes[0].user must be a string"),
    (
        {"processes": [{"ignore_app_secrets": "false"}]},
        "config.processes[0].ignore_app_secrets must be a boolean",
    ),
    ({"processes": [{}, {}]}, "config.processes: the emulator runs one"),
    ({"guest": {"cpus": 10**400}}, "config.guest.cpus must be"),
    ({"guest": {"memory_mb": "256"}}, "config.guest.memory_mb must be a whole number"),
    ({"guest": {"memory_mb": 10**18}}, "config.guest"),
    ({"guest": {"cpu_kind": []}}, "config.guest.cpu_kind must be a string, not a list"),
    ({"guest": {"gpu_kind": "a10"}}, "config.guest.gpu_kind: the emulator has no GPUs"),
    ({"guest": []}, "config.guest must be an object, not a list"),
    ({"size": 1}, "config.size must be a string"),
    ({"schedule": "minutely"}, "config.schedule must be one of hourly, daily, weekly"),
    ({"stop_config": {"timeout": "soon"}}, "config.stop_config.timeout: time: invalid"),
    ({"stop_config": {"timeout": "-5s"}}, "config.stop_config.timeout must not be neg"),
    ({"stop_config": {"timeout": []}}, "config.stop_config.timeout must be a duration"),
    ({"stop_config": {"timeout": True}}, "config.stop_config.timeout must be a durati"),
    ({"stop_config": {"signal": True}}, "unknown signal"),
    ({"checks": {"a": {"interval": "1d"}}}, "config.checks.a.interval: time: "),
    ({"checks": {"a": {"port": "80"}}}, "config.checks.a.port must be a whole number"),
    ({"checks": []}, "config.checks must be an object, not a list"),
    ({"services": {}}, "config.services must be a list, not an object"),
    (
        {"services": [{**SERVICE, "internal_port": "80"}]},
        "config.services[0].internal_port must be a whole number, not a string",
    ),
    (
        {"services": [{**SERVICE, "autostop": "never"}]},
        "config.services[0].autostop must be one of off, stop, suspend",
    ),
    ({"dns": {"skip_registration": 1}}, "config.dns.skip_registration must be a bool"),
    ({"rootfs": {"persist": "maybe"}}, "config.rootfs.persist must be one of"),
    ({"statics": [{"guest_path": "/a"}]}, "config.statics[0].url_prefix is required"),
    ({"mounts": [VOLUME]}, 'config.mounts[0].volume: volume "vol_x" not found'),
    ({"mounts": [VOLUME, VOLUME]}, "invalid config.mounts, only 1 volume supported"),
    ({"mounts": ["vol_x"]}, "config.mounts[0] must be an object, not a string"),
    ({"containers": [{"name": "a", "image": "x"}]}, "config.containers: the emulator"),
    ({"volumes": [{"name": "a"}]}, "config.volumes: the emulator"),
]
REQUESTS = [
    ({"region": ["iad"]}, "region must be a string, not a list"),
    ({"region": 1}, "region must be a string, not a number"),
    ({"region": ","}, "region"),
    ({"region": "iad,nowhere"}, 'unknown region "nowhere"'),
    ({"name": {}}, "name must be a string, not an object"),
    ({"name": 7}, "name must be a string, not a number"),
    ({"lease_ttl": "30"}, "lease_ttl must be a whole number, not a string"),
    ({"lease_ttl": -1}, "lease_ttl must be 0 to"),
    ({"lease_ttl": 1.5}, "lease_ttl must be a whole number"),
    ({"skip_launch": "false"}, "skip_launch must be a boolean, not a string"),
    ({"skip_launch": 0}, "skip_launch must be a boolean, not a number"),
    ({"skip_secrets": "no"}, "skip_secrets must be a boolean, not a string"),
    ({"min_secrets_version": "1"}, "min_secrets_version must be a whole number"),
    ({"min_secrets_version": -1}, "min_secrets_version must be 0 or more"),
    ({"skip_service_registration": "x"}, "skip_service_registration must be a bool"),
    ({"config": "x"}, "config must be an object, not a string"),
    ({"config": None}, "config.image is required"),
]


@pytest.mark.parametrize(("config", "text"), CONFIGS)
def test_a_config_of_the_wrong_type_is_refused(
    api: Api, config: dict[str, Any], text: str
) -> None:
    """A create and an update name the field; no machine and no name remain."""
    api.emulator.set_secrets("demo", {"TEXT": "not base64!"})
    body = {"name": "one", "config": {**CONFIG, **config}}
    machine_id = api.create(top={"name": "other"})["id"]

    refused = [
        api.create_raw(**body),
        api.call("POST", f"machines/{machine_id}", json=body | {"name": "other"}),
    ]

    assert [400, 400] == [reply.status_code for reply in refused]
    for reply in refused:
        assert text in reply.json()["error"]
    assert [machine_id] == [one["id"] for one in api.call("GET", "machines").json()]
    assert SLEEP == api.get(machine_id)["config"]["init"]["exec"]
    assert "one" == api.create(top={"name": "one"})["name"]


@pytest.mark.parametrize(("body", "text"), REQUESTS)
def test_a_request_of_the_wrong_type_is_refused(
    api: Api, body: dict[str, Any], text: str
) -> None:
    """What stands beside the config is held to its types as well."""
    reply = api.create_raw(**{"config": CONFIG, **body})

    assert 400 == reply.status_code
    assert text in reply.json()["error"]
    assert [] == api.call("GET", "machines").json()


def test_a_refusal_does_not_repeat_values_that_may_be_secret(api: Api) -> None:
    """The name of a variable is told, its value is not."""
    for env in ({"A": "canary\0"}, {"A": ["canary"]}, {"A\0": "canary"}):
        reply = api.create_raw(config={**CONFIG, "env": env})
        assert 400 == reply.status_code
        assert "canary" not in reply.text


ACTIONS = [
    ("stop", {"timeout": "soon"}, "timeout: time: invalid duration"),
    ("stop", {"timeout": "-1s"}, "timeout must not be negative"),
    ("stop", {"timeout": "1d"}, 'unknown unit "d"'),
    ("stop", {"timeout": "10"}, "missing unit"),
    ("stop", {"timeout": []}, "timeout must be a duration"),
    ("stop", {"timeout": False}, "timeout must be a duration"),
    ("stop", {"signal": ["SIGTERM"]}, "unknown signal"),
    ("stop", {"signal": True}, "unknown signal"),
    ("signal", {"signal": True}, "unknown signal"),
    ("signal", {}, "unknown signal"),
    ("restart?timeout=soon", {}, "timeout: time: invalid duration"),
    ("restart?timeout=-1s", {}, "timeout must not be negative"),
    ("restart?force_stop=maybe", {}, "force_stop must be true or false"),
    ("exec", {"cmd": "echo 'a"}, "cmd"),
    ("exec", {"cmd": ["echo"]}, "cmd must be a string, not a list"),
    ("exec", {"cmd": "   "}, "command"),
    ("exec", {}, "command"),
    ("exec", {"command": "echo"}, "command must be a list, not a string"),
    ("exec", {"command": ["echo", 1]}, "command[1] must be a string"),
    ("exec", {"command": ["echo", "\0"]}, "command[1] must not contain NUL"),
    ("exec", {"command": [""]}, "command"),
    ("exec", {"command": ["echo"], "timeout": "soon"}, "timeout must be a whole"),
    ("exec", {"command": ["echo"], "timeout": "5"}, "timeout must be a whole"),
    ("exec", {"command": ["echo"], "timeout": -1}, "timeout must be 0 to"),
    ("exec", {"command": ["echo"], "timeout": 10**30}, "timeout must be 0 to"),
    ("exec", {"command": ["echo"], "stdin": 1}, "stdin must be a string"),
    ("exec", {"command": ["echo"], "stdin": "\ud800"}, "stdin must be valid Unicode"),
    ("exec", {"command": ["echo"], "container": "side"}, "container"),
    ("lease", {"ttl": "soon"}, "ttl must be a whole number"),
    ("lease", {"ttl": -1}, "ttl must be"),
    ("lease", {"ttl": True}, "ttl must be a whole number"),
    ("lease", {"ttl": 1.5}, "ttl must be a whole number"),
    ("lease", {"ttl": 10**30}, "ttl must be"),
    ("lease?ttl=soon", {}, "ttl must be a whole number"),
    ("lease", {"description": []}, "description must be a string"),
    ("metadata/a", {"value": 1}, "value must be a string"),
]


@pytest.mark.parametrize(("action", "body", "text"), ACTIONS)
def test_an_action_of_the_wrong_type_is_refused(
    api: Api, action: str, body: dict[str, Any], text: str
) -> None:
    """400 with the name of the field, and the machine goes on."""
    machine_id = api.run()

    reply = api.post(machine_id, action, **body)

    assert 400 == reply.status_code
    assert text in reply.json()["error"]
    assert "started" == api.get(machine_id)["state"]


@pytest.mark.parametrize(
    "values", [{"A=B": "1"}, {"": "1"}, {"A\0": "1"}, {"A": "1\0"}, {"A": "\ud800"}]
)
def test_a_secret_that_no_environment_can_hold_is_refused(
    api: Api, values: dict[str, str]
) -> None:
    """400 when it is set, so that no machine fails for it later."""
    reply = api.call("POST", "secrets", json={"values": values})

    assert 400 == reply.status_code
    assert [] == api.call("GET", "secrets").json()["secrets"]


def test_a_secret_s_own_path_is_held_to_the_same(api: Api) -> None:
    """The name stands in the path there."""
    for path, value in (("A%3DB", "1"), ("A", 1), ("A", "\0")):
        reply = api.call("POST", f"secrets/{path}", json={"value": value})
        assert 400 == reply.status_code


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"config": ' * 50_000])
def test_a_body_nested_without_end_is_refused(api: Api, body: bytes) -> None:
    """400, not an internal error."""
    reply = api.call("POST", "machines", data=body)

    assert 400 == reply.status_code


@pytest.mark.parametrize(
    ("body", "status"),
    [({"name": []}, 422), ({"name": "a", "org_slug": 1}, 400), ({"name": 1}, 422)],
)
def test_an_app_of_the_wrong_type_is_refused(
    api: Api, body: dict[str, Any], status: int
) -> None:
    """As any other request."""
    assert status == api.call("POST", "/v1/apps", json=body).status_code


def test_a_query_s_flag_is_true_or_false(api: Api) -> None:
    """Any other text is refused: nothing is destroyed by a typing error."""
    machine_id = api.run()

    assert 400 == api.call("DELETE", f"machines/{machine_id}?force=no%21").status_code
    assert 412 == api.call("DELETE", f"machines/{machine_id}?kill=false").status_code
    assert 200 == api.call("DELETE", f"machines/{machine_id}?kill=true").status_code


DURATIONS = [
    ("90s", "1m30s"),
    ("1h", "1h0m0s"),
    ("1500ms", "1.5s"),
    ("0.5s", "500ms"),
    ("1.5h", "1h30m0s"),
    ("1m30s", "1m30s"),
    (".5m", "30s"),
    (5_000_000_000, "5s"),
    (1_500, "1.5µs"),
    ("0", "0s"),
]


@pytest.mark.parametrize(("given", "shown"), DURATIONS)
def test_durations_come_back_as_go_prints_them(
    api: Api, given: object, shown: str
) -> None:
    """In every part of a config that has one."""
    check = {"interval": given, "timeout": given, "grace_period": given, "port": 80}
    config = api.create(checks={"a": check}, services=[{**SERVICE, "checks": [check]}])[
        "config"
    ]

    expected = {"interval": shown, "timeout": shown, "grace_period": shown, "port": 80}
    assert expected == config["checks"]["a"]
    assert [expected] == config["services"][0]["checks"]


@pytest.mark.parametrize(("given", "shown"), [("90s", "1m30s"), (0, "0s")])
def test_the_stop_timeout_comes_back_as_go_prints_it(
    api: Api, given: object, shown: str
) -> None:
    """Zero, too."""
    view = api.create(stop_config={"timeout": given})

    assert shown == view["config"]["stop_config"]["timeout"]


def test_null_is_the_same_as_nothing(api: Api) -> None:
    """Go's decoder leaves a null field at its zero; it does not come back."""
    names = ("guest", "env", "restart", "stop_config", "services", "checks", "mounts")
    view = api.create(
        **dict.fromkeys(names), files=None, processes=None, schedule=None, size=None
    )

    assert {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256} == view["config"][
        "guest"
    ]
    assert {"image", "init", "env", "metadata", "guest"} == view["config"].keys()


def test_an_autostop_comes_back_in_the_old_form(api: Api) -> None:
    """`off` and `stop` as booleans, as Fly's API shows them for old clients."""
    names = ("off", "stop", "suspend", True, False)
    services = [{**SERVICE, "autostop": name} for name in names]

    shown = api.create(services=services)["config"]["services"]

    assert [False, True, "suspend", True, False] == [one["autostop"] for one in shown]


def test_base64_in_lines_is_read(api: Api) -> None:
    """As by Go, and as the command of that name writes it."""
    raw = base64.encodebytes(b"word " * 40).decode()
    file = {"guest_path": "/a/b", "raw_value": raw}
    show = ["/bin/sh", "-c", "cat $WORKER_LIB_MACHINE_ROOT/a/b"]
    machine_id = api.create(show, files=[file])["id"]

    until(lambda: "word word" in api.log(machine_id))
