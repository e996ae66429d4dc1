"""A mail catcher that speaks Mailjet's Send API v3.1 on loopback.

`POST /v3.1/send` checks a message and answers as Mailjet does; what is accepted is
kept in memory and listed by `GET /outbox.json`, newest first. Nothing is ever sent.

To see how failures look, write to a name that asks for one, at any domain:
`fail-400@` is refused for good, `fail-429@` and `fail-503@` as often as they are tried,
`busy-2@` twice with 429 and then accepted.
"""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import re
import threading
import time
import uuid
from collections import Counter, deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from email_validator import EmailNotValidError, validate_email

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["MailCatcher"]

_KEPT = 200
_MAX_BODY = 15 * 1024 * 1024  # Mailjet's limit of a message
_ALWAYS_FAILS = re.compile(r"fail-([45]\d\d)@")
_FAILS_AT_FIRST = re.compile(r"busy-(\d)@")


class MailCatcher:
    """The server; a context manager that runs it on a free port of 127.0.0.1."""

    def __init__(self, *, api_key: str, secret_key: str) -> None:
        self._credentials = f"{api_key}:{secret_key}"
        self._outbox: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._tries: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Base URL, for `MAILJET_API_URL`."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def outbox(self) -> list[dict[str, Any]]:
        """Return the accepted mails, newest first."""
        return list(reversed(self._outbox))

    def send(
        self, authorization: str, body: bytes
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        """Return status and answer to one request to send."""
        expected = base64.b64encode(self._credentials.encode()).decode()
        if not hmac.compare_digest(authorization, f"Basic {expected}"):
            return _refused(
                HTTPStatus.UNAUTHORIZED, "API key authentication/authorization failure."
            )
        messages = _messages(body)
        if not messages:
            return _refused(HTTPStatus.BAD_REQUEST, "Malformed JSON or no Messages.")
        if status := self._asked_to_fail(messages[0]):
            return _refused(status, f"{status.phrase}: you asked for this failure.")
        replies = [self._answer(message) for message in messages]
        failed = any(reply["Status"] == "error" for reply in replies)
        status = HTTPStatus.BAD_REQUEST if failed else HTTPStatus.OK
        return status, {"Messages": replies}

    def _asked_to_fail(self, message: dict[str, Any]) -> HTTPStatus | None:
        """Return the status that the first recipient's name asks for, if it does."""
        recipients = json.dumps(message.get("To"))
        if always := _ALWAYS_FAILS.search(recipients):
            code = int(always[1])
            known = any(code == status for status in HTTPStatus)
            return HTTPStatus(code) if known else HTTPStatus.BAD_REQUEST
        at_first = _FAILS_AT_FIRST.search(recipients)
        if at_first is None:
            return None
        reference = str(message.get("CustomID"))
        self._tries[reference] += 1
        if self._tries[reference] > int(at_first[1]):
            return None
        return HTTPStatus.TOO_MANY_REQUESTS

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Keep one message, or say what is wrong with it."""
        errors = list(_problems(message))
        if errors:
            return {"Status": "error", "Errors": errors}
        self._outbox.append({**message, "ReceivedAt": time.time()})
        return {
            "Status": "success",
            "CustomID": message.get("CustomID", ""),
            "To": [self._receipt(one["Email"]) for one in message["To"]],
            "Cc": [],
            "Bcc": [],
        }

    def _receipt(self, address: str) -> dict[str, Any]:
        number = 10**17 + next(self._numbers)
        return {
            "Email": address,
            "MessageUUID": str(uuid.uuid4()),
            "MessageID": number,
            "MessageHref": f"{self.url}v3/REST/message/{number}",
        }


def _messages(body: bytes) -> list[dict[str, Any]]:
    try:
        messages = json.loads(body)["Messages"]
    except (ValueError, KeyError, TypeError):
        return []
    if not isinstance(messages, list):
        return []
    return [message for message in messages if isinstance(message, dict)]


def _problems(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what Mailjet would not accept of one message."""
    if not message.get("Subject"):
        yield _error("mj-0003", '"Subject" is mandatory but missing.', "Subject")
    if not (message.get("TextPart") or message.get("HTMLPart")):
        text = 'At least "HTMLPart", "TextPart" or "TemplateID" must be provided.'
        yield _error("send-0003", text, "HTMLPart", "TemplateID", "TextPart")
    sender, recipients = message.get("From"), message.get("To")
    if not recipients or not isinstance(recipients, list):
        yield _error("mj-0003", '"To" is mandatory but missing.', "To")
        recipients = []
    for number, one in enumerate([sender, *recipients]):
        field = f"To[{number - 1}].Email" if number else "From.Email"
        address = one.get("Email") if isinstance(one, dict) else None
        if not _is_address(address):
            text = f'"{address}" is an invalid email address.'
            yield _error("mj-0013", text, field)


def _is_address(address: object) -> bool:
    try:
        validate_email(str(address), check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def _error(code: str, text: str, *related: str) -> dict[str, Any]:
    return {
        "ErrorIdentifier": str(uuid.uuid4()),
        "ErrorCode": code,
        "StatusCode": int(HTTPStatus.BAD_REQUEST),
        "ErrorMessage": text,
        "ErrorRelatedTo": list(related),
    }


def _refused(status: HTTPStatus, text: str) -> tuple[HTTPStatus, dict[str, Any]]:
    """Return an answer about the request as a whole, not about one message."""
    return status, {
        "ErrorIdentifier": str(uuid.uuid4()),
        "StatusCode": int(status),
        "ErrorMessage": text,
    }


def _handler(catcher: MailCatcher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path != "/v3.1/send":
                self._reply(*_refused(HTTPStatus.NOT_FOUND, "No such resource."))
                return
            length = int(self.headers.get("Content-Length") or 0)
            if length > _MAX_BODY:
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                self._reply(*_refused(status, "More than 15 MB."))
                return
            authorization = self.headers.get("Authorization", "")
            self._reply(*catcher.send(authorization, self.rfile.read(length)))

        def do_GET(self) -> None:
            if self.path == "/outbox.json":
                self._reply(HTTPStatus.OK, {"messages": catcher.outbox()})
                return
            self._reply(*_refused(HTTPStatus.NOT_FOUND, "No such resource."))

        def _reply(self, status: HTTPStatus, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay silent: the outbox page shows what came in."""

    return Handler
