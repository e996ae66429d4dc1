"""The Flask demo: three forms, each of which hands slow work to a machine.

python -m demo.serve            # with stand-ins for what has no credentials
python -m demo.server          # the same without, as in the image
"""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import TYPE_CHECKING

from flask import Flask, request, url_for

from demo import filters
from demo.config import DemoConfig
from demo.failures import register_failures
from demo.forms import MAX_BODY, MAX_LINE
from demo.guard import (
    RateLimit,
    add_security_headers,
    csrf_token,
    refuse_forged,
    refuse_other_hosts,
)
from demo.jobs import jobs
from demo.lives import Lives
from demo.pages import pages
from demo.server import THREADS
from demo.streams import StreamSlots
from demo.view import place_of
from worker.reports import MAX_PAGES
from worker_lib.dashboard import create_dashboard

if TYPE_CHECKING:
    from flask import Response

__all__ = ["create_app"]

access_log = logging.getLogger("demo.access")

MAX_UPLOAD = 4 * 1024 * 1024
_MAILS_PER_MINUTE = 5
_OTHER_JOBS_PER_MINUTE = 20
_ASKED_BY_PROGRAMS = frozenset({"pages.healthz", "pages.tell_metrics"})
# Each stream holds one of the server's threads; half of those are for pages.
_STREAMS, _DASHBOARD_STREAMS = THREADS // 4, THREADS // 4


def create_app() -> Flask:
    """Return the app, set up from the environment.

    Credentials that are missing are shown on every page; they are no reason not to
    start.

    Raises:
        ConfigError: a list in the environment holds what cannot be meant.
    """
    config = DemoConfig.load(os.environ)
    app = Flask(__name__, template_folder="demo/templates", static_folder="demo/static")
    # An address with a job's id left out is wrong, not another address.
    app.url_map.merge_slashes = False
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_UPLOAD,
        SECRET_KEY=config.secret_key,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=config.on_fly,
    )
    app.extensions["demo_config"] = config
    app.extensions["demo_streams"] = StreamSlots(_STREAMS)
    app.extensions["demo_lives"] = Lives()
    app.extensions["demo_limits"] = {
        "mail": RateLimit(_MAILS_PER_MINUTE, 60.0),
        "work": RateLimit(_OTHER_JOBS_PER_MINUTE, 60.0),
    }
    dashboard = create_dashboard(max_streams=_DASHBOARD_STREAMS)
    _guard(app, config, dashboard.name)
    _teach_templates(app, config)
    app.register_blueprint(pages)
    app.register_blueprint(jobs)
    app.register_blueprint(dashboard, url_prefix="/jobs")
    _link_dashboard(app, config, dashboard.name)
    register_failures(app)
    return app


def _guard(app: Flask, config: DemoConfig, dashboard: str) -> None:
    def is_ours() -> bool:
        """Say whether a page of the demo answers: the dashboard has its own rules."""
        return request.blueprint != dashboard

    app.before_request(lambda: refuse_other_hosts(config.hosts))
    app.before_request(lambda: refuse_forged() if is_ours() else None)

    @app.after_request
    def note(response: Response) -> Response:
        if request.endpoint not in _ASKED_BY_PROGRAMS:
            # Quoted, so that a line break in an address does not make two lines.
            access_log.info(
                "%s %r %s", request.method, request.path, response.status_code
            )
        return response

    @app.after_request
    def secure(response: Response) -> Response:
        if is_ours():
            add_security_headers(response, config.files_origin)
        return response


def _link_dashboard(app: Flask, config: DemoConfig, dashboard: str) -> None:
    """Have pages link to the dashboard, where somebody may open it."""
    has_password = bool(os.environ.get("WORKER_LIB_DASHBOARD_PASSWORD"))
    pages_of_jobs = f"{dashboard}.job-page"

    def link(job_id: str = "") -> str:
        if config.public and not has_password:
            return ""
        if job_id and pages_of_jobs in app.view_functions:
            return url_for(pages_of_jobs, id=job_id)
        return url_for(f"{dashboard}.home")

    app.jinja_env.globals.update(dashboard_link=link)


def _teach_templates(app: Flask, config: DemoConfig) -> None:
    app.jinja_env.globals.update(
        csrf_token=csrf_token,
        services=config.services,
        has_outbox=bool(config.outbox_url),
        mail_is_off=not config.recipients,
        fly_bills=config.fly_bills,
        max_upload=MAX_UPLOAD,
        max_line=MAX_LINE,
        max_body=MAX_BODY,
        max_pages=MAX_PAGES,
    )
    app.jinja_env.filters.update(place=lambda url: place_of(url, config.files_origin))
    app.jinja_env.filters.update(
        {name: getattr(filters, name) for name in filters.__all__}
    )


@cache
def _app() -> Flask:
    return create_app()


def __getattr__(name: str) -> Flask:
    """Return the app for `app:app`, made when it is first asked for."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
