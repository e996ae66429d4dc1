"""What a person sees when something is wrong: a page that says so and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from worker_lib.client import client as client_module
from worker_lib.client.client import Client
from worker_lib.dashboard import create_dashboard
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient
    from servers import OwnServer


@pytest.fixture
def app(
    own_server: OwnServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Flask:
    """An app with a Redis of its own."""
    made = Client(Settings(redis_url=own_server.url, secret=settings.secret))
    monkeypatch.setattr(client_module, "_default", made)
    app = Flask(__name__)
    app.register_blueprint(create_dashboard(lambda _: "admin"))
    return app


def test_redis_away_is_told_by_a_page(
    app: Flask, browser_of: Callable[[Flask], FlaskClient], own_server: OwnServer
) -> None:
    """By the JSON too, and it all works again when Redis does."""
    browser = browser_of(app)
    own_server.kill()
    page, document = browser.get("/"), browser.get("/overview.json")
    part = browser.get("/overview/part", headers={"HX-Request": "true"})
    own_server.start()
    back = browser.get("/")

    assert [503] * 3 == [page.status_code, document.status_code, part.status_code]
    assert "cannot be reached" in page.text
    assert "Traceback" not in page.text
    assert "cannot be reached" in document.get_json()["error"]
    assert "cannot be reached" in part.text
    assert 200 == back.status_code


def test_a_stream_tells_of_an_outage_and_goes_on(
    app: Flask, browser_of: Callable[[Flask], FlaskClient], own_server: OwnServer
) -> None:
    browser = browser_of(app)
    answer: Any = browser.get("/overview/live", buffered=False)
    events = iter(answer.response)
    before = [next(events), next(events)]
    own_server.kill()
    away = next(one for one in events if b"event:" in one)
    own_server.start()
    back = next(one for one in events if b"event:" in one)

    assert b"event: page" in before[1]
    assert away.startswith(b"event: trouble\ndata: Redis at")
    assert b"event: trouble\ndata: \n\n" == back


def test_a_filter_that_cannot_be_is_refused(admin: FlaskClient) -> None:
    page = admin.get("/jobs/?window=1y")

    assert 400 == page.status_code
    assert "use 1h, 24h, 7d" in page.text


def test_settings_that_cannot_work_are_told_in_the_log_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever comes has not been let in."""
    monkeypatch.setenv("WORKER_LIB_PARK", "many")
    monkeypatch.setattr(client_module, "_default", None)
    app = Flask(__name__)
    app.register_blueprint(create_dashboard())
    page = app.test_client().get("/", headers={"Accept": "text/html"})

    assert 500 == page.status_code
    assert "WORKER_LIB_PARK" not in page.text
    assert "WORKER_LIB_PARK" in caplog.records[-1].__dict__["reason"]
