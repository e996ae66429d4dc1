"""Files and streams of pages' own, and where a login leads scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from worker_lib.dashboard.blueprint import make_blueprint
from worker_lib.dashboard.pages import overview
from worker_lib.dashboard.registry import (
    Download,
    Event,
    Feed,
    File,
    Page,
    Query,
    Registry,
)
from worker_lib.errors import JobNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flask.testing import FlaskClient

    from worker_lib.client.client import Client

ASKED: list[Query] = []


def follow(query: Query) -> Iterator[Event | None]:
    """Tell two lines."""
    ASKED.append(query)
    yield Event("line", "one", "1")
    yield None
    yield Event("line", "two", "2")


def log(query: Query) -> File:
    """Return the log of a job."""
    if query["id"] != "a.json":
        raise JobNotFound(f"there is no job {query['id']}")
    return File('log "7".txt', [b"one\n", b"two\n"])


def job(query: Query) -> Mapping[str, Any]:
    """Return a job."""
    return {"id": query["id"]}


class Declared:
    """A module of a test."""

    page = overview.PAGE
    job = Page(slug="job", title="Job", load=job, rule="jobs/<id>", parent="overview")
    log = Download(slug="log", rule="jobs/<id>/log.txt", load=log)
    feed = Feed(slug="lines", rule="jobs/<id>/lines", follow=follow)


@pytest.fixture
def browser(client: Client, browser_of: Callable[[Flask], FlaskClient]) -> FlaskClient:
    """At an app with the pages above, whose password is `open sesame`."""
    declared: Any = Declared()
    vars(declared).update(vars(Declared))
    app = Flask(__name__)
    registry = Registry([declared])
    app.register_blueprint(
        make_blueprint(None, "open sesame", registry=registry), url_prefix="/jobs"
    )
    return browser_of(app)


@pytest.fixture
def admin(browser: FlaskClient) -> FlaskClient:
    """The same, logged in."""
    browser.post("/jobs/login", data={"password": "open sesame"})
    return browser


def test_a_file_is_for_the_disk(admin: FlaskClient) -> None:
    """Under a name that cannot leave its header; an id may end like an address."""
    file = admin.get("/jobs/jobs/a.json/log.txt")

    assert "one\ntwo\n" == file.text
    assert (
        "attachment; filename*=UTF-8''log%20%227%22.txt"
        == file.headers["Content-Disposition"]
    )
    assert 404 == admin.get("/jobs/jobs/b/log.txt").status_code


def test_a_feed_tells_what_it_has_and_ends(admin: FlaskClient) -> None:
    """It learns what the browser has already."""
    ASKED.clear()
    told = admin.get("/jobs/jobs/7/lines", headers={"Last-Event-ID": "0"}).text

    assert [{"id": "7", "last_event_id": "0"}] == ASKED
    assert (
        "retry: 1000\n\nevent: line\nid: 1\ndata: one\n\n"
        "event: line\nid: 2\ndata: two\n\n" == told
    )


def test_a_page_of_one_thing_has_its_json(admin: FlaskClient) -> None:
    assert {"id": "7"} == admin.get("/jobs/jobs/7.json").get_json()


def test_scripts_are_led_to_the_login(browser: FlaskClient) -> None:
    """The page, not the part of it that was asked for."""
    words = {"HX-Request": "true", "HX-Current-URL": "http://localhost/jobs/jobs/7"}
    answer = browser.post("/jobs/actions/x", headers=words)

    assert 401 == answer.status_code
    assert "/jobs/login?goto=%2Fjobs%2Fjobs%2F7" == answer.headers["HX-Redirect"]
