"""The app's pages on real jobs: what they do, and what they refuse to do."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest

from worker_lib import Job
from worker_lib.client.inspection import jobs
from worker_lib.errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    Finished = Callable[[FlaskClient, TestResponse], dict[str, Any]]

MAIL = {"to": "somebody@example.com", "subject": "Hello", "body": "Text"}
POLYGLOT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def _upload(data: bytes, name: str = "photo.jpg") -> dict[str, Any]:
    return {"picture": (io.BytesIO(data), name)}


def test_a_mail_goes_out_and_its_page_leads_to_the_outbox(
    browser: FlaskClient, finished: Finished
) -> None:
    """The whole way: form, job, machine, provider, outbox."""
    job = finished(browser, browser.post("/mail", data=MAIL))

    assert "succeeded" == job["status"]
    assert "somebody@example.com" in job["html"]
    mails = browser.get("/outbox.json").get_json()["messages"]
    assert 1 == len([m for m in mails if m["CustomID"] == job["id"]])
    assert f'href="/job/{job["id"]}"' in browser.get("/outbox").text
    assert f'href="/job/{job["id"]}"' in browser.get("/").text


def test_a_mail_that_is_refused_shows_the_true_error(
    browser: FlaskClient, finished: Finished
) -> None:
    """Kind, type, the provider's words, the traceback; after one attempt."""
    mail = {**MAIL, "to": "fail-400@example.com"}
    job = finished(browser, browser.post("/mail", data=mail))

    assert ("failed", 1) == (job["status"], len(job["attempts"]))
    assert ("error", "worker.mail.MailRefused") == (
        job["error"]["kind"],
        job["error"]["type"],
    )
    assert "Mailjet answered 400" in job["error"]["message"]
    assert "Traceback" in job["error"]["trace"]
    page = browser.get(f"/job/{job['id']}").text
    assert "Mailjet answered 400" in page
    assert "Traceback from the machine" in page


def test_a_picture_is_resized_and_shown(
    browser: FlaskClient, finished: Finished, picture: Callable[..., bytes]
) -> None:
    """The page may load the pictures it links to, by its own policy."""
    answer = browser.post("/picture", data=_upload(picture((1300, 975), quality=20)))
    job = finished(browser, answer)

    assert [(160, 120), (640, 480), (1280, 960)] == [
        (size["width"], size["height"]) for size in job["result"]["sizes"]
    ]
    page = browser.get(f"/job/{job['id']}")
    sources = re.findall(r'<img src="([^"]+)"', page.text)
    assert 3 == len(sources)
    allowed = re.search(
        r"img-src 'self' (\S+);", page.headers["Content-Security-Policy"]
    )
    assert allowed
    assert all(source.startswith(f"{allowed[1]}/") for source in sources)


def test_a_damaged_picture_fails_with_a_sentence(
    browser: FlaskClient, finished: Finished
) -> None:
    """It passes the first look, so the task has to say it."""
    answer = browser.post("/picture", data=_upload(b"\xff\xd8\xff damaged"))
    job = finished(browser, answer)

    assert "failed" == job["status"]
    assert "photo.jpg cannot be read" in job["error"]["message"]


def test_a_report_is_made_and_offered(browser: FlaskClient, finished: Finished) -> None:
    """With the number of pages that was asked for."""
    answer = browser.post("/report", data={"title": "Figures", "pages": "3"})
    job = finished(browser, answer)

    assert 3 == job["result"]["pages"]
    assert "Download the PDF" in job["html"]


def test_a_job_can_be_cancelled_from_its_page(
    browser: FlaskClient, later: Job[Any]
) -> None:
    """One that waits for another attempt never runs again."""
    answer = browser.post(f"/job/{later.id}/cancel")

    assert 303 == answer.status_code
    assert "cancelled" == later.status
    page = browser.get(answer.location).text
    assert "It was cancelled" in page
    assert "Cancel this job" not in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "nonsense"),
        ("to", ""),
        ("to", "a@example.com\r\nBcc: b@example.com"),
        ("to", "a@example.com,b@example.com"),
        ("subject", "Hello\r\nBcc: b@example.com"),
        ("subject", "Hello\nthere"),
        ("subject", "Hello\u2028there"),
        ("subject", "\x00"),
        ("subject", ""),
        ("subject", "x" * 121),
        ("body", ""),
        ("body", "\x00"),
        ("body", "x" * 5001),
    ],
)
def test_a_mail_that_could_do_harm_is_not_stored(
    browser: FlaskClient, field: str, value: str
) -> None:
    """Header injection, several recipients, sizes: refused before there is a job."""
    answer = browser.post("/mail", data={**MAIL, field: value})

    assert 400 == answer.status_code
    assert f'id="{field}-problem"' in answer.text
    assert [] == jobs()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "Two\nlines"),
        ("title", "x" * 121),
        ("title", "отчёт"),
        ("pages", "0"),
        ("pages", "501"),
        ("pages", "-1"),
        ("pages", "1.5"),
        ("pages", "²"),
        ("pages", "9" * 5000),
        ("pages", ""),
    ],
)
def test_a_report_out_of_bounds_is_not_stored(
    browser: FlaskClient, field: str, value: str
) -> None:
    """The form comes back with what is wrong."""
    order = {"title": "Figures", "pages": "3", field: value}
    answer = browser.post("/report", data=order)

    assert 400 == answer.status_code
    assert f'id="{field}-problem"' in answer.text
    assert [] == jobs()


