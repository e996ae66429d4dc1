"""`worker-lib config show`: values, where they come from, and no secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.cli import main
from worker_lib.client.configuration import settings_in_use
from worker_lib.settings import Settings

SECRETS = {
    "REDIS_URL": "rediss://joe:canary-1@redis.example:6380/0",
    "FLY_ACCESS_TOKEN": "canary-2",
    "WORKER_LIB_SECRET": "canary-3" * 4,
    "WORKER_LIB_SECRET_OLD": "canary-4" * 4,
}


def test_settings_are_shown_with_their_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable that has won, its value, and defaults for the others."""
    monkeypatch.setenv("FLY_APP_NAME", "my-web")
    monkeypatch.setenv("WORKER_LIB_LEASE_TTL", "45s")

    assert 0 == main(["config", "show"])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    assert ["FLY_APP_NAME", "environment", "my-web"] in rows
    assert ["WORKER_LIB_LEASE_TTL", "environment", "45s"] in rows
    assert ["WORKER_LIB_MAX_MACHINES", "default", "10"] in rows
    assert ["WORKER_LIB_RESULT_TTL", "default", "1d"] in rows
    assert ["FLY_API_TOKEN", "default", ""] in rows


@given(st.floats(1, 1e7).map(lambda value: round(value, 3)))
def test_a_time_is_shown_as_it_may_be_written(seconds: float) -> None:
    """Who copies it sets the same."""
    shown = {
        one.name: one.text for one in settings_in_use(Settings(result_ttl=seconds), {})
    }

    loaded = Settings.load({"WORKER_LIB_RESULT_TTL": shown["result_ttl"]})
    assert seconds == pytest.approx(loaded.result_ttl)


def test_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a key its id, by which two sides compare; of Redis the place."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    assert 0 == main(["config", "show"])
    assert 0 == main(["config", "show", "--json"])
    shown = capsys.readouterr()

    assert "canary" not in shown.out + shown.err
    place = "rediss://redis.example:6380 (password hidden)"
    assert f"REDIS_URL\tenvironment\t{place}\n" in shown.out
    assert "FLY_ACCESS_TOKEN\tenvironment\thidden\n" in shown.out
    assert "WORKER_LIB_SECRET\tenvironment\thidden, key id " in shown.out


def test_a_setting_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, with their remedies, after what there is."""
    monkeypatch.setenv("WORKER_LIB_MAX_MACHINES", "many")
    monkeypatch.setenv("WORKER_LIB_LAESE_TTL", "1")

    assert 2 == main(["config", "show", "--json"])
    shown = capsys.readouterr()

    told = json.loads(shown.out)
    names = {"name", "variable", "value", "text", "origin"}
    assert names == set(told["settings"][0])
    assert 2 == len(told["problems"])
    assert "did you mean 'WORKER_LIB_LEASE_TTL'?" in shown.err
    assert "WORKER_LIB_MAX_MACHINES='many': use a whole number" in shown.err
