"""Whose a job is: the browser's that made it.

A browser gets a signed cookie for each of its jobs, which also says what the job is
about: recipients and titles are nowhere but in the job itself and in the browser that
wrote them. Without the cookie there is no such job: no page, no result, no button. One
cookie for each, so that forms sent at the same time do not undo each other.

Cookies are signed with the app's secret key. Under a new key no browser has any job.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from worker_lib.errors import JobNotFound

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

__all__ = ["Owned", "cookie_for", "give", "owned_job", "owned_jobs"]

# A job's result is kept for a day, and it may wait before.
_COOKIE_SECONDS = 2 * 24 * 3600
_MAX_JOBS = 24
_MAX_ABOUT = 60
_PREFIX = "job-"


class Owned(NamedTuple):
    """A job of this browser.

    Attributes:
        made_at: Seconds since the epoch by this server's clock, for the order only.
        about: What it is about, such as `to me@example.com`.
    """

    made_at: float
    id: str
    about: str


def give(response: Response, job_id: str, about: str) -> None:
    """Make this browser the job's owner; of 24 older ones it loses the oldest."""
    config = current_app.config
    response.set_cookie(
        *cookie_for(job_id, about),
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=bool(config["SESSION_COOKIE_SECURE"]),
    )
    for name in _superfluous():
        response.delete_cookie(name)


def cookie_for(job_id: str, about: str) -> tuple[str, str]:
    """Return name and value of the cookie that makes a browser the job's owner."""
    value = _signer().dumps([round(time.time(), 3), job_id, about[:_MAX_ABOUT]])
    return f"{_PREFIX}{job_id}", value if isinstance(value, str) else value.decode()


def owned_jobs() -> list[Owned]:
    """Return the jobs of the browser that asks, newest first."""
    found = [_read(request.cookies[name]) for name in _names()]
    return sorted((one for one in found if one), reverse=True)


def owned_job(job_id: str) -> Owned:
    """Return one job of the browser that asks.

    Raises:
        JobNotFound: it is another browser's, or nobody's; which of them is not told.
    """
    owned = _read(request.cookies.get(f"{_PREFIX}{job_id}", ""))
    if owned is None or owned.id != job_id:
        raise JobNotFound(f"job {job_id} is not this browser's", job_id=job_id)
    return owned


def _names() -> list[str]:
    return [name for name in request.cookies if name.startswith(_PREFIX)]


def _superfluous() -> list[str]:
    """Return the cookies that must make room for one more.

    Those of another key are left alone for a while: cookies do not tell ports apart,
    and another demo may run on this computer.
    """
    kept = [f"{_PREFIX}{owned.id}" for owned in owned_jobs()[: _MAX_JOBS - 1]]
    names = _names()
    if len(names) > 2 * _MAX_JOBS:
        return [name for name in names if name not in kept]
    return [f"{_PREFIX}{owned.id}" for owned in owned_jobs()[_MAX_JOBS - 1 :]]


def _read(value: str) -> Owned | None:
    try:
        return Owned(*_signer().loads(value, max_age=_COOKIE_SECONDS))
    except BadSignature:
        return None


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="demo.ownership")
