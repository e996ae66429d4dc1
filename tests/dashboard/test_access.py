"""Who may look and who may act: nobody, until somebody was named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from werkzeug.security import generate_password_hash

from worker_lib.dashboard import Viewer, create_dashboard
from worker_lib.dashboard.access import Passwords, Throttle
from worker_lib.dashboard.blueprint import make_blueprint
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from worker_lib.client.client import Client

PASSWORD = "open sesame"
PAGES = ("/jobs/", "/jobs/overview", "/jobs/overview/part", "/jobs/overview/live")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app has a Redis of its own, as in production."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_let_in_unless_somebody_was_named(
    make_browser: Callable[..., FlaskClient], path: str
) -> None:
    """The page says how to open it, and nothing else."""
    page = make_browser().get(path)

    assert 403 == page.status_code
    assert "WORKER_LIB_DASHBOARD_PASSWORD" in page.text
    assert "Overview" not in page.text


@pytest.mark.usefixtures("away")
def test_programs_are_told_as_json(make_browser: Callable[..., FlaskClient]) -> None:
    answer = make_browser().get("/jobs/overview.json")

    assert 403 == answer.status_code
    assert {"error"} == set(answer.get_json())


def test_auth_of_the_app_says_who_comes(
    make_browser: Callable[..., FlaskClient],
) -> None:
    """It gets the request, and its word alone counts."""
    asked: list[str] = []

    def auth(request: Any) -> Any:
        asked.append(request.path)
        return Viewer("admin", "Ada") if "good" in request.args else None

    browser = make_browser(auth)

    assert "Ada" in browser.get("/jobs/?good=1").text
    assert 403 == browser.get("/jobs/").status_code
    assert ["/jobs/", "/jobs/"] == asked


def test_auth_that_returns_something_else_lets_nobody_in(
    make_browser: Callable[..., FlaskClient], caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake there is told in the log, not to whoever comes."""
    page = make_browser(lambda _request: True).get("/jobs/")

    assert 500 == page.status_code
    assert "bool" not in page.text
    assert 'return "admin"' in caplog.records[-1].__dict__["reason"]


@pytest.mark.parametrize("known", [PASSWORD, generate_password_hash(PASSWORD)])
def test_a_password_opens_it_for_as_long_as_the_browser_runs(
    make_browser: Callable[..., FlaskClient], known: str
) -> None:
    """The page asks for it, and then leads to where one wanted to go."""
    browser = make_browser(password=known)
    asked = browser.get("/jobs/overview?window=24h")
    form = browser.get(asked.location)
    wrong = browser.post("/jobs/login", data={"password": "open sesam"})
    right = browser.post(
        "/jobs/login",
        data={
            "password": PASSWORD,
            "name": "Ada",
            "goto": "/jobs/overview?window=24h",
        },
    )

    assert 303 == asked.status_code
    assert 'type="password"' in form.text
    assert "/jobs/overview?window=24h" in form.text
    assert 401 == wrong.status_code
    assert "/jobs/overview?window=24h" == right.location
    assert "HttpOnly" in right.headers["Set-Cookie"]
    assert "Ada" in browser.get(right.location).text


def test_logging_out_forgets_who_it_was(
    make_browser: Callable[..., FlaskClient],
) -> None:
    browser = make_browser(password=PASSWORD)
    browser.post("/jobs/login", data={"password": PASSWORD})
    before = browser.get("/jobs/").status_code
    browser.post("/jobs/logout")

    assert (200, 303) == (before, browser.get("/jobs/").status_code)


def test_another_password_ends_every_session(
    make_browser: Callable[..., FlaskClient],
) -> None:
    browser = make_browser(password=PASSWORD)
    browser.post("/jobs/login", data={"password": PASSWORD})
    session = browser.get_cookie("worker_lib_session", path="/jobs/")
    other = make_browser(password="another one")
    assert session is not None
    other.set_cookie("worker_lib_session", session.value, path="/jobs/")

    assert 303 == other.get("/jobs/").status_code


def test_a_forged_session_is_none(make_browser: Callable[..., FlaskClient]) -> None:
    browser = make_browser(password=PASSWORD)
    browser.set_cookie(
        "worker_lib_session", "WyJhZG1pbiIsICJBZGEiXQ.x.y", path="/jobs/"
    )

    assert 303 == browser.get("/jobs/").status_code


