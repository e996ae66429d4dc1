"""HTTP to the Machines API: sessions, retries and what counts as an answer.

The only module that imports `requests`, which takes 170 ms.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import weakref
from dataclasses import dataclass
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any, Final, TypeVar

import requests
from urllib3.exceptions import NewConnectionError, ProxyError, SSLError

from worker_lib.machines.address import authorization, clean_base_url
from worker_lib.machines.errors import Call, refused, unanswered, unreadable
from worker_lib.machines.types import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker_lib.errors import ApiUnavailable

__all__ = ["Answer", "Transport"]

_TRIES: Final = 3
_PAUSE: Final = (0.1, 1.0)
_PASSING: Final = frozenset({502, 503})
_SHORTEST_SECRET: Final = 6

_Json = TypeVar("_Json", dict[str, Any], list[Any])
_Outcome = requests.Response | requests.RequestException


@dataclass(frozen=True, slots=True)
class Answer:
    """A success, and the call it answers.

    Each way of reading it raises `ApiUnavailable` if the body is something else.
    """

    call: Call
    response: requests.Response

    def json(self, kind: type[_Json], wanted: str) -> _Json:
        """Return the body as a JSON object or array; `wanted` names it in errors."""
        try:
            value = json.loads(self.response.content)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, kind):
            return value
        raise self._unreadable(wanted)

    def objects(self, wanted: str) -> list[dict[str, Any]]:
        """Return the objects of a JSON array."""
        return [item for item in self.json(list, wanted) if isinstance(item, dict)]

    def machine(self) -> Machine:
        """Return the machine in the body; one without an id is none."""
        machine = Machine.from_json(self.json(dict, "a machine"))
        if machine.id:
            return machine
        raise self._unreadable("a machine")

    def _unreadable(self, wanted: str) -> ApiUnavailable:
        response = self.response
        return unreadable(self.call, response.status_code, response.headers, wanted)


class Transport:
    """Sends one call at a time, from any thread; see `MachinesApi` for its arguments.

    Redirects are not followed, and plain http, which is private by then, bypasses
    the proxies of the environment. Cookies are kept, as Fly routes by them (fly-go,
    flaps_test.go, `fly_flaps_affinity`).
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = clean_base_url(base_url)
        self._authorization = authorization(token)
        self._timeout = timeout
        self._sleep = sleep
        self._local = threading.local()
        self._opened: weakref.WeakSet[requests.Session] = weakref.WeakSet()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        idempotent: bool = True,
        patience: float = 0.0,
    ) -> Answer:
        """Send a call and return its success.

        Args:
            method: HTTP verb.
            path: From `/v1` on, escaped.
            query: Parameters of the URL.
            body: Sent as JSON.
            idempotent: May be sent again, and is, if the trouble may pass.
            patience: Seconds that Fly itself may take on top of the time-out; a
                call with any is sent once, for its time would start anew.

        Raises:
            MachinesApiError: of the class and refusal that fit what came back.
        """
        call = Call(
            method=method,
            path=path,
            idempotent=idempotent,
            secrets=_secrets(self._authorization, body or {}),
        )
        outcome = self._attempt(call, query, body, patience)
        for _ in range(_TRIES - 1 if idempotent and not patience else 0):
            if not _may_pass(outcome):
                break
            self._sleep(random.uniform(*_PAUSE))
            outcome = self._attempt(call, query, body, patience)
        return _settled(call, outcome)

    def close(self) -> None:
        """Close the connections of every thread; the next call opens new ones."""
        for session in list(self._opened):
            session.close()

    def _attempt(
        self,
        call: Call,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        patience: float,
    ) -> _Outcome:
        headers = {"Accept": "application/json", "User-Agent": "worker-lib"}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        try:
            return self._session().request(
                call.method,
                self.base_url + call.path,
                params=query,
                data=None if body is None else json.dumps(body),
                headers=headers,
                auth=self._authorize,
                timeout=(self._timeout, self._timeout + patience),
                allow_redirects=False,
                proxies={"http": ""},
            )
        except requests.RequestException as exc:
            # The request carries the token; whoever logs the cause would log it.
            exc.request = exc.response = None
            return exc

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As `auth` and not as a header, which requests replaces from ~/.netrc.
        request.headers["Authorization"] = self._authorization
        return request

    def _session(self) -> requests.Session:
        """Return this thread's session: one across a fork would mix up answers."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.session = requests.Session()
            self._opened.add(self._local.session)
        session: requests.Session = self._local.session
        return session


def _settled(call: Call, outcome: _Outcome) -> Answer:
    if isinstance(outcome, requests.RequestException):
        sent, reason = _trouble(outcome)
        raise unanswered(call, sent=sent, reason=reason) from outcome
    if 200 <= outcome.status_code < 300:
        return Answer(call, outcome)
    raise refused(call, outcome.status_code, outcome.headers, outcome.content)


def _may_pass(outcome: _Outcome) -> bool:
    if isinstance(outcome, requests.Response):
        return outcome.status_code in _PASSING
    return not isinstance(outcome, requests.ReadTimeout)


def _trouble(exc: requests.RequestException) -> tuple[bool, str]:
    """Return whether the call may have left, and a few words on what happened."""
    if isinstance(exc, requests.ConnectTimeout):
        return False, "as no connection was made in time"
    if isinstance(exc, requests.Timeout):
        return True, "as the time for it was over"
    # urllib3 says why in the `reason` of the error that requests wraps.
    reason = getattr(exc.args[0], "reason", None) if exc.args else None
    if isinstance(reason, SSLError) and reason.args:
        reason = reason.args[0]
    if isinstance(reason, SSLCertVerificationError):
        return False, "as the server's certificate is not valid"
    if isinstance(reason, NewConnectionError | ProxyError):
        return False, "as no connection could be made"
    return True, "as the connection broke"


def _secrets(authorization: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an error must not show of a call.

    Words too short to be a secret are left out: blanking every "1" helps nobody.
    """
    config = body.get("config") or {}
    found = authorization.partition(" ")[2].split(",")
    found += (config.get("env") or {}).values()
    return tuple(s for s in found if isinstance(s, str) and len(s) >= _SHORTEST_SECRET)
