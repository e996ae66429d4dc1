"""One mail through Mailjet's Send API v3.1, with its refusals sorted in two.

What the provider will never take (4xx) is `MailRefused`; what it may take later (429,
5xx, no answer) is `MailTemporarilyRefused`, the one worth another attempt.
"""

# ruff: noqa: PLC0415 - a machine loads only what its task needs
from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from mailjet_rest import Client
    from mailjet_rest.errors import ApiError

    from worker.services import MailSettings

__all__ = ["MailRefused", "MailTemporarilyRefused", "SentMail", "deliver"]

_TIMEOUT = 20.0


class MailRefused(Exception):
    """The provider will not take this mail; its own words are the message."""


class MailTemporarilyRefused(Exception):
    """The provider cannot take mail now; the same mail may pass later."""


class SentMail(TypedDict):
    """What is left of a mail that the provider accepted."""

    to: str
    message_id: str
    custom_id: str


def deliver(
    settings: MailSettings, *, to: str, subject: str, body: str, custom_id: str
) -> SentMail:
    """Hand one text mail to Mailjet and return what it calls it.

    Args:
        custom_id: Our reference. Mailjet does not refuse one that it has seen: sending
            twice gives two mails, and this is how to recognise them.

    Raises:
        MailRefused: Mailjet answered 4xx.
        MailTemporarilyRefused: Mailjet answered 429 or 5xx, or not at all; in the
            last case it may have taken the mail.
    """
    from mailjet_rest.errors import ApiError

    message = {
        "From": {"Email": settings.sender, "Name": "worker_lib demo"},
        "To": [{"Email": to}],
        "Subject": subject,
        "TextPart": body,
        "CustomID": custom_id,
    }
    with _client(settings) as client:
        try:
            reply = client.send.create(data={"Messages": [message]}, timeout=_TIMEOUT)
        except ApiError as error:
            raise _refusal(error) from error
    recipient = reply.json()["Messages"][0]["To"][0]
    return SentMail(to=to, message_id=str(recipient["MessageID"]), custom_id=custom_id)


def _client(settings: MailSettings) -> Client:
    from mailjet_rest import Client
    from requests.adapters import HTTPAdapter

    client = Client(
        auth=(settings.api_key, settings.secret_key),
        version="v3.1",
        api_url=settings.api_url,
    )
    # The client would send a POST up to three more times by itself, unseen: attempts
    # are the task's, and there they are counted and shown.
    client.session.mount("https://", HTTPAdapter(max_retries=0))
    return client


def _refusal(error: ApiError) -> MailRefused | MailTemporarilyRefused:
    """Return what an answer of the provider means for the mail."""
    response = getattr(error.__cause__, "response", None)
    if response is None:
        return MailTemporarilyRefused(f"Mailjet did not answer: {error}")
    status = int(response.status_code)
    text = f"Mailjet answered {status}: {_provider_message(response.text)}"
    if (
        status == HTTPStatus.TOO_MANY_REQUESTS
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        return MailTemporarilyRefused(text)
    return MailRefused(text)


def _provider_message(body: str) -> str:
    """Return the sentences that Mailjet's error body holds, else its beginning."""
    try:
        reply: Any = json.loads(body)
        if "Messages" not in reply:
            return str(reply["ErrorMessage"])
        errors = [e for message in reply["Messages"] for e in message["Errors"]]
        return " ".join(str(e["ErrorMessage"]) for e in errors)
    except (ValueError, KeyError, TypeError):
        return body[:200]
