"""What a refusal of the Machines API means, and what to do about it.

Pure: a call and what came back go in, one error of `worker_lib.errors` comes out.
Its class says which status it was; its `refusal` says what a program should do,
and for that the words of the answer decide where the status alone cannot: one 409
is a name clash, the next a full host.

No message repeats what was sent. Fly's own words are repeated, shortened, and with
every secret of the call blanked out should Fly quote it.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from worker_lib.errors import (
    ApiUnavailable,
    InvalidRequest,
    MachineConflict,
    MachineNotFound,
    MachinesApiError,
    RateLimited,
    Unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.errors import Refusal

__all__ = ["Call", "existing_machine_id", "refused", "unanswered", "unreadable"]

_WORDS_LIMIT: Final = 300
_CODE: Final = re.compile(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)*): ")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]{0,60}")
_NAME_CLASH: Final = re.compile(
    r"unique machine name violation, machine ID ([0-9a-f]+) already exists"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an error may know of a call.

    Attributes:
        method: HTTP verb.
        path: Path without host and query.
        idempotent: Sending it twice does what sending it once does.
        secrets: What must not show up in an error even if Fly quotes it.
    """

    method: str
    path: str
    idempotent: bool
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def unsure(self) -> Refusal:
        """What to do when it may or may not have been done."""
        return "retry" if self.idempotent else "ambiguous"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What an answer means: when it applies, what to do, said for a person."""

    refusal: Refusal
    remedy: str
    status: int = 0
    words: re.Pattern[str] = re.compile("")

    def covers(self, status: int, words: str) -> bool:
        return self.status in (0, status) and self.words.search(words) is not None


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


# The first that covers an answer holds; what Fly says goes before its status.
# Sources: fly-go flaps/flaps_error.go for `insufficient_...` and `no capacity`;
# flyctl pull requests 2060 (payment) and 2329 (guest). Quota, no
# candidate host and lease texts were seen live by third parties: unofficial.
_MEANINGS: Final = (
    _Meaning(
        refusal="person",
        remedy="add a payment method to the organization in Fly's dashboard",
        words=_words("add a payment method"),
    ),
    _Meaning(
        refusal="next_region",
        remedy="its quota there is used up: use another region or ask Fly for more",
        words=_words("over the allowed quota"),
    ),
    _Meaning(
        refusal="next_size",
        remedy="Fly does not sell this size: choose another machine or memory_mb",
        words=_words(r"invalid config\.guest", "invalid memory size"),
    ),
    _Meaning(
        refusal="next_region",
        remedy="no room for this machine there: use another region",
        words=_words(
            "insufficient_capacity",
            "could not find a candidate host",
            r"insufficient (CPUs|memory|IPs|resources) available",
            "no capacity",
        ),
    ),
    _Meaning(
        refusal="ambiguous",
        remedy="look the machine up by its name and adopt it",
        words=_words("already_exists", "unique machine name violation"),
    ),
    _Meaning(
        refusal="retry",
        remedy="somebody else is changing this machine: try again when they are done",
        words=_words("lease currently held"),
    ),
    _Meaning(
        status=401,
        refusal="person",
        remedy="check FLY_API_TOKEN: it is wrong, expired or revoked",
    ),
    _Meaning(
        status=403,
        refusal="person",
        remedy="check FLY_API_TOKEN and the app: this token may not do this to it",
    ),
    _Meaning(
        status=404,
        refusal="person",
        remedy="it does not exist, exists no more, or is too new to be seen yet",
    ),
    _Meaning(status=409, refusal="retry", remedy="try again in a moment"),
    _Meaning(
        status=412,
        refusal="retry",
        remedy="its state forbids this for now: look at it, then try again",
    ),
    _Meaning(status=429, refusal="retry", remedy="slow down, then try again"),
)
_DEFAULT: Final = _Meaning(
    refusal="person", remedy="the request has to be fixed before it is sent again"
)
_REDIRECT: Final = _Meaning(
    refusal="person",
    remedy="redirects are never followed, as the token would go along: "
    "check FLY_API_HOSTNAME",
)
_CLASSES: Final[Mapping[int, type[MachinesApiError]]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: MachineNotFound,
    408: ApiUnavailable,
    409: MachineConflict,
    412: MachineConflict,
    429: RateLimited,
}


def refused(
    call: Call, status: int, headers: Mapping[str, str], body: bytes
) -> MachinesApiError:
    """Return the error for an answer that is no success.

    Args:
        call: What was sent.
        status: HTTP status, anything but 2xx.
        headers: Of the answer; names in Fly's spelling, or any if it ignores case.
        body: Of the answer: JSON in one of Fly's forms, or anything at all.
    """
    words, label = _said(body)
    words = _blanked(words, call.secrets)
    meaning = _meaning(call, status, f"{words} {label}")
    came_back = f"{status} ({words})" if words else str(status)
    leading = _CODE.match(words)
    return _class(status)(
        f"{call} was refused with {came_back}: {meaning.remedy}",
        method=call.method,
        path=call.path,
        status=status,
        request_id=headers.get("fly-request-id", ""),
        code=leading[1] if leading else label,
        refusal=meaning.refusal,
        retry_after=_seconds(headers.get("Retry-After", "")),
    )


def unanswered(call: Call, *, sent: bool, reason: str) -> ApiUnavailable:
    """Return the error for a call that got no answer, or only part of one.

    Args:
        call: What was sent, or was to be.
        sent: False if it certainly never left; it may then be sent again.
        reason: A few words for a person, such as `the connection was reset`.
    """
    refusal = call.unsure if sent else "retry"
    return ApiUnavailable(
        f"{call} got no answer, {reason}: {_remedy(refusal)}",
        method=call.method,
        path=call.path,
        refusal=refusal,
    )


def unreadable(
    call: Call, status: int, headers: Mapping[str, str], wanted: str
) -> ApiUnavailable:
    """Return the error for a success whose body is not what it has to be.

    Args:
        call: What was sent; it was done, but its reply is lost.
        status: HTTP status, 2xx.
        headers: Of the answer.
        wanted: What the body should have been, such as `a machine`.
    """
    return ApiUnavailable(
        f"{call} was answered with {status} but not with {wanted}: "
        f"{_remedy(call.unsure)}",
        method=call.method,
        path=call.path,
        status=status,
        request_id=headers.get("fly-request-id", ""),
        refusal=call.unsure,
    )


def existing_machine_id(error: MachinesApiError) -> str:
    """Return the id of the machine that has the wanted name already, or "".

    More reliable than the list, which may be stale. The text it is read from was
    seen live by third parties: unofficial.
    """
    found = _NAME_CLASH.search(str(error))
    return found[1] if found else ""


def _meaning(call: Call, status: int, words: str) -> _Meaning:
    if status < 400:
        return _REDIRECT
    for meaning in _MEANINGS:
        if meaning.covers(status, words):
            return meaning
    if status >= 500 or status == 408:
        return _Meaning(refusal=call.unsure, remedy=_remedy(call.unsure))
    return _DEFAULT


def _class(status: int) -> type[MachinesApiError]:
    if status >= 500:
        return ApiUnavailable
    if status < 400:
        return MachinesApiError
    return _CLASSES.get(status, InvalidRequest)


def _remedy(refusal: Refusal) -> str:
    if refusal == "ambiguous":
        return "it may have been done: look before sending it again"
    return "it is safe to send it again"


def _said(body: bytes) -> tuple[str, str]:
    """Return Fly's words and its `status` label, each maybe "".

    Source: fly-go, flaps/flaps_error.go and flaps.go: `error` and `status`, and
    `message` wins over `error`.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return _plain(body.decode("utf-8", "replace")), ""
    if not isinstance(data, dict):
        return _plain(str(data)), ""
    words = _string(data, "message") or _string(data, "error")
    label = _LABEL.fullmatch(_string(data, "status"))
    return _plain(words), label[0] if label and label[0] != "unknown" else ""


def _string(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _plain(words: str) -> str:
    """Return one line without control characters, or "" for a page of HTML."""
    if words.lstrip().startswith("<"):
        return ""
    line = " ".join(words.split())
    return "".join(filter(str.isprintable, line)).rstrip(".:")


def _blanked(words: str, secrets: tuple[str, ...]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        words = words.replace(" ".join(secret.split()), "***")
    return words[:_WORDS_LIMIT]


def _seconds(retry_after: str) -> float:
    """Read the delay form of `Retry-After`; the form of a date reads as 0."""
    try:
        seconds = float(retry_after)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
