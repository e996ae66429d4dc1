"""What goes in and out of an endpoint, apart from HTTP itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.visibility import CLEAR, Sight
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Source: Go's strconv.ParseBool, which Fly's server and clients go by.
_FALSE, _TRUE = ("", "0", "f", "false"), ("1", "t", "true")
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A finished reply.

    Attributes:
        body: JSON data, bytes of plain text, or None.
        is_cut: The connection ends half-way through it.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False


class ApiRefusal(WorkerLibError):
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
        """The refusal as a reply."""
        body = {"error": str(self)}
        if self.code:
            body["status"] = self.code
        wait = {"Retry-After": f"{self.retry_after:.0f}"} if self.retry_after else {}
        return Reply(status=self.status, body=body, headers=wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, read to its end.

    Attributes:
        path: Without the query.
        query: Every value of each parameter, in order.
        headers: By lower-case name.
        params: What the route's pattern found in the path.
        sight: How it sees machines.
        socket_app: The app by whose machines' own socket it came in; "" over TCP.
    """

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    sight: Sight = CLEAR
    socket_app: str = ""

    def value(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next(iter(self.query.get(name, ())), default)

    def flag(self, *names: str) -> bool:
        """Whether any of these query parameters is true.

        Raises:
            ApiRefusal: 400, one is neither true nor false.
        """
        flags = [self._flag(name) for name in names]  # all of them are looked at
        return any(flags)

    def number(self, name: str) -> int | str | None:
        """A query parameter as a number; as it is if it is none, None without it."""
        text = self.value(name)
        is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
        return int(text) if is_number else text or None

    def _flag(self, name: str) -> bool:
        text = self.value(name).lower()
        if text not in _FALSE + _TRUE:
            raise ApiRefusal(
                400, f"invalid_argument: {name} must be true or false in the query"
            )
        return text in _TRUE

    def values(self, name: str) -> list[str]:
        """All values of a parameter that may repeat or hold a comma list."""
        joined = ",".join(self.query.get(name, ()))
        return [word.strip() for word in joined.split(",") if word.strip()]

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty if there is no body.

        Raises:
            ApiRefusal: 400, not a JSON object.
        """
        parsed = self.json_value() if self.body.strip() else {}
        if not isinstance(parsed, dict):
            raise ApiRefusal(400, "invalid_argument: the body must be a JSON object")
        return parsed

    def json_value(self) -> Any:
        """The body as any JSON value.

        Raises:
            ApiRefusal: 400, not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise ApiRefusal(
                400, f"invalid_argument: unable to parse the body as JSON: {exc}"
            ) from exc
