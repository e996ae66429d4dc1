"""The routes: each request is let in, answered, and given its headers."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException, NotFound

from worker_lib.client.client import default_client
from worker_lib.dashboard.access import Access, Passwords
from worker_lib.dashboard.acting import Acting
from worker_lib.dashboard.answers import Answers
from worker_lib.dashboard.assets import Assets
from worker_lib.dashboard.cookies import Cookies
from worker_lib.dashboard.csrf import Csrf
from worker_lib.dashboard.headers import add_security_headers
from worker_lib.dashboard.live import Hub, Slots
from worker_lib.dashboard.login import Login
from worker_lib.dashboard.metrics import tell_metrics
from worker_lib.dashboard.registry import Registry
from worker_lib.dashboard.rendering import Templates
from worker_lib.dashboard.visit import Parts, Visit, viewer
from worker_lib.errors import (
    BatchNotFound,
    ConfigError,
    JobNotFound,
    MachineNotFound,
    WorkerLibError,
)
from worker_lib.logs import get_logger
from worker_lib.settings import Settings

__all__ = ["MAX_STREAMS", "make_blueprint"]

if TYPE_CHECKING:
    from worker_lib.dashboard.access import Auth

log = get_logger("dashboard")

MAX_STREAMS = 20
NAME = "worker_lib_dashboard"
_NOT_FOUND = (JobNotFound, BatchNotFound, MachineNotFound)


def make_blueprint(
    auth: Auth | None,
    password: str | None = None,
    read_password: str | None = None,
    *,
    max_streams: int = MAX_STREAMS,
    standalone: bool = False,
    registry: Registry | None = None,
) -> Blueprint:
    """Return the dashboard's blueprint; see `create_dashboard`.

    Args:
        auth: The app's own, or None.
        password: Of the role admin; None: the environment's.
        read_password: Of the role read; None: the environment's.
        max_streams: Pages that change by themselves at the same time.
        standalone: Whether this is the command `worker-lib dashboard`.
        registry: The pages and actions; None: all there are.

    Raises:
        ConfigError: a password cannot be.
    """
    Passwords(password or "", read_password or "")
    passwords = cache(partial(_passwords, password, read_password))
    cookies = Cookies(_secret, lambda: passwords().fingerprint)
    parts = Parts(
        registry=registry or Registry.load(),
        access=Access(auth, passwords, cookies, standalone=standalone),
        cookies=cookies,
        csrf=Csrf(cookies),
        assets=Assets(),
        templates=Templates(),
        hub=Hub(_commands_sent, _sweep),
        slots=Slots(max_streams),
    )
    # Flask's own way to templates and files would mix them with the app's.
    made = Blueprint(NAME, __name__)
    _add_gate(made, parts)
    _add_routes(made, parts)
    _add_errors(made, parts)
    return made


def _passwords(password: str | None, read_password: str | None) -> Passwords:
    settings = Settings.load(
        os.environ,
        dashboard_password=password,
        dashboard_read_password=read_password,
    )
    return Passwords(settings.dashboard_password, settings.dashboard_read_password)


def _secret() -> str:
    return default_client().settings.secret


def _commands_sent() -> int:
    return default_client().store.sent_by_thread


def _sweep() -> int:
    return default_client().sweeper.look_for_viewer()


def _add_gate(made: Blueprint, parts: Parts) -> None:
    login = Login(parts)
    is_open = {"asset", "login_form", "login", "metrics"}

    @made.before_request
    def gate() -> Any:
        endpoint = (request.endpoint or "").rpartition(".")[2]
        return None if endpoint in is_open else login.gate()

    made.after_request(add_security_headers)
    made.add_url_rule("/login", "login_form", login.form)
    made.add_url_rule("/login", "login", login.login, methods=["POST"])
    made.add_url_rule("/logout", "logout", login.logout, methods=["POST"])


def _add_routes(made: Blueprint, parts: Parts) -> None:
    answers, acting = Answers(parts), Acting(parts)
    add = made.add_url_rule

    def asset(version: str, name: str) -> Response:  # noqa: ARG001 - for caches
        return parts.assets.response(request, name)

    add("/assets/<version>/<path:name>", "asset", asset)
    add("/actions/<name>", "act", acting.act, methods=["POST"])
    add("/metrics", "metrics", partial(tell_metrics, parts.access))
    for page in parts.registry.pages.values():
        for kind, end in (
            ("page", ""),
            ("json", ".json"),
            ("part", "/part"),
            ("live", "/live"),
        ):
            view = partial(getattr(answers, kind), page)
            add(f"/{page.path}{end}", f"{page.slug}-{kind}", view)
    for download in parts.registry.downloads.values():
        view = partial(answers.download, download)
        add(f"/{download.rule}", f"{download.slug}-file", view)
    for feed in parts.registry.feeds.values():
        add(f"/{feed.rule}", f"{feed.slug}-feed", partial(answers.feed, feed))
    add("/<path:rest>", "nowhere", _nowhere)
    add("/", "home", partial(answers.page, parts.registry.pages["overview"]))


def _nowhere(rest: str) -> Response:  # noqa: ARG001 - whatever it is
    # Flask asks a blueprint only about addresses that it has.
    raise NotFound("There is no page at this address.")


def _add_errors(made: Blueprint, parts: Parts) -> None:
    def of_library(error: WorkerLibError) -> Response:
        if viewer() is None:  # its settings are nobody's business
            log.error("dashboard_not_set_up", extra={"reason": str(error)})
            text = "The dashboard is not set up correctly: the server's log says how."
            return _trouble(parts, 500, "Not set up", text)
        return _trouble(parts, _status(error), _title(error), str(error))

    def of_http(error: HTTPException) -> Any:
        if error.response is not None or (error.code or 500) < 400:
            return error
        code = error.code or 500
        return _trouble(parts, code, error.name, error.description or "")

    made.register_error_handler(WorkerLibError, of_library)
    made.register_error_handler(HTTPException, of_http)


def _trouble(parts: Parts, status: int, title: str, text: str) -> Response:
    """Return an answer that says what went wrong, to whom may know."""
    if request.path.endswith(".json"):
        response = jsonify(error=text)
        response.status_code = status
        return response
    visit = Visit(parts)
    if visit.wants_part:
        return visit.html("_notice.html", status, kind="bad", text=text)
    return visit.html("error.html", status, title=title, code=status, text=text)


def _status(error: WorkerLibError) -> int:
    if isinstance(error, _NOT_FOUND):
        return 404
    return 400 if isinstance(error, ConfigError) else 503


def _title(error: WorkerLibError) -> str:
    titles = {404: "Not found", 400: "That cannot be"}
    return titles.get(_status(error), "Out of reach at present")
