"""What people do: who may, from where, what is agreed to first, what is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from worker_lib.dashboard.blueprint import make_blueprint
from worker_lib.dashboard.pages import overview
from worker_lib.dashboard.registry import (
    Action,
    Confirm,
    Done,
    Form,
    Page,
    Registry,
)
from worker_lib.errors import JobNotFound
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from worker_lib.client.client import Client

NOTHING_LEFT = JobNotFound("job 7 is no longer there")


class Jobs:
    """Stands for what actions act upon."""

    def __init__(self) -> None:
        self.done: list[Form] = []

    def cancel(self, form: Form) -> Done:
        self.done.append(form)
        return Done(f"Cancelled {len(form.targets)}.", total=len(form.targets))

    def lose(self, form: Form) -> Done:
        raise NOTHING_LEFT

    def leave(self, form: Form) -> Done:
        return Done("Gone.", goto="overview", goto_words={"window": "7d"})


class Declared:
    """A module with pages and actions of a test."""

    def __init__(self, jobs: Jobs) -> None:
        self.actions = (
            Action(name="cancel", run=jobs.cancel),
            Action(name="lose", run=jobs.lose),
            Action(name="leave", run=jobs.leave),
            Action(name="look", run=jobs.cancel, role="read"),
            Action(
                name="sure", run=jobs.cancel, confirm=lambda _: Confirm("All?", "Do it")
            ),
            Action(
                name="typed",
                run=jobs.cancel,
                confirm=lambda form: Confirm("All?", "Do it", str(len(form.targets))),
            ),
        )
        self.page: Page = overview.PAGE


@pytest.fixture
def jobs() -> Jobs:
    """What was done."""
    return Jobs()


@pytest.fixture
def browser(
    client: Client, browser_of: Callable[[Flask], FlaskClient], jobs: Jobs
) -> FlaskClient:
    """At an app whose viewer's role is in the header `Role`."""
    declared: Any = Declared(jobs)
    modules: list[ModuleType] = [declared]
    app = Flask(__name__)
    made = make_blueprint(
        lambda asks: "read" if asks.headers.get("Role") == "read" else "admin",
        registry=Registry(modules),
    )
    app.register_blueprint(made, url_prefix="/jobs")
    return browser_of(app)


def act(browser: FlaskClient, name: str, **words: Any) -> TestResponse:
    """Send a form from the page with the last 24 hours."""
    headers = words.pop("headers", {})
    data = {"target": ["a", "b"], "reason": "why"} | words
    referrer = "http://localhost/jobs/?window=24h"
    return browser.post(
        f"/jobs/actions/{name}", data=data, headers={"Referer": referrer, **headers}
    )


def test_an_action_leads_back_to_its_page_which_tells(
    browser: FlaskClient, jobs: Jobs
) -> None:
    """Once; a page that is loaded again tells no more."""
    answer = act(browser, "cancel")
    told, later = browser.get(answer.location).text, browser.get(answer.location).text

    assert (303, "/jobs/?window=24h") == (answer.status_code, answer.location)
    assert [Form(("a", "b"), {"reason": "why"})] == jobs.done
    assert "Cancelled 2." in told
    assert "Cancelled 2." not in later


def test_a_script_gets_the_notice_alone(browser: FlaskClient) -> None:
    answer = act(browser, "cancel", headers={"HX-Request": "true"})

    assert 200 == answer.status_code
    assert "Cancelled 2." in answer.text
    assert "<html" not in answer.text


def test_an_action_may_lead_to_another_page(browser: FlaskClient) -> None:
    plain = act(browser, "leave")
    script = act(browser, "leave", headers={"HX-Request": "true"})

    assert "/jobs/?window=7d" == plain.location
    assert "/jobs/?window=7d" == script.headers["HX-Redirect"]


def test_an_error_of_the_library_becomes_a_notice(browser: FlaskClient) -> None:
    page = browser.get(act(browser, "lose").location)

    assert str(NOTHING_LEFT) in page.text
    assert "is-bad" in page.text


