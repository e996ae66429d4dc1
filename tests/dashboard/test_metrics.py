"""The metrics beside the dashboard's pages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import jobs as tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from flask.testing import FlaskClient

TOKEN = "a token of metrics"
UP = "\nworker_lib_up 1.0\n"


def test_who_may_look_sees_the_metrics(reader: FlaskClient) -> None:
    """Of what there is in this Redis."""
    tasks.add.options(delay="1h").delay(1)
    answer = reader.get("/jobs/metrics")

    assert 200 == answer.status_code
    assert UP in answer.text
    assert 'worker_lib_jobs{state="scheduled"}' in answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_who_may_not_look_does_not(make_browser: Callable[..., FlaskClient]) -> None:
    """And is told so without a login form."""
    answer = make_browser(lambda _request: None).get(
        "/jobs/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
    )

    assert 403 == answer.status_code
    assert "worker_lib_up" not in answer.text


def test_prometheus_comes_with_a_token(
    make_browser: Callable[..., FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which opens nothing else."""
    monkeypatch.setenv("WORKER_LIB_METRICS_TOKEN", TOKEN)
    browser = make_browser(password="open sesame")
    sent = {"Authorization": f"Bearer {TOKEN}"}

    assert 401 == browser.get("/jobs/metrics").status_code
    assert UP in browser.get("/jobs/metrics", headers=sent).text
    assert 303 == browser.get("/jobs/", headers=sent).status_code
    assert 401 == browser.get("/jobs/overview.json", headers=sent).status_code


def test_metrics_that_are_not_installed_say_so(
    reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need a library that the pages do not."""
    monkeypatch.setitem(sys.modules, "worker_lib.metrics", None)
    answer = reader.get("/jobs/metrics")

    assert 501 == answer.status_code
    assert "pip install 'prometheus-client>=0.21'" in answer.text
