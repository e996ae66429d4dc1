"""Who may speak to the emulator: the token, and the Host that a request names."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from worker_lib.emulator import Emulator, EmulatorOptions

if TYPE_CHECKING:
    from pathlib import Path

    from .client import Api
    from .conftest import StartEmulator


def status(url: str, token: str) -> int:
    """Return the status of a request with a token."""
    headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
    return requests.get(f"{url}/v1/apps", headers=headers, timeout=5).status_code


def raw(api: Api, request: str) -> str:
    """Send a request as it stands; return the line of status of the reply."""
    url = urlsplit(api.emulator.url)
    with socket.create_connection((url.hostname, url.port), timeout=5) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        return connection.makefile("rb").readline().decode().strip()


def as_host(api: Api, host: str) -> str:
    """Return the status line of a request with a Host and the right token."""
    lines = f"GET /v1/apps HTTP/1.1\nHost: {host}\nAuthorization: Bearer any\n"
    return raw(api, f"{lines}Connection: close\n\n")


def test_without_a_token_of_its_own_an_emulator_takes_a_random_one(
    tmp_path: Path,
) -> None:
    """Each has another, it is not in the text of the emulator, and no other works."""
    options = EmulatorOptions(state_dir=tmp_path)
    with Emulator(options) as first, Emulator(options) as second:
        assert 200 == status(first.url, first.token)
        assert 401 == status(first.url, second.token)
        assert 401 == status(first.url, "any")
        assert len(first.token) >= 32
        assert first.token not in repr(first) + repr(options)


def test_the_token_that_is_given_is_the_one(tmp_path: Path) -> None:
    """The first of several is the one to hand on."""
    options = EmulatorOptions(state_dir=tmp_path, tokens=("Bearer right", "other"))
    with Emulator(options) as emulator:
        assert "Bearer right" == emulator.token
        assert [200, 200] == [status(emulator.url, one) for one in ("right", "other")]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:4280", "127.9.9.9"),
        *("[::1]", "[::1]:4280", "localhost."),
    ],
)
def test_loopback_s_names_are_let_in(api: Api, host: str) -> None:
    """With any port: there may be a tunnel in between."""
    assert "200" in as_host(api, host)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1"),
        *("localhost.evil.example", "[fd00::1]", "0.0.0.0", "", "localhost,evil", "["),
        *("localhost:80:80", "evil@localhost", "127.1", "2130706433"),
    ],
)
def test_another_host_is_refused(api: Api, host: str) -> None:
    """A web page whose name was made to lead here gets nothing, whatever it sends."""
    assert "421" in as_host(api, host)


def test_a_host_is_needed_exactly_once(api: Api) -> None:
    """None, two, and one in the request's first line that is not ours."""
    rest = "Authorization: Bearer any\nConnection: close\n\n"
    target = "GET http://evil.example/v1/apps HTTP/1.1\nHost: localhost\n"

    assert "421" in raw(api, f"GET /v1/apps HTTP/1.1\n{rest}")
    assert "421" in raw(api, f"GET /v1/apps HTTP/1.0\n{rest}")
    twice = "Host: localhost\nHost: evil.example\n"
    assert "421" in raw(api, f"GET /v1/apps HTTP/1.1\n{twice}{rest}")
    assert "421" in raw(api, f"{target}{rest}")


def test_the_emulator_s_own_paths_are_guarded_as_well(api: Api) -> None:
    """Fault rules, costs and logs need the token too."""
    lines = "GET /_emulator/billing HTTP/1.1\nHost: evil.example\n"
    reply = raw(api, f"{lines}Authorization: Bearer any\nConnection: close\n\n")

    assert "421" in reply


def test_a_host_that_was_asked_for_is_let_in(start_emulator: StartEmulator) -> None:
    """By its name only, whatever the case."""
    api = start_emulator(hosts=("Fly.test",))

    assert "200" in as_host(api, "fly.TEST:4280")
    assert "421" in as_host(api, "other.test")


def test_on_every_address_any_address_is_a_host(start_emulator: StartEmulator) -> None:
    """An address cannot be rebound; other names must still be allowed."""
    api = start_emulator(host="0.0.0.0")

    assert "200" in as_host(api, "10.1.2.3:4280")
    assert "200" in as_host(api, "0.0.0.0:4280")
    assert "421" in as_host(api, "evil.example")


def test_a_refused_host_is_told_with_the_remedy(api: Api) -> None:
    """Which one it was, and the option."""
    reply = api.call("GET", "machines", headers={"Host": "fly.test"})

    assert 421 == reply.status_code
    assert '"fly.test"' in reply.json()["error"]
    assert "--allow-host" in reply.json()["error"]


def test_a_machine_s_own_socket_has_no_host(api: Api) -> None:
    """No page can reach it; clients call it what they like."""
    ask = (
        "import os, socket\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.connect(os.environ['WORKER_LIB_MACHINE_API'])\n"
        "s.sendall(b'GET /v1/apps/demo HTTP/1.1\\r\\nHost: flaps\\r\\n\\r\\n')\n"
        "print(s.recv(12).decode(), flush=True)"
    )
    machine_id = api.create(["python", "-c", ask])["id"]

    assert "200" in api.printed(machine_id, "HTTP/1.1")


@pytest.mark.parametrize("target", ["http://[/v1", "//[", "http://a:b:c/"])
def test_a_target_that_is_no_address_is_refused(api: Api, target: str) -> None:
    """4xx, not an internal error."""
    reply = raw(api, f"GET {target} HTTP/1.1\nHost: localhost\nConnection: close\n\n")

    assert "4" == reply.split()[1][0]


def test_a_length_beyond_all_bounds_is_refused(api: Api) -> None:
    """413: its digits are not even read as a number."""
    lines = "POST /v1/apps HTTP/1.1\nHost: localhost\nAuthorization: Bearer any\n"

    reply = raw(api, f"{lines}Content-Length: {'9' * 5000}\n\n")

    assert "413" in reply
