"""What people see when a request cannot be served: one page, one honest sentence.

Programs that asked for JSON get JSON. No traceback of the server ever leaves it. A
job's own traceback is shown on its page, where it is the answer, but not in public:
it names the paths of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from worker_lib.errors import JobNotFound, PayloadTooLarge, WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask, Response

    from demo.config import DemoConfig

__all__ = ["register_failures"]

_TITLES = {
    403: "That did not come from this site",
    404: "There is no such page",
    405: "That is done with a button here",
    413: "That file is too large",
    421: "This is not the host you asked for",
    429: "One moment, please",
    503: "Not available right now",
}
_SENTENCES = {
    403: "The request was not sent by one of this site's own pages, so nothing was "
    "done. Go back, reload the page, and try again.",
    404: "The address is wrong, or what was there has gone.",
    405: "Nothing was done: this address takes no such request.",
    413: "A picture may have 4 MB. Nothing was stored.",
    421: "The request names a host that this app does not answer for. If it should, "
    "its owner adds the name to DEMO_HOSTS.",
    429: "That was a lot in one minute; nothing was stored this time. Send the form "
    "again in {seconds} s.",
    500: "This is a mistake of the demo itself; its log has the details.",
}
_KEPT_HEADERS = frozenset({"Allow", "Retry-After"})
_NO_SUCH_JOB = (
    "This browser has no job with this id. Either the address is not complete, or the "
    "job was made in another browser, which alone can see it, or it is older than its "
    "result is kept (a day), or the app was started anew with another secret key."
)


_NOT_PUBLIC = (
    "Something that jobs need cannot be reached, or is not set up. The app's log says "
    "what; try again in a while."
)


def register_failures(app: Flask) -> None:
    """Give the app a page for each way to fail."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(WorkerLibError, _library)
    app.register_error_handler(JobNotFound, _no_such_job)


def _http(error: HTTPException) -> Response:
    code = error.code or 500
    headers = {
        name: value
        for name, value in error.get_headers(request.environ)
        if name in _KEPT_HEADERS
    }
    given = error.description if code == 503 else None
    sentence = given or _SENTENCES.get(code, "The request could not be served.")
    sentence = sentence.format(seconds=headers.get("Retry-After", ""))
    return _failure(code, _TITLES.get(code, "Something went wrong"), sentence, headers)


def _library(error: WorkerLibError) -> Response:
    current_app.logger.error("request_failed: %s", error)
    if isinstance(error, PayloadTooLarge):
        return _failure(413, _TITLES[413], str(error))
    config: DemoConfig = current_app.extensions["demo_config"]
    sentence = _NOT_PUBLIC if config.public else str(error)
    return _failure(503, "Jobs cannot be reached", sentence)


def _no_such_job(_: JobNotFound) -> Response:
    return _failure(404, "No such job", _NO_SUCH_JOB)


def _failure(
    code: int, title: str, sentence: str, headers: Mapping[str, str] | None = None
) -> Response:
    if request.path.endswith(".json"):
        answer = jsonify(error=sentence)
    else:
        page = render_template(
            "failure.html", code=code, title=title, sentence=sentence
        )
        answer = current_app.make_response(page)
    answer.status_code = code
    answer.headers.update(headers or {})
    return answer