@pytest.mark.parametrize(
    ("form", "order", "first"),
    [
        ("/mail", {**MAIL, "subject": "", "body": ""}, "subject"),
        ("/picture", {}, "picture"),
        ("/report", {"title": "x" * 121, "pages": "501"}, "title"),
        ("/report", {"title": "Figures", "pages": "501"}, "pages"),
    ],
)
def test_a_form_that_comes_back_leads_to_its_first_bad_field(
    browser: FlaskClient, form: str, order: dict[str, str], first: str
) -> None:
    """Title, focus and a link: on a phone the field is far below the top."""
    page = browser.post(form, data=order).text

    assert "<title>Error: " in page
    assert 1 == page.count(" autofocus")
    field = re.search(r'<(?:input|textarea) id="(\w+)"[^>]* autofocus', page)
    assert field
    assert first == field[1]
    assert f'<a href="#{first}">' in page
    assert "<title>Error" not in browser.get("/").text


def test_recent_jobs_say_what_they_are_about_and_how_long_they_took(
    browser: FlaskClient, finished: Finished
) -> None:
    """Three mails in a row are told apart."""
    order = {"title": "Figures of May", "pages": "2"}
    job = finished(browser, browser.post("/report", data=order))

    page = browser.get("/").text
    assert "2 pages, Figures of May" in page
    assert f"{job['took_s']:.2f}" in page


@pytest.mark.parametrize(
    "data", [b"", b"<svg onload=alert(1)>", b"%PDF-1.7", b"MZ\x90"]
)
def test_a_file_is_judged_by_its_content(browser: FlaskClient, data: bytes) -> None:
    """A name that ends in .jpg convinces nobody."""
    answer = browser.post("/picture", data=_upload(data))

    assert 400 == answer.status_code
    assert 'id="picture-problem"' in answer.text


def test_no_file_at_all_is_answered_kindly(browser: FlaskClient) -> None:
    """As a browser sends the form when nothing was chosen, and without the field."""
    assert "Choose a picture" in browser.post("/picture", data={}).text
    assert "Choose a picture" in browser.post("/picture", data=_upload(b"", "")).text


def test_an_upload_over_4_mb_gets_a_page(browser: FlaskClient) -> None:
    """And leaves no job."""
    answer = browser.post(
        "/picture",
        data=bytes(5_000_000),
        content_type="multipart/form-data; boundary=x",
    )

    assert 413 == answer.status_code
    assert "4 MB" in answer.text
    assert [] == jobs()


def test_a_file_name_with_markup_and_a_path_is_only_text(
    browser: FlaskClient, finished: Finished
) -> None:
    """Neither the page nor the bucket takes anything from it."""
    answer = browser.post(
        "/picture",
        data=_upload(b"\xff\xd8\xff", "../../<img src=x onerror=alert(2)>.jpg"),
    )
    job = finished(browser, answer)

    page = browser.get(f"/job/{job['id']}").text
    assert "onerror=alert(2)&gt;" in page
    assert "<img src=x" not in page
    assert ".." not in job["error"]["message"]


def test_markup_in_a_mail_is_only_text(
    browser: FlaskClient, finished: Finished
) -> None:
    """In the outbox, and in a form that comes back."""
    finished(browser, browser.post("/mail", data={**MAIL, "subject": POLYGLOT}))

    outbox = browser.get("/outbox").text
    assert "&lt;script&gt;alert(1)" in outbox
    assert "<script>alert" not in outbox
    returned = browser.post("/mail", data={"to": POLYGLOT, "subject": POLYGLOT}).text
    assert "&lt;script&gt;alert(1)" in returned
    assert "<script>alert" not in returned


def test_an_unknown_job_gets_a_page_that_explains(browser: FlaskClient) -> None:
    """For people, for programs, for streams, for buttons; odd ids included."""
    for job_id in ("0" * 20, "..", "%00", "a" * 500, POLYGLOT.replace("/", "")):
        answer = browser.get(f"/job/{job_id}")
        assert 404 == answer.status_code
        assert "<script>alert" not in answer.text
    assert "This browser has no job" in browser.get(f"/job/{'0' * 20}").text
    assert (
        "This browser has no job" in browser.get("/job/nope.json").get_json()["error"]
    )
    assert 404 == browser.get("/job/nope/events").status_code
    assert 404 == browser.post("/job/nope/cancel").status_code


def test_a_lookup_changes_nothing_and_leads_somewhere(
    browser: FlaskClient, later: Job[Any]
) -> None:
    """What changes something is POST only; its address typed in leads to its page."""
    for path, place in {
        f"/job/{later.id}/cancel": f"/job/{later.id}",
        "/mail": "/#mail",
        "/picture": "/#picture",
        "/report": "/#report",
        "/job": "/#recent",
        "/job/": "/#recent",
    }.items():
        answer = browser.get(path)
        assert (303, place) == (answer.status_code, answer.location)
    page = browser.get("/").text
    for anchor in ("mail", "picture", "report", "recent"):
        assert f'id="{anchor}"' in page
    assert "scheduled" == later.status


