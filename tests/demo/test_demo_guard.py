"""Forged requests, greedy clients, too many viewers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from demo.guard import RateLimit
from demo.streams import StreamSlots
from worker.tasks import make_report
from worker_lib.client.inspection import jobs

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from worker_lib import Job

MAIL = {"to": "somebody@example.com", "subject": "Hello", "body": "Text"}


@pytest.fixture
def old_browser(app: Flask) -> FlaskClient:
    """A client that does not say where its requests come from."""
    return app.test_client()


def _token(browser: FlaskClient) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/").text)
    assert found
    return found[1]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense", ""])
def test_another_site_changes_nothing(old_browser: FlaskClient, site: str) -> None:
    """Not even with a token that it got hold of."""
    job = make_report.options(delay="1h").delay("Later", 1)
    form = {**MAIL, "csrf_token": _token(old_browser)}
    headers = {"Sec-Fetch-Site": site}

    for path in ("/mail", "/picture", "/report", f"/job/{job.id}/cancel"):
        answer = old_browser.post(path, data=form, headers=headers)
        assert 403 == answer.status_code
    assert [("scheduled", job.id)] == [(j.status, j.id) for j in jobs()]


def test_an_old_browser_needs_the_token_of_its_own_cookie(
    app: Flask, old_browser: FlaskClient
) -> None:
    """None, a wrong one and another browser's are refused."""
    token = _token(old_browser)
    stranger = app.test_client()

    assert 403 == old_browser.post("/mail", data=MAIL).status_code
    wrong = {**MAIL, "csrf_token": "wrong\u00e9"}
    assert 403 == old_browser.post("/mail", data=wrong).status_code
    right = {**MAIL, "csrf_token": token}
    assert 403 == stranger.post("/mail", data=right).status_code
    assert 303 == old_browser.post("/mail", data=right).status_code


def test_pages_allow_no_script_but_their_own(
    browser: FlaskClient, later: Job[Any]
) -> None:
    """The policy is strict, and the pages keep to it."""
    for path in ("/", "/outbox", f"/job/{later.id}", "/nothing"):
        answer = browser.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src")
        assert "unsafe" not in policy
        assert not re.search(r"<script(?! src=)|<style| style=| on\w+=", answer.text)


def test_mails_are_rationed_for_each_client(browser: FlaskClient) -> None:
    """A hundred forms in a row become five jobs; another client is not held back."""
    codes = [browser.post("/mail", data=MAIL).status_code for _ in range(100)]

    assert [303] * 5 + [429] * 95 == codes
    assert 5 == len(jobs(limit=100))
    browser.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert 303 == browser.post("/mail", data=MAIL).status_code


def test_a_refusal_says_when_to_come_back(browser: FlaskClient) -> None:
    """For programs in the header, for people on the page."""
    for _ in range(6):
        answer = browser.post("/mail", data=MAIL)

    assert 429 == answer.status_code
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert f"again in {answer.headers['Retry-After']} s" in answer.text


def test_pages_are_kept_by_no_cache_and_files_are(browser: FlaskClient) -> None:
    """What a page shows is one visitor's own."""
    for path in ("/", "/outbox", "/outbox.json", "/nothing", "/report"):
        assert "no-store" == browser.get(path).headers["Cache-Control"]
    assert "no-store" == browser.post("/mail").headers["Cache-Control"]
    with browser.get("/static/style.css") as answer:
        assert "no-store" not in answer.headers["Cache-Control"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_the_names_of_this_computer_are_answered(
    browser: FlaskClient, host: str
) -> None:
    """With and without a port."""
    for name in (host, f"{host}:8080"):
        assert 200 == browser.get("/", headers={"Host": name}).status_code


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1@evil", "[", "", "a b"]
)
def test_unknown_hosts_are_refused(browser: FlaskClient, host: str) -> None:
    """Another site's name may lead to this computer; files are refused as well."""
    for path in ("/", "/nothing", "/static/style.css"):
        answer = browser.get(path, headers={"Host": host})
        assert 421 == answer.status_code
        assert host not in answer.text or not host.isalpha()


def test_on_fly_the_app_answers_for_its_own_name_and_those_listed(
    services: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And to the health check, which asks by address."""
    from app import create_app

    monkeypatch.setenv("FLY_APP_NAME", "my-web")
    monkeypatch.setenv("DEMO_HOSTS", "demo.example.com")
    visitor = create_app().test_client()
    asked = {
        host: visitor.get("/", headers={"Host": host}).status_code
        for host in ("my-web.fly.dev", "demo.example.com", "localhost", "172.19.0.2")
    }

    assert [200, 200, 421, 421] == list(asked.values())
    health = visitor.get("/healthz", headers={"Host": "172.19.0.2:8080"})
    assert 200 == health.status_code


def test_the_proxys_header_counts_on_fly_only(browser: FlaskClient) -> None:
    """Elsewhere anybody could write it."""
    headers = {"Fly-Client-IP": "192.0.2.1"}
    for number in range(6):
        headers["Fly-Client-IP"] = f"192.0.2.{number}"
        answer = browser.post("/mail", data=MAIL, headers=headers)

    assert 429 == answer.status_code


def test_a_ration_comes_back_with_time() -> None:
    """A window slides: each use is forgotten when it is as old as the window."""
    now = 0.0
    limit = RateLimit(2, 60.0, clock=lambda: now)

    assert [0.0, 0.0, 60.0] == [limit.take("a") for _ in range(3)]
    now = 59.5
    assert 0.5 == limit.take("a")
    now = 60.0
    assert [0.0, 0.0, 60.0] == [limit.take("a") for _ in range(3)]


def test_clients_without_end_do_not_fill_the_memory() -> None:
    """The one that was silent longest is forgotten first."""
    limit = RateLimit(1, 60.0, clock=lambda: 0.0)
    for number in range(10_001):
        limit.take(str(number))

    assert 0.0 == limit.take("0")
    assert 60.0 == limit.take("10000")


def test_a_stream_more_than_there_are_threads_for_is_refused(
    app: Flask, browser: FlaskClient, later: Job[Any]
) -> None:
    """The page then asks for .json; a place that is given back can be had again."""
    slots = app.extensions["demo_streams"] = StreamSlots(1)
    give_back = slots.take()
    assert give_back

    assert 503 == browser.get(f"/job/{later.id}/events").status_code
    assert 200 == browser.get(f"/job/{later.id}.json").status_code
    give_back()
    give_back()
    assert slots.take()
    assert slots.take() is None


def test_a_stream_that_nobody_reads_gives_its_place_back(
    app: Flask, browser: FlaskClient, later: Job[Any]
) -> None:
    """A browser may leave before the first byte."""
    slots = app.extensions["demo_streams"] = StreamSlots(1)

    browser.get(f"/job/{later.id}/events", buffered=False).close()
    assert slots.take()
