"""What Fly's Go client (fly-go, flaps) and FLAME send and read, pinned down.

Bodies, queries and headers are those that their code builds: fly-go's
flaps/flaps_machines.go, flaps_apps.go, flaps_secrets.go and machine_types.go at
22d6e51; FLAME's lib/flame/fly_backend.ex at 27b94da (0.5.3).
"""

from __future__ import annotations

import ipaddress
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from .client import SLEEP, python, shell

if TYPE_CHECKING:
    from .client import Api

NONCE = "fly-machine-lease-nonce"
INT32_MAX = 2**31 - 1
MEMORY = {"cpu_kind": "shared", "cpus": 2}
PATIENT = python(
    "import os, signal, sys, time\n"
    "def end(*_):\n"  # no print: the signal may come while another one is flushed
    "    os.write(1, b'told\\n'); sys.exit(7)\n"
    "signal.signal(signal.SIGINT, end)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)"
)


def launch_input(**more: Any) -> dict[str, Any]:
    """Return what fly-go's `Launch` sends for a small config.

    Its `init`, `image` and `skip_secrets` are never left out.
    """
    config = {
        "init": {"exec": SLEEP},
        "image": "registry.fly.io/demo:deployment-1",
        "restart": {"policy": "no"},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
        **more.pop("config", {}),
    }
    return {"config": config, "region": "ams", "skip_secrets": False, **more}


def launch(api: Api, **more: Any) -> dict[str, Any]:
    """Launch a machine as fly-go does; return its view."""
    reply = api.create_raw(**launch_input(**more))
    assert 200 == reply.status_code, reply.text
    view: dict[str, Any] = reply.json()
    return view


def patient(api: Api, **config: Any) -> str:
    """Return the id of a machine that exits with 7 when it is told to end."""
    machine_id: str = launch(api, config={"init": {"exec": PATIENT}, **config})["id"]
    api.printed(machine_id, "ready")
    return machine_id


@pytest.mark.parametrize("timeout", ["0s", 0, "0", None])
def test_a_stop_without_a_timeout_gives_the_default_grace(
    api: Api, timeout: object
) -> None:
    """fly-go's `Stop` always sends `"timeout":"0s"`: that is no instant SIGKILL."""
    machine_id = patient(api)

    reply = api.post(machine_id, "stop", id=machine_id, timeout=timeout)

    assert 200 == reply.status_code
    api.wait(machine_id, "stopped")
    assert (7, -1) == (
        api.exit_event(machine_id)["exit_code"],
        api.exit_event(machine_id)["guest_signal"],
    )


