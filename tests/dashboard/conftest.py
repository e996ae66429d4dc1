"""The dashboard as a browser meets it: in an app, on a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from worker_lib.dashboard import create_dashboard

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from worker_lib.client.client import Client

BROWSER: dict[str, Any] = {
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8",
    "HTTP_SEC_FETCH_SITE": "same-origin",
    "waitress.client_disconnected": lambda: False,
}


@pytest.fixture
def browser_of() -> Callable[[Flask], FlaskClient]:
    """Makes a browser that is on one of the app's own pages."""

    def make(app: Flask) -> FlaskClient:
        made = app.test_client()
        made.environ_base |= BROWSER
        return made

    return make


@pytest.fixture
def make_browser(
    client: Client, browser_of: Callable[[Flask], FlaskClient]
) -> Callable[..., FlaskClient]:
    """Makes a browser at an app that has the dashboard under /jobs."""

    def make(*words: Any, **options: Any) -> FlaskClient:
        app = Flask(__name__)
        app.register_blueprint(create_dashboard(*words, **options), url_prefix="/jobs")
        return browser_of(app)

    return make


@pytest.fixture
def admin(make_browser: Callable[..., FlaskClient]) -> FlaskClient:
    """A browser of somebody who may do everything."""
    return make_browser(lambda _request: "admin")


@pytest.fixture
def reader(make_browser: Callable[..., FlaskClient]) -> FlaskClient:
    """A browser of somebody who may look."""
    return make_browser(lambda _request: "read")
