"""The health page: settings without secrets, and checks for whoever asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.calls.codec import key_id_of
from worker_lib.inspection import audits

if TYPE_CHECKING:
    import pytest
    from flask.testing import FlaskClient

    from worker_lib.client.client import Client


def test_settings_are_shown_with_their_origin(
    admin: FlaskClient, client: Client
) -> None:
    """Of a signing key its id."""
    told = admin.get("/jobs/health.json").get_json()
    settings = {one["name"]: one for one in told["settings"]}
    key_id = key_id_of(client.settings.secret.encode()).hex()

    assert ("iad", "WORKER_LIB_MAX_MACHINES", "default") == (
        client.settings.region or "iad",
        settings["max_machines"]["variable"],
        settings["max_machines"]["origin"],
    )
    assert ("1s", "program") == (
        settings["lease_ttl"]["text"],
        settings["lease_ttl"]["origin"],
    )
    assert f"hidden, key id {key_id}" == settings["secret"]["text"]
    assert {"worker_lib", "python", "cloudpickle", "redis", "flask"} == set(
        told["versions"]
    )


def test_a_setting_of_the_environment_says_so(
    admin: FlaskClient, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setenv("WORKER_LIB_MAX_MACHINES", "10")

    told = admin.get("/jobs/health.json").get_json()["settings"]

    assert "environment" == next(
        one["origin"] for one in told if one["name"] == "max_machines"
    )


def test_the_checks_run_when_they_are_asked_for(
    admin: FlaskClient, client: Client
) -> None:
    """Against the real Redis and Fly's API; the audit says who asked."""
    before = admin.get("/jobs/health").text
    page = admin.post("/jobs/actions/check-health").text
    part = admin.post("/jobs/actions/check-health", headers={"HX-Request": "true"}).text

    assert "redis scripts" not in before
    for text in (page, part):
        assert "redis scripts" in text
        assert "fly token" in text
    assert "<html" in page
    assert "<html" not in part
    assert ["check-health", "check-health"] == [one.what for one in audits()]


def test_a_check_that_fails_says_what_to_do(
    admin: FlaskClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fly does not know this token."""
    object.__setattr__(client.settings, "fly_api_token", "wrong-token-canary")

    page = admin.post("/jobs/actions/check-health").text

    assert "failed, so that jobs will not run or may be lost" in page
    assert "fly tokens create" in page
    assert "canary" not in page


def test_no_secret_is_on_the_page(
    admin: FlaskClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the environment nor of the settings in use."""
    monkeypatch.setenv("WORKER_LIB_DASHBOARD_PASSWORD", "canary-of-a-password")
    monkeypatch.setenv("REDIS_URL", "redis://joe:canary-1@redis.example")
    monkeypatch.setenv("FLY_API_TOKEN", "canary-2-canary")

    page = admin.get("/jobs/health").text
    page += admin.get("/jobs/health.json").text
    page += admin.post("/jobs/actions/check-health").text

    assert "canary" not in page
    assert client.settings.secret not in page


def test_who_may_look_cannot_run_checks(reader: FlaskClient, client: Client) -> None:
    assert "Run the checks" not in reader.get("/jobs/health").text
    assert 403 == reader.post("/jobs/actions/check-health").status_code