def test_a_stop_without_a_timeout_takes_the_config_s(api: Api) -> None:
    """The machine's `stop_config` comes before the default, and zero there is none."""
    stubborn = python(
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    ids = []
    for timeout in ("300ms", "0s"):
        config = {"init": {"exec": stubborn}, "stop_config": {"timeout": timeout}}
        ids.append(launch(api, config=config)["id"])
        api.printed(ids[-1], "ready")

    for machine_id in ids:
        api.post(machine_id, "stop", id=machine_id, timeout="0s")
    api.wait(ids[0], "stopped")

    assert "stopping" == api.get(ids[1])["state"]


def test_a_restart_is_asked_for_in_the_query(api: Api) -> None:
    """`force_stop` is always there; a zero timeout is the default grace."""
    machine_id = patient(api)

    path = f"machines/{machine_id}/restart?force_stop=false"
    assert 200 == api.call("POST", f"{path}&timeout=0s&signal=SIGTERM").status_code
    api.wait(machine_id, "started")

    assert 7 == api.exit_event(machine_id)["exit_code"]


def test_an_app_is_made_as_fly_go_reads_it(api: Api) -> None:
    """The reply to its create is decoded as the app itself."""
    body = {"name": "fresh", "org_slug": "acme", "network": "", "app_role_id": ""}

    reply = api.call("POST", "/v1/apps?wait=true", json=body)

    app = reply.json()
    assert (201, "fresh", "pending") == (
        reply.status_code,
        app["name"],
        app["status"],
    )
    assert ("acme", "acme") == (
        app["organization"]["slug"],
        app["organization"]["name"],
    )
    assert app.items() >= api.call("GET", "/v1/apps/fresh").json().items()


def test_numeric_ids_fit_go_s_int32(start_emulator: Any) -> None:
    """fly-go refuses to decode a larger one, so hundreds of apps are looked at."""
    names = tuple(f"app-{number}" for number in range(300))
    api = start_emulator(apps=names)

    apps = api.call("GET", "/v1/apps").json()["apps"]

    ids = [app["internal_numeric_id"] for app in apps]
    ids += [app["organization"]["internal_numeric_id"] for app in apps]
    assert all(0 < number <= INT32_MAX for number in ids)


def test_apps_are_listed_by_role(api: Api) -> None:
    """No app here has a role, so none is found by one."""
    listed = api.call("GET", "/v1/apps?org_slug=personal&app_role=postgres_cluster")

    assert [] == listed.json()["apps"]


def test_a_private_ip_is_an_address_of_fly_s_network(api: Api) -> None:
    """Eight groups, below fdaa, the same in the view and in the machine."""
    ids = [api.create(shell("echo $FLY_PRIVATE_IP"))["id"] for _ in range(20)]

    for machine_id in ids:
        api.wait(machine_id, "stopped")
        shown = api.get(machine_id)["private_ip"]
        assert ipaddress.IPv6Address(shown) in ipaddress.ip_network("fdaa::/16")
        assert f"{shown}\n" == api.log(machine_id)
    assert 20 == len({api.get(machine_id)["private_ip"] for machine_id in ids})


def test_exec_and_kill_need_no_nonce(api: Api) -> None:
    """fly-go's `Exec` and `Kill` send none, whoever holds the lease."""
    machine_id = launch(api, lease_ttl=60)["id"]
    api.wait(machine_id, "started")

    ran = api.post(machine_id, "exec", cmd="echo 'a b'", timeout=5)
    killed = api.post(machine_id, "signal", signal=9)

    assert (200, 0, "a b\n") == (
        ran.status_code,
        ran.json()["exit_code"],
        ran.json()["stdout"],
    )
    assert 200 == killed.status_code
    api.wait(machine_id, "stopped")
    assert signal.SIGKILL == api.exit_event(machine_id)["guest_signal"]


def test_a_destroy_says_kill(api: Api) -> None:
    """`Destroy` has `kill=true|false` and the nonce of a lease."""
    view = launch(api, lease_ttl=60)
    headers = {NONCE: view["nonce"]}
    path = f"machines/{view['id']}?kill="

    assert 412 == api.call("DELETE", f"{path}false", headers=headers).status_code
    assert 200 == api.call("DELETE", f"{path}true", headers=headers).status_code


def test_an_update_prolongs_the_lease_that_it_is_made_under(api: Api) -> None:
    """`lease_ttl` in an update: the nonce stays good, only the end moves."""
    view = launch(api, lease_ttl=5)
    api.wait(view["id"], "started")
    headers = {NONCE: view["nonce"]}
    path = f"machines/{view['id']}"

    updated = api.call(
        "POST", path, json=launch_input(lease_ttl=500), headers=headers
    ).json()
    lease = api.call("GET", f"{path}/lease").json()["data"]

    assert view["nonce"] == updated["nonce"] == lease["nonce"]
    assert lease["expires_at"] > time.time() + 400


def say(api: Api, machine_id: str) -> list[str]:
    """Return what a machine has printed in its runs, once it is stopped."""
    api.wait(machine_id, "stopped")
    return api.log(machine_id).splitlines()


def update(api: Api, machine_id: str, **more: Any) -> Any:
    """Update a machine with the config that it has; return the reply."""
    body = {"config": api.get(machine_id)["config"], "skip_secrets": False, **more}
    return api.call("POST", f"machines/{machine_id}", json=body)


SHOW = shell("echo ${WORD-none}")


def test_stop_and_start_do_not_show_new_secrets(api: Api) -> None:
    """A machine has the secrets of its version: an update takes the new ones."""
    api.call("POST", "secrets", json={"values": {"WORD": "old"}})
    machine_id = launch(api, config={"init": {"exec": SHOW}})["id"]
    assert ["old"] == say(api, machine_id)

    api.call("POST", "secrets", json={"values": {"WORD": "new"}})
    api.post(machine_id, "start")
    assert ["old", "old"] == say(api, machine_id)
    assert 200 == update(api, machine_id).status_code
    api.wait(machine_id, "stopped")
    assert ["old", "old", "new"] == say(api, machine_id)


def test_a_removed_secret_stays_until_the_update(api: Api) -> None:
    """The other direction."""
    api.call("POST", "secrets", json={"values": {"WORD": "old"}})
    machine_id = launch(api, config={"init": {"exec": SHOW}})["id"]
    say(api, machine_id)

    api.call("DELETE", "secrets/WORD")
    api.post(machine_id, "restart")

    assert ["old", "old"] == say(api, machine_id)


def test_secrets_can_be_skipped(api: Api) -> None:
    """`skip_secrets`: the machine runs without the app's."""
    api.call("POST", "secrets", json={"values": {"WORD": "hidden"}})

    machine_id = launch(api, config={"init": {"exec": SHOW}}, skip_secrets=True)["id"]

    assert ["none"] == say(api, machine_id)


def test_a_version_of_secrets_that_is_not_there_is_refused(api: Api) -> None:
    """412 on create and update; a version that is there is taken."""
    version = api.call("POST", "secrets", json={"values": {"A": "1"}}).json()["version"]

    early = api.create_raw(**launch_input(min_secrets_version=version + 1))
    machine_id = launch(api, min_secrets_version=version)["id"]
    api.wait(machine_id, "started")

    assert 412 == early.status_code
    assert "secrets version" in early.json()["error"]
    assert 412 == update(api, machine_id, min_secrets_version=9).status_code
    assert 1 == len(api.call("GET", "machines").json())


def test_a_machine_s_secrets_are_nowhere_in_its_view(api: Api) -> None:
    """They are kept with the machine now, and never shown."""
    api.call("POST", "secrets", json={"values": {"WORD": "canary"}})

    machine_id = launch(api)["id"]

    for path in ("", "/events", "/versions"):
        assert "canary" not in api.call("GET", f"machines/{machine_id}{path}").text


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"guest": {**MEMORY, "memory_mb": 2304}}, "2304"),
        ({"init": {"exec": SLEEP, "swap_size_mb": 512}}, "swap"),
        ({"schedule": "hourly"}, "schedule"),
    ],
)
def test_what_fly_cannot_suspend_is_refused(
    api: Api, config: dict[str, Any], text: str
) -> None:
    """Above 2 GB, with swap or with a schedule: 412, and the machine goes on."""
    machine_id = launch(api, config=config)["id"]
    api.wait(machine_id, "started")

    reply = api.call("POST", f"machines/{machine_id}/suspend")

    assert 412 == reply.status_code
    assert text in reply.json()["error"]
    assert "started" == api.get(machine_id)["state"]


