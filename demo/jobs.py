"""A job's page, its data, its changes as they happen, and its end by request.

The address leads back to a job from the browser that made it, and from no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    redirect,
    render_template,
    stream_with_context,
    url_for,
)

from demo.ownership import owned_job
from demo.streams import StreamSlots, events
from demo.view import describe
from worker_lib import Job

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as WerkzeugResponse

    from demo.config import DemoConfig
    from demo.lives import Lives
    from worker_lib.job import JobInfo

__all__ = ["jobs"]

# A machine that takes longer has found other work.
_GONE_SECONDS = 20.0

jobs = Blueprint("jobs", __name__, url_prefix="/job")


@jobs.get("/", strict_slashes=False)
def index() -> WerkzeugResponse:
    """Lead to the list of jobs."""
    return redirect(url_for("pages.home", _anchor="recent"), 303)


@jobs.get("/<job_id>")
def page(job_id: str) -> str:
    """Show the job as it is now; the page's script keeps it up to date."""
    job = _get(job_id)
    return render_template("job.html", job=_describe(job, job.info()))


@jobs.get("/<job_id>.json")
def data(job_id: str) -> Response:
    """Return the job as it is now, with the panel of its page under `html`."""
    job = _get(job_id)
    return jsonify(_document(job, job.info()))


@jobs.get("/<job_id>/events")
def stream(job_id: str) -> Response:
    """Stream the job's changes for a minute, or 503 if too many are watching."""
    job = _get(job_id)
    slots: StreamSlots = current_app.extensions["demo_streams"]
    give_back = slots.take()
    if give_back is None:
        return Response(
            "Too many streams; ask for .json.\n", 503, mimetype="text/plain"
        )
    body = stream_with_context(events(job, lambda info: _document(job, info), _settle))
    response = Response(body, mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(give_back)
    return response


@jobs.get("/<job_id>/cancel")
def cancelled(job_id: str) -> WerkzeugResponse:
    """Lead who asks for the button's own address to the job."""
    return redirect(url_for("jobs.page", job_id=_get(job_id).id), 303)


@jobs.post("/<job_id>/cancel")
def cancel(job_id: str) -> WerkzeugResponse:
    """Cancel the job if it is not final, and go back to its page."""
    _get(job_id).cancel()
    return redirect(url_for("jobs.page", job_id=job_id), 303)


def _get(job_id: str) -> Job[Any]:
    """Return a job of the browser that asks; no other is looked up."""
    return Job.get(owned_job(job_id).id)


def _document(job: Job[Any], info: JobInfo) -> dict[str, Any]:
    description = _describe(job, info)
    return {**description, "html": render_template("_panel.html", job=description)}


def _describe(job: Job[Any], info: JobInfo) -> dict[str, Any]:
    config: DemoConfig = current_app.extensions["demo_config"]
    about = owned_job(job.id).about
    return describe(job, info, about, _lives(), public=config.public)


def _settle(info: JobInfo) -> None:
    """Wait for the machine of a final job to be gone."""
    _lives().find(info.attempts[-1].machine_id, gone_within=_GONE_SECONDS)


def _lives() -> Lives:
    lives: Lives = current_app.extensions["demo_lives"]
    return lives
