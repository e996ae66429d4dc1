"""The home page with its forms, what happens when they are sent, and the outbox.

Sending a form stores a job and leads to its page at once; no request waits for a
machine.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.error import URLError
from urllib.request import urlopen

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.exceptions import TooManyRequests

from demo.forms import FormRefused, read_mail, read_picture, read_report
from demo.ownership import give, owned_jobs
from demo.view import describe_briefly
from worker.tasks import make_report, resize_image, send_email
from worker_lib.client.inspection import find_jobs
from worker_lib.metrics import Answer, answer

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as WerkzeugResponse

    from demo.config import DemoConfig
    from demo.guard import RateLimit
    from worker_lib import Job
    from worker_lib.task import Task

__all__ = ["pages"]

P = ParamSpec("P")
R = TypeVar("R")

pages = Blueprint("pages", __name__)

_SHOWN_JOBS = 12


@pages.get("/")
def home() -> str:
    """Show the forms and the latest jobs of this browser."""
    return _home({}, {})


@pages.post("/mail")
def mail() -> WerkzeugResponse:
    """Store a job that sends a mail, and go to its page."""
    order = read_mail(request.form, _config().recipients)
    _spend("mail")
    job = _here(send_email).delay(order.to, order.subject, order.body)
    return _to_page_of(job, f"to {order.to}")


@pages.post("/picture")
def picture() -> WerkzeugResponse:
    """Store a job that resizes a picture, and go to its page."""
    order = read_picture(request.files.get("picture"))
    _spend("work")
    job = _here(resize_image).delay(order.data, order.filename)
    return _to_page_of(job, order.filename)


@pages.post("/report")
def report() -> WerkzeugResponse:
    """Store a job that makes a report, and go to its page."""
    order = read_report(request.form)
    _spend("work")
    job = _here(make_report).delay(order.title, order.pages)
    pages = "1 page" if order.pages == 1 else f"{order.pages} pages"
    return _to_page_of(job, f"{pages}, {order.title}")


@pages.get("/mail")
@pages.get("/picture")
@pages.get("/report")
def form() -> WerkzeugResponse:
    """Lead who asks for a form's own address, as after a bad form, to the form."""
    return redirect(url_for("pages.home", _anchor=request.path.strip("/")), 303)


@pages.get("/outbox")
def outbox() -> str:
    """Show what the mail catcher caught of this browser's jobs.

    There is no such page without the catcher.
    """
    if not _config().outbox_url:
        abort(404)
    return render_template("outbox.html", mails=_caught())


@pages.get("/outbox.json")
def outbox_json() -> Response:
    """Return the same for programs."""
    if not _config().outbox_url:
        abort(404)
    return jsonify(messages=_caught())


@pages.get("/healthz")
def healthz() -> Response:
    """Say that this process answers; asks nobody, so it costs nothing."""
    return jsonify(status="ok")


@pages.get("/metrics")
def tell_metrics() -> Answer:
    """Tell Prometheus what was counted, if it has the token."""
    return answer(request.environ)


@pages.errorhandler(FormRefused)
def form_refused(error: FormRefused) -> tuple[str, int]:
    """Show the form again, with what was written and what is wrong."""
    return _home(request.form.to_dict(), error.problems), 400


def _home(values: dict[str, str], problems: dict[str, str]) -> str:
    about = {owned.id: owned.about for owned in owned_jobs()[:_SHOWN_JOBS]}
    found = find_jobs([*about])
    jobs = [describe_briefly(info, about[info.id]) for info in found]
    return render_template("home.html", jobs=jobs, values=values, problems=problems)


def _here(task: Task[P, R]) -> Task[P, R]:
    """Return the task with what its machine needs to reach this run's stand-ins."""
    return task.options(env=_config().machine_env)


def _to_page_of(job: Job[Any], about: str) -> WerkzeugResponse:
    """Make this browser the job's owner and lead it to the job's page."""
    answer = redirect(url_for("jobs.page", job_id=job.id), 303)
    give(answer, job.id, about)
    return answer


def _spend(budget: str) -> None:
    """Count this request against its client's budget; end it if that is used up."""
    limits: dict[str, RateLimit] = current_app.extensions["demo_limits"]
    client = request.remote_addr or "unknown"
    if _config().on_fly:
        client = request.headers.get("Fly-Client-IP", client)
    if wait := limits[budget].take(client):
        raise TooManyRequests(retry_after=math.ceil(wait))


def _caught() -> list[dict[str, Any]]:
    try:
        with urlopen(_config().outbox_url, timeout=5) as reply:  # noqa: S310
            messages: list[dict[str, Any]] = json.load(reply)["messages"]
    except URLError:
        abort(503, "The mail catcher has stopped; start the demo again.")
    mine = {owned.id for owned in owned_jobs()}
    return [one for one in messages if one.get("CustomID") in mine]


def _config() -> DemoConfig:
    config: DemoConfig = current_app.extensions["demo_config"]
    return config
