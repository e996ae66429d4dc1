"""Requests, replies and errors as endpoints see them, apart from HTTP itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.visibility import FULL_VISIBILITY, Visibility
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Source: Go's strconv.ParseBool, which Fly's server and clients use.
_FALSE, _TRUE = ("", "0", "f", "false"), ("1", "t", "true")
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A finished reply.

    Attributes:
        body: JSON data, bytes of plain text, or None.
        is_truncated: The connection ends in the middle of the body.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_truncated: bool = False


class ApiError(WorkerLibError):
    """A request is answered with an error instead of being done.

    Attributes:
        status: HTTP status.
        code: Fly's `status` field (`insufficient_capacity`), or "" to leave it out.
        retry_after: Seconds for the `Retry-After` header; 0 leaves it out.

    Source: fly-go, flaps/errors.go (`error` is the text, `status` is optional).
    """

    def __init__(
        self, status: int, message: str, *, code: str = "", retry_after: float = 0.0
    ) -> None:
        self.status = status
        self.code = code
        self.retry_after = retry_after
        super().__init__(message)

    def reply(self) -> Reply:
        """The error as a reply."""
        body = {"error": str(self)}
        if self.code:
            body["status"] = self.code
        wait = {"Retry-After": f"{self.retry_after:.0f}"} if self.retry_after else {}
        return Reply(status=self.status, body=body, headers=wait)


def invalid_argument(text: str) -> ApiError:
    """The error for a request that makes no sense: 400."""
    return ApiError(400, f"invalid_argument: {text}")


def not_found(text: str) -> ApiError:
    """The error for what does not exist: 404."""
    return ApiError(404, f"not_found: {text}")


def failed_precondition(text: str) -> ApiError:
    """The error for what the present state does not allow: 412."""
    return ApiError(412, f"failed_precondition: {text}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, read completely; its methods raise `ApiError` 400.

    Attributes:
        path: Without the query.
        query: All values of each parameter, in order.
        headers: By lower-case name.
        params: The values of the names in the route's path.
        visibility: How it sees machines.
        socket_app: The app of the machine socket that it came by; "" over TCP.
    """

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    visibility: Visibility = FULL_VISIBILITY
    socket_app: str = ""

    def value(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next(iter(self.query.get(name, ())), default)

    def values(self, name: str) -> list[str]:
        """All values of a parameter that may repeat or hold a comma list."""
        joined = ",".join(self.query.get(name, ()))
        return [word.strip() for word in joined.split(",") if word.strip()]

    def flag(self, *names: str) -> bool:
        """Whether any of these query parameters is true."""
        flags = [self._flag(name) for name in names]  # each of them is checked
        return any(flags)

    def _flag(self, name: str) -> bool:
        text = self.value(name).lower()
        if text not in _FALSE + _TRUE:
            raise invalid_argument(f"{name} must be true or false in the query")
        return text in _TRUE

    def number(self, name: str) -> int | str | None:
        """A query parameter as a number; its text if it is none, None without it."""
        text = self.value(name)
        is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
        return int(text) if is_number else text or None

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; {} without a body."""
        parsed = self.json_value() if self.body.strip() else {}
        if not isinstance(parsed, dict):
            raise invalid_argument("the body must be a JSON object")
        return parsed

    def json_value(self) -> Any:
        """The body as any JSON value."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise invalid_argument(f"unable to parse the body as JSON: {exc}") from exc
