"""A job belongs to the browser that made it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from demo.ownership import cookie_for
from worker.tasks import make_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from worker_lib import Job

    Finished = Callable[[FlaskClient, TestResponse], dict[str, Any]]

MAIL = {"to": "somebody@example.com", "subject": "Private matter", "body": "Text"}
REPORT = {"title": "Figures", "pages": "1"}


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """Another browser on the same app."""
    visitor = app.test_client()
    visitor.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    return visitor


def test_another_browser_sees_nothing_of_a_job(
    browser: FlaskClient, stranger: FlaskClient, later: Job[Any]
) -> None:
    """Not its page, its data, its changes; and it cannot end it."""
    for path in ("", ".json", "/events", "/cancel"):
        assert 404 == stranger.get(f"/job/{later.id}{path}").status_code
        assert 404 != browser.get(f"/job/{later.id}{path}").status_code
    assert 404 == stranger.post(f"/job/{later.id}/cancel").status_code
    assert "scheduled" == later.status


def test_another_browser_cannot_tell_a_job_from_none(
    stranger: FlaskClient, later: Job[Any]
) -> None:
    """Both answers are the same."""
    known = stranger.get(f"/job/{later.id}.json")
    unknown = stranger.get(f"/job/{'0' * 20}.json")

    assert known.get_json() == unknown.get_json()


def test_lists_and_mails_are_ones_own(
    browser: FlaskClient, stranger: FlaskClient, finished: Finished
) -> None:
    """What a browser wrote, it sees again; what another wrote, it does not."""
    job = finished(browser, browser.post("/mail", data=MAIL))

    for path in ("/", "/outbox", "/outbox.json"):
        assert "somebody@example.com" in browser.get(path).text
        page = stranger.get(path).text
        assert "somebody@example.com" not in page
        assert "Private matter" not in page
        assert job["id"] not in page


def test_forms_sent_at_the_same_time_are_all_kept(app: Flask) -> None:
    """Two windows of one browser know nothing of each other's answers."""
    windows = [app.test_client() for _ in range(4)]
    answers: list[TestResponse] = []

    def send(window: FlaskClient) -> None:
        headers = {"Sec-Fetch-Site": "same-origin"}
        answers.append(window.post("/report", data=REPORT, headers=headers))

    threads = [threading.Thread(target=send, args=(window,)) for window in windows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    browser = app.test_client()
    for answer in answers:
        for cookie in answer.headers.getlist("Set-Cookie"):
            name, value = cookie.partition(";")[0].split("=", 1)
            browser.set_cookie(name, value)

    assert {200} == {browser.get(answer.location).status_code for answer in answers}


def test_an_owner_cannot_be_made_up(
    app: Flask, browser: FlaskClient, stranger: FlaskClient, later: Job[Any]
) -> None:
    """Neither with another key, nor with the cookie of another job."""
    other = make_report.options(delay="1h").delay("Other", 1)
    with app.test_request_context():
        _, of_other = cookie_for(other.id, "x")
        right = app.secret_key
        app.secret_key = "guessed"
        _, forged = cookie_for(later.id, "x")
        app.secret_key = right

    for value in (of_other, forged, "", "x", later.id):
        stranger.set_cookie(f"job-{later.id}", value)
        assert 404 == stranger.get(f"/job/{later.id}").status_code


def test_the_cookie_is_for_the_server_only(browser: FlaskClient) -> None:
    """No script reads it, and no other site's request brings it along."""
    answer = browser.post("/report", data=REPORT)
    (cookie,) = answer.headers.getlist("Set-Cookie")

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Max-Age=172800" in cookie


def test_a_browser_keeps_its_latest_jobs_only(
    app: Flask, browser: FlaskClient, own: Callable[..., Job[Any]]
) -> None:
    """Its cookies would outgrow a request's headers; the newest always counts."""
    first, *_ = [
        own(browser, make_report.options(delay="1h").delay(str(number), 1))
        for number in range(24)
    ]
    answer = browser.post("/report", data=REPORT)

    assert 200 == browser.get(answer.location).status_code
    assert 404 == browser.get(f"/job/{first.id}").status_code
    assert 12 == browser.get("/").text.count('href="/job/')


def test_cookies_of_other_keys_do_not_pile_up(app: Flask, browser: FlaskClient) -> None:
    """Each restart without a secret leaves some; a few of another demo may stay."""
    for number in range(48):
        browser.set_cookie(f"job-{number:020x}", "of another key")
    assert 1 == len(browser.post("/report", data=REPORT).headers.getlist("Set-Cookie"))
    answer = browser.post("/report", data=REPORT)

    cookies = answer.headers.getlist("Set-Cookie")
    assert 48 == len([one for one in cookies if "Max-Age=0" in one])
    assert 200 == browser.get(answer.location).status_code
    assert 2 == browser.get("/").text.count('href="/job/')


def test_whoever_has_no_job_costs_no_redis_command(
    stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that anybody may ask for must not be billed by Fly's Redis."""

    def fail(*args: object) -> None:
        raise AssertionError("Redis was asked")

    monkeypatch.setattr("worker_lib.client.inspection.default_client", fail)

    assert 200 == stranger.get("/").status_code
    assert 404 == stranger.get(f"/job/{'0' * 20}").status_code