def test_an_address_without_its_job_is_answered_sensibly(browser: FlaskClient) -> None:
    """No redirect to another address, and nothing about buttons."""
    for answer in (browser.post("/job//cancel"), browser.get("/job//cancel")):
        assert 404 == answer.status_code
        assert "There is no such page" in answer.text
    answer = browser.delete("/report")
    assert 405 == answer.status_code
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("Redis cannot be reached: is it running?"),
        ConfigError("WORKER_LIB_SECRET is 3 bytes; it needs 32"),
    ],
)
def test_an_error_of_the_library_becomes_one_sentence(
    browser: FlaskClient,
    later: Job[Any],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """Status 503, its message, and no traceback."""

    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(Job, "get", fail)
    monkeypatch.setattr("demo.pages.find_jobs", fail)

    page = f"/job/{later.id}"
    for path in ("/", page, f"{page}.json", f"{page}/events"):
        answer = browser.get(path)
        assert 503 == answer.status_code
        assert str(error) in answer.text
        assert "Traceback" not in answer.text


def test_on_fly_a_stranger_gets_no_mail_and_pictures_are_shown(
    client: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the README deploys it: the web app has no provider's key."""
    from app import create_app

    web = {
        "FLY_APP_NAME": "my-web",
        "MAILJET_SENDER": "me@example.com",
        "AWS_REGION": "eu-west-1",
        "S3_BUCKET": "pictures",
    }
    for name, value in web.items():
        monkeypatch.setenv(name, value)
    headers = {"Host": "my-web.fly.dev", "Sec-Fetch-Site": "same-origin"}
    closed = create_app().test_client()

    assert 400 == closed.post("/mail", data=MAIL, headers=headers).status_code
    assert [] == jobs()
    page = closed.get("/", headers=headers)
    assert "Mail is switched off here" in page.text
    assert "Not set up" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "img-src 'self' https://pictures.s3.eu-west-1.amazonaws.com;" in policy
    monkeypatch.setenv("DEMO_ALLOWED_RECIPIENTS", "@example.com")
    listed = create_app().test_client()
    assert 303 == listed.post("/mail", data=MAIL, headers=headers).status_code
    stranger = {**MAIL, "to": "a@example.org"}
    assert 400 == listed.post("/mail", data=stranger, headers=headers).status_code


def test_the_public_is_not_told_where_redis_is(
    services: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is."""
    from app import create_app

    def fail(*args: object, **options: object) -> None:
        raise StoreUnavailable("Redis cannot be reached at redis.internal:6379")

    monkeypatch.setattr("demo.pages.find_jobs", fail)
    monkeypatch.setenv("DEMO_HOSTS", "demo.example.com")
    visitor = create_app().test_client()
    answer = visitor.get("/", headers={"Host": "demo.example.com"})

    assert 503 == answer.status_code
    assert "redis.internal" not in answer.text
    assert "The app&#39;s log says what" in answer.text


def test_missing_credentials_are_named_on_every_page(
    client: object, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app starts without them, and says what its jobs will lack."""
    from app import create_app

    for name in ("MAILJET_API_KEY", "S3_BUCKET"):
        monkeypatch.delenv(name)
    page = create_app().test_client().get("/").text

    assert "Mailjet is not set up: set MAILJET_API_KEY" in page
    assert "S3 is not set up: set S3_BUCKET" in page


def test_a_job_without_credentials_fails_with_their_names(
    browser: FlaskClient, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own error arrives whole, and no traceback instead of it."""
    from app import create_app

    monkeypatch.delenv("S3_BUCKET")
    visitor = create_app().test_client()
    visitor.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    answer = visitor.post("/report", data={"title": "Figures", "pages": "3"})
    job = finished(visitor, answer)

    assert "worker.services.NotConfigured" == job["error"]["type"]
    assert job["error"]["message"].startswith("S3 is not set up: set ")


def test_stand_ins_are_named_on_every_page(browser: FlaskClient) -> None:
    """Nobody waits for a mail that a catcher has."""
    for path in ("/", "/outbox", "/nothing"):
        page = browser.get(path).text
        assert "Stand-in for Mailjet" in page
        assert "Stand-in for S3" in page


def test_there_is_no_outbox_without_the_catcher(
    services: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real mail is nobody else's to read."""
    from app import create_app

    monkeypatch.delenv("MAILJET_API_URL")
    visitor = create_app().test_client()

    assert 404 == visitor.get("/outbox").status_code
    assert 404 == visitor.get("/outbox.json").status_code


def test_the_health_check_asks_nobody(services: dict[str, str]) -> None:
    """It runs every half a minute, and each Redis command is billed."""
    from app import create_app

    assert {"status": "ok"} == create_app().test_client().get("/healthz").get_json()