def test_the_environment_may_hold_the_passwords(
    make_browser: Callable[..., FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for who may do everything, another for who may look."""
    monkeypatch.setenv("WORKER_LIB_DASHBOARD_PASSWORD", PASSWORD)
    monkeypatch.setenv("WORKER_LIB_DASHBOARD_READ_PASSWORD", "only look")
    browser = make_browser()
    roles = {
        word: browser.get("/jobs/", auth=("ada", word)).text.count("may look")
        for word in (PASSWORD, "only look")
    }

    assert {PASSWORD: 0, "only look": 1} == roles


def test_programs_use_basic_authentication(
    make_browser: Callable[..., FlaskClient],
) -> None:
    browser = make_browser(password=PASSWORD)
    refused = browser.get("/jobs/overview.json")
    taken = browser.get("/jobs/overview.json", auth=("ada", PASSWORD))

    assert (401, 200) == (refused.status_code, taken.status_code)
    assert "Basic" in refused.headers["WWW-Authenticate"]


def test_who_guesses_has_to_wait(make_browser: Callable[..., FlaskClient]) -> None:
    """After five wrong passwords the right one is not looked at for a while."""
    browser = make_browser(password=PASSWORD)
    answers = [
        browser.post("/jobs/login", data={"password": word}).status_code
        for word in ("a", "b", "c", "d", "e", PASSWORD)
    ]
    basic = browser.get("/jobs/overview.json", auth=("ada", PASSWORD))

    assert [401] * 5 + [429] == answers
    assert 401 == basic.status_code


def test_waiting_ends_after_a_minute() -> None:
    now = [0.0]
    throttle = Throttle(each=2, everyone=3, window=60.0, clock=lambda: now[0])
    throttle.failed("a")
    now[0] = 10.0
    throttle.failed("a")

    assert 50.0 == throttle.wait("a")
    assert 0.0 == throttle.wait("b")
    throttle.failed("b")
    assert 50.0 == throttle.wait("c"), "all together"
    now[0] = 60.0
    assert 0.0 == throttle.wait("a")


@pytest.mark.parametrize("text", ["short", "scrypt:x$y$z"])
def test_a_password_that_cannot_be_is_refused_at_once(text: str) -> None:
    """The message does not show it."""
    with pytest.raises(ConfigError) as refusal:
        create_dashboard(password=text)

    assert text not in str(refusal.value).replace("too short", "")


def test_no_password_is_no_way_in() -> None:
    """The empty one is not one that everybody knows."""
    assert Passwords("", "only look").role("") is None
    assert not Passwords()


@pytest.fixture
def standalone(client: Client, browser_of: Callable[[Flask], FlaskClient]) -> Any:
    """A browser at the command `worker-lib dashboard`."""
    app = Flask(__name__)
    app.register_blueprint(make_blueprint(None, standalone=True))
    return browser_of(app)


def test_the_command_is_open_at_this_computer(standalone: FlaskClient) -> None:
    page = standalone.get("/", base_url="http://127.0.0.1:9191")

    assert 200 == page.status_code
    assert "this computer" in page.text


@pytest.mark.parametrize(
    ("host", "peer", "headers"),
    [
        ("127.0.0.1", "10.0.0.7", {}),
        ("jobs.example.org", "127.0.0.1", {}),
        ("127.0.0.1.example.org", "127.0.0.1", {}),
        ("localhost", "127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}),
        ("localhost", "127.0.0.1", {"Forwarded": "for=10.0.0.7"}),
        ("localhost", "127.0.0.1", {"Fly-Client-IP": "10.0.0.7"}),
    ],
)
def test_the_command_is_locked_to_all_others(
    standalone: FlaskClient, host: str, peer: str, headers: dict[str, str]
) -> None:
    """Another computer, a proxy, or a name that leads here (DNS rebinding)."""
    page = standalone.get(
        "/",
        base_url=f"http://{host}",
        environ_overrides={"REMOTE_ADDR": peer},
        headers=headers,
    )

    assert 403 == page.status_code


def test_the_command_is_locked_on_fly(
    standalone: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLY_APP_NAME", "jobs")

    assert 403 == standalone.get("/", base_url="http://127.0.0.1").status_code


def test_an_app_opens_by_itself_only_in_the_local_stack(
    make_browser: Callable[..., FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with a Redis of its own, wherever the browser is."""
    browser = make_browser()
    local = browser.get("/jobs/", base_url="http://127.0.0.1").status_code
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    remote = make_browser().get("/jobs/", base_url="http://127.0.0.1").status_code

    assert (200, 403) == (local, remote)
