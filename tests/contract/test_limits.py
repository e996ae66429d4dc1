"""Limits: tokens, request rates and body sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

CONFIG = {"image": "x", "init": {"exec": ["sleep", "60"]}}


def test_creates_are_limited_for_each_app(start_emulator: StartEmulator) -> None:
    """Three at once, then 429 with a time to wait; another app has its own."""
    api = start_emulator(apps=("demo", "other"), rate_limits=True)

    replies = [api.create_raw(config=CONFIG) for _ in range(4)]

    assert [200, 200, 200, 429] == [reply.status_code for reply in replies]
    assert "1" == replies[-1].headers["Retry-After"]
    assert "rate limit exceeded" in replies[-1].json()["error"]
    other = api.call("POST", "/v1/apps/other/machines", json={"config": CONFIG})
    assert 200 == other.status_code


def test_actions_are_limited_for_each_machine(start_emulator: StartEmulator) -> None:
    """Three stops of one machine at once; another machine has its own."""
    api = start_emulator(rate_limits=True)
    first, second = api.create()["id"], api.create()["id"]

    codes = [api.post(first, "cordon").status_code for _ in range(4)]

    assert [200, 200, 200, 429] == codes
    assert 200 == api.post(second, "cordon").status_code
    assert 200 == api.post(first, "uncordon").status_code


def test_getting_a_machine_has_a_wider_limit(start_emulator: StartEmulator) -> None:
    """Ten at once."""
    api = start_emulator(rate_limits=True)
    path = f"machines/{api.create()['id']}"

    codes = [api.call("GET", path).status_code for _ in range(11)]

    assert [200] * 10 + [429] == codes


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic any", "right"])
def test_a_missing_token_is_refused(api: Api, header: str) -> None:
    """401 in JSON, without a scheme or without a token."""
    reply = requests.get(
        f"{api.emulator.url}/v1/apps",
        headers={"Authorization": header, "Connection": "close"},
        timeout=5,
    )

    assert 401 == reply.status_code
    assert reply.json()["error"].startswith("unauthenticated")


@pytest.mark.parametrize(
    "header", ["Bearer right", "FlyV1 right", "bearer right", "FlyV1 fm2_a,fm2_b"]
)
def test_an_accepted_token_comes_in_either_scheme(
    start_emulator: StartEmulator, header: str
) -> None:
    """`Bearer` and `FlyV1`; the option may hold the scheme too."""
    api = start_emulator(tokens=("right", "FlyV1 fm2_a,fm2_b"))

    reply = api.call("GET", "machines", headers={"Authorization": header})

    assert 200 == reply.status_code


def test_a_wrong_token_is_refused_everywhere(start_emulator: StartEmulator) -> None:
    """401 for the API and for the emulator's own paths; the token is not repeated."""
    api = start_emulator(tokens=("right",))

    for path in ("machines", "/_emulator/billing", "/nowhere"):
        reply = api.call("GET", path, headers={"Authorization": "Bearer wrong"})
        assert 401 == reply.status_code
        assert "wrong" not in reply.text


def test_a_body_over_the_cap_is_refused(start_emulator: StartEmulator) -> None:
    """413, and nothing is made of it."""
    api = start_emulator(max_body_bytes=1000)

    reply = api.create_raw(config={**CONFIG, "env": {"A": "x" * 1000}})

    assert 413 == reply.status_code
    assert [] == api.call("GET", "machines").json()


def test_a_body_of_unknown_length_is_refused(api: Api) -> None:
    """411: a length is needed."""
    assert 411 == api.call("POST", "machines", data=iter([b"{}"])).status_code


def test_a_method_that_does_not_exist_is_refused_in_json(api: Api) -> None:
    """501 with a JSON body."""
    reply = api.call("BREW", "machines")

    assert 501 == reply.status_code
    assert "invalid_argument" in reply.json()["error"]


def test_the_current_token_lists_its_apps(api: Api) -> None:
    """It may do everything in the one organisation."""
    (token,) = api.call("GET", "/v1/tokens/current").json()["tokens"]

    assert ("personal", ["demo"]) == (token["org_slug"], token["apps"])