def test_every_action_is_noted(browser: FlaskClient) -> None:
    """Done, failed and refused ones alike, with who and what."""
    act(browser, "cancel")
    act(browser, "lose")
    act(browser, "cancel", headers={"Role": "read"})
    found = [
        (one.who, one.what, one.target, one.total, one.outcome) for one in audits()
    ]

    assert [
        ("read (127.0.0.1)", "cancel", "a, b", 0, "refused: the role is read"),
        ("admin (127.0.0.1)", "lose", "a, b", 0, str(NOTHING_LEFT)),
        ("admin (127.0.0.1)", "cancel", "a, b", 2, "done"),
    ] == found


def test_who_may_look_may_not_act(browser: FlaskClient, jobs: Jobs) -> None:
    refused = act(browser, "cancel", headers={"Role": "read"})
    allowed = act(browser, "look", headers={"Role": "read"})
    script = act(browser, "cancel", headers={"Role": "read", "HX-Request": "true"})

    assert (403, 303) == (refused.status_code, allowed.status_code)
    assert 403 == script.status_code
    assert "<html" not in script.text
    assert 1 == len(jobs.done)


def test_what_there_is_not_is_not_found(browser: FlaskClient) -> None:
    assert 404 == act(browser, "unheard-of").status_code


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"], ids=str)
def test_another_site_may_not_act(
    browser: FlaskClient, jobs: Jobs, site: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even with a token; the log has it, as the audit could be filled with it."""
    assert 403 == act(browser, "cancel", headers={"Sec-Fetch-Site": site}).status_code
    assert not jobs.done
    (record,) = [one for one in caplog.records if one.msg == "dashboard_form_refused"]
    assert ("WARNING", site) == (record.levelname, record.__dict__["site"])
    assert record.__dict__["path"].endswith("/actions/cancel")


def test_without_the_header_the_forms_token_counts(
    browser: FlaskClient, jobs: Jobs
) -> None:
    """It is made for this browser alone, and cannot be made up."""
    del browser.environ_base["HTTP_SEC_FETCH_SITE"]
    page = act(browser, "sure", headers={"Sec-Fetch-Site": "same-origin"})
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    answers = [
        act(browser, "cancel", csrf_token=given).status_code
        for given in (token, "", "forged", token[:-1])
    ]
    stranger = browser.application.test_client()
    stranger.get("/jobs/")

    assert [303, 403, 403, 403] == answers
    assert 403 == act(stranger, "cancel", csrf_token=token).status_code
    assert 1 == len(jobs.done)


def test_a_question_comes_first(browser: FlaskClient, jobs: Jobs) -> None:
    """With all that the form held, and the way back."""
    asked = act(browser, "sure")
    done = act(browser, "sure", _confirmed="yes", _back="/jobs/?window=7d")

    assert 200 == asked.status_code
    assert "All?" in asked.text
    assert 'name="target" value="b"' in asked.text
    assert 'name="_back" value="/jobs/?window=24h"' in asked.text
    assert [Form(("a", "b"), {"reason": "why"})] == jobs.done
    assert "/jobs/?window=7d" == done.location


def test_a_typed_number_has_to_be_right(browser: FlaskClient, jobs: Jobs) -> None:
    wrong = act(browser, "typed", _confirmed="3")

    assert "not what has to be typed" in wrong.text
    assert not jobs.done
    assert 303 == act(browser, "typed", _confirmed=" 2 ").status_code


@pytest.mark.parametrize(
    "back",
    [
        "https://example.org/jobs/",
        "//example.org/jobs/",
        "/jobs//example.org",
        "/jobs/\\example.org",
        "/elsewhere",
        "/jobs/actions/cancel",
        "javascript:alert(1)",
        "http://[",
    ],
)
def test_nobody_is_led_elsewhere(browser: FlaskClient, back: str) -> None:
    answer = act(browser, "cancel", _back=back)

    assert answer.location == "/jobs/"