def test_two_gigabytes_can_be_suspended(api: Api) -> None:
    """The limit itself is allowed."""
    machine_id = launch(api, config={"guest": {**MEMORY, "memory_mb": 2048}})["id"]
    api.wait(machine_id, "started")

    assert 200 == api.call("POST", f"machines/{machine_id}/suspend").status_code


def test_flame_s_request_is_taken_as_it_is(api: Api) -> None:
    """It sends null for what it does not know, and reads three fields of the reply."""
    body = {
        "name": "demo-flame-0123456789abcdef0123",
        "region": "ams",
        "config": {
            "image": "registry.fly.io/demo:deployment-1",
            "init": {"exec": SLEEP},
            "guest": {
                "cpu_kind": "performance",
                "cpus": 2,
                "memory_mb": 4096,
                "gpu_kind": None,
                "gpus": None,
            },
            "auto_destroy": True,
            "restart": {"policy": "no"},
            "env": {"PHX_SERVER": "false", "FLAME_PARENT": "g2gCbQ=="},
            "services": [],
            "metadata": {"flame_parent_ip": "fdaa:0:1::2"},
        },
    }

    reply = api.create_raw(**body)
    again = api.create_raw(**body)

    assert 200 == reply.status_code, reply.text
    assert {"id", "instance_id", "private_ip"} <= reply.json().keys()
    assert 409 == again.status_code


def test_a_scheduled_config_of_flyctl_is_taken(api: Api) -> None:
    """Everything that flyctl writes for an app with a service, checks and a deploy."""
    config = {
        "env": {"PRIMARY_REGION": "ams"},
        "metadata": {"fly_platform_version": "v2", "fly_process_group": "app"},
        "services": [
            {
                "protocol": "tcp",
                "internal_port": 8080,
                "autostop": True,
                "autostart": True,
                "min_machines_running": 0,
                "ports": [
                    {"port": 80, "handlers": ["http"], "force_https": True},
                    {"port": 443, "handlers": ["http", "tls"]},
                ],
                "checks": [{"type": "tcp", "interval": "15s", "timeout": "2s"}],
                "concurrency": {"type": "requests", "soft_limit": 20},
                "force_instance_key": None,
            }
        ],
        "checks": {
            "up": {"type": "http", "port": 8080, "path": "/", "interval": "30s"}
        },
        "dns": {"skip_registration": True},
        "stop_config": {"timeout": "5m0s", "signal": "SIGTERM"},
        "schedule": "hourly",
    }

    shown = launch(api, config=config)["config"]

    assert config["stop_config"] == shown["stop_config"]
    assert config["checks"] == shown["checks"]
    assert config["dns"] == shown["dns"]


def test_what_nobody_knows_is_left_out_as_by_go_s_decoder(api: Api) -> None:
    """It is taken, and does not come back: it has no effect."""
    shown = launch(api, config={"colour": "red"}, shade="x")["config"]

    assert "colour" not in shown
