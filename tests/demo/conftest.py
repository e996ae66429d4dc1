"""The stand-ins for the whole run; the app, on real jobs, for each test."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

# Machines look for worker.tasks where this process found it.
ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from app import create_app  # noqa: E402
from demo import standins  # noqa: E402
from demo.ownership import cookie_for  # noqa: E402
from worker.services import MAIL_VARIABLES, STORAGE_VARIABLES  # noqa: E402
from worker.tasks import make_report  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from worker_lib import Job
    from worker_lib.client.client import Client


@pytest.fixture(scope="session")
def standin_variables() -> Iterator[dict[str, str]]:
    """Both stand-ins, running; the variables that lead to them."""
    names = MAIL_VARIABLES + STORAGE_VARIABLES
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.delenv(name, raising=False)
        with standins.running():
            yield {name: os.environ[name] for name in names}


@pytest.fixture
def services(
    standin_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """An environment that leads to the stand-ins."""
    for name, value in standin_variables.items():
        monkeypatch.setenv(name, value)
    return standin_variables


@pytest.fixture
def app(services: dict[str, str], client: Client) -> Flask:
    """The app, whose jobs run on real machine processes."""
    return create_app()


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A browser that is on one of the app's own pages."""
    visitor = app.test_client()
    visitor.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    return visitor


@pytest.fixture
def own(app: Flask) -> Callable[[FlaskClient, Job[Any]], Job[Any]]:
    """Makes a browser the owner of a job that no form of it made."""

    def make(browser: FlaskClient, job: Job[Any]) -> Job[Any]:
        with app.test_request_context():
            name, value = cookie_for(job.id, "by a test")
        browser.set_cookie(name, value)
        return job

    return make


@pytest.fixture
def later(
    browser: FlaskClient, own: Callable[[FlaskClient, Job[Any]], Job[Any]]
) -> Job[Any]:
    """A job of the browser that waits for an hour."""
    return own(browser, make_report.options(delay="1h").delay("Later", 1))


@pytest.fixture
def finished() -> Callable[[FlaskClient, TestResponse], dict[str, Any]]:
    """Follows the redirect that a form answered with until the job is final."""

    def follow(browser: FlaskClient, answer: TestResponse) -> dict[str, Any]:
        assert 303 == answer.status_code, answer.text
        stream = browser.get(f"{answer.location}/events").text
        assert "event: end" in stream
        job: dict[str, Any] = browser.get(f"{answer.location}.json").get_json()
        return job

    return follow


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Makes the file of a noisy picture."""

    def make(
        size: tuple[int, int] = (1600, 1200), kind: str = "JPEG", **options: Any
    ) -> bytes:
        out = io.BytesIO()
        image = Image.effect_noise(size, 60)
        image.convert(options.pop("mode", "RGB")).save(out, kind, **options)
        return out.getvalue()

    return make
