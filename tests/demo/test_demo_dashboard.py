"""The dashboard and the metrics of the library, in the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app import create_app
from worker.tasks import make_report, send_email
from worker_lib.log_lines import parse_line

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from worker_lib import Job

HTML = {"Accept": "text/html"}
ON_FLY = {"Host": "shop.fly.dev", "Fly-Client-IP": "192.0.2.1", **HTML}


@pytest.fixture
def stranger(
    services: dict[str, str], client: Any, monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    """A visitor of the demo on Fly, where no password is set."""
    monkeypatch.setenv("FLY_APP_NAME", "shop")
    made = create_app().test_client()
    made.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    return made


def test_who_sits_at_this_computer_sees_all_jobs(
    browser: FlaskClient, later: Job[Any]
) -> None:
    """While developing; those of every browser."""
    page = browser.get("/jobs/", headers=HTML)

    assert 200 == page.status_code
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    found = browser.get("/jobs/overview.json").get_json()
    assert 1 == found["overview"]["counts"]["scheduled"]
    assert later.id in browser.get(f"/job/{later.id}").text


def test_pages_lead_to_the_dashboard(browser: FlaskClient, later: Job[Any]) -> None:
    """Where it can be opened, and the address is right."""
    for path in ("/", f"/job/{later.id}"):
        assert 'href="/jobs/' in browser.get(path).text, path


def test_what_the_jobs_do_is_in_their_logs(
    browser: FlaskClient, services: dict[str, str]
) -> None:
    """For whoever opens one; to whom a mail goes is not."""
    mail = send_email.options(env=services).delay("ada@example.com", "Hello", "You")
    report = make_report.options(env=services).delay("Sales", 3)
    for job in (mail, report):
        job.result(timeout=60)

    page = browser.get(f"/jobs/jobs/{mail.id}", headers=HTML).text
    assert "worker.tasks: the mail is taken" in page
    assert "ada@example.com" not in mail.logs()
    assert ["page 1 of 3", "page 2 of 3", "page 3 of 3", "the report is stored"] == [
        line.text for line in map(parse_line, report.logs().splitlines())
    ]


def test_on_fly_nobody_sees_it_without_a_password(stranger: FlaskClient) -> None:
    """And no page leads there."""
    assert 403 == stranger.get("/jobs/", headers=ON_FLY).status_code
    assert 403 == stranger.get("/jobs/overview.json", headers=ON_FLY).status_code
    assert 403 == stranger.get("/metrics", headers=ON_FLY).status_code
    assert 'href="/jobs/' not in stranger.get("/", headers=ON_FLY).text


def test_on_fly_a_password_opens_it(
    stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the dashboard's own login."""
    monkeypatch.setenv("WORKER_LIB_DASHBOARD_PASSWORD", "open sesame")
    page = stranger.get("/jobs/", headers=ON_FLY)

    assert 303 == page.status_code
    assert page.location.startswith("/jobs/login?")
    assert 'type="password"' in stranger.get(page.location, headers=ON_FLY).text


def test_the_dashboard_refuses_forged_requests_by_its_own_rules(
    browser: FlaskClient,
) -> None:
    """A page of another site may not act in the name of who sits here."""
    browser.environ_base["HTTP_SEC_FETCH_SITE"] = "cross-site"

    assert 403 == browser.post("/jobs/actions/any", headers=HTML).status_code


def test_prometheus_is_told_of_the_demos_jobs(
    browser: FlaskClient, later: Job[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a token; while developing, this computer needs none."""
    assert later.id
    assert "\nworker_lib_up 1.0\n" in browser.get("/metrics").text
    token = "a token of metrics"
    monkeypatch.setenv("WORKER_LIB_METRICS_TOKEN", token)
    sent = {"Authorization": f"Bearer {token}"}

    assert 401 == browser.get("/metrics").status_code
    assert "\nworker_lib_up 1.0\n" in browser.get("/metrics", headers=sent).text


def test_a_job_of_the_demo_is_not_where_the_dashboard_is(
    browser: FlaskClient, later: Job[Any]
) -> None:
    """Neither hides the other's pages."""
    assert 404 == browser.get(f"/jobs/{later.id}", headers=HTML).status_code
    assert 200 == browser.get(f"/job/{later.id}", headers=HTML).status_code
