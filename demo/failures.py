"""What people see when a request cannot be served: one page, one honest sentence.

Programs that asked for JSON get JSON. No traceback ever leaves the server; a job's
own traceback is shown on its page, since there it is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from worker_lib.errors import JobNotFound, PayloadTooLarge, WorkerLibError

if TYPE_CHECKING:
    from flask import Flask, Response

__all__ = ["register_failures"]

_TITLES = {
    403: "That did not come from this site",
    404: "There is no such page",
    405: "That is done with a button here",
    413: "That file is too large",
    429: "One moment, please",
    503: "Not available right now",
}
_SENTENCES = {
    403: "The request was not sent by one of this site's own pages, so nothing was "
    "done. Go back, reload the page, and try again.",
    404: "The address is wrong, or what was there has gone.",
    413: "A picture may have 4 MB. Nothing was stored.",
    429: "That was a lot in one minute; nothing was stored this time. Wait a little, "
    "then send the form again.",
    500: "This is a mistake of the demo itself; its log has the details.",
}
_NO_SUCH_JOB = (
    "No job with this id is known here. Either the address is not complete, or the job "
    "is older than its result is kept (a day), or the Redis it was stored in is gone: "
    "a local stack forgets its jobs when it is deleted."
)


def register_failures(app: Flask) -> None:
    """Give the app a page for each way to fail."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(WorkerLibError, _library)
    app.register_error_handler(JobNotFound, _no_such_job)
    app.register_error_handler(RequestEntityTooLarge, _too_large)


def _http(error: HTTPException) -> tuple[Response | str, int]:
    code = error.code or 500
    given = error.description if code == 503 else None
    return _failure(code, _TITLES.get(code), given or _SENTENCES.get(code))


def _library(error: WorkerLibError) -> tuple[Response | str, int]:
    current_app.logger.error("request_failed: %s", error)
    if isinstance(error, PayloadTooLarge):
        return _failure(413, _TITLES[413], str(error))
    return _failure(503, "Jobs cannot be reached", str(error))


def _no_such_job(_: JobNotFound) -> tuple[Response | str, int]:
    return _failure(404, "No such job", _NO_SUCH_JOB)


def _too_large(_: RequestEntityTooLarge) -> tuple[Response | str, int]:
    return _failure(413, _TITLES[413], _SENTENCES[413])


def _failure(
    code: int, title: str | None, sentence: str | None
) -> tuple[Response | str, int]:
    title = title or "Something went wrong"
    sentence = sentence or "The request could not be served."
    if request.path.endswith(".json"):
        return jsonify(error=sentence), code
    return render_template(
        "failure.html", code=code, title=title, sentence=sentence
    ), code
