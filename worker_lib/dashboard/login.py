"""Letting people in: the gate before each request, the form for a password."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from flask import Response, g, jsonify, redirect, request

from worker_lib.dashboard.visit import Parts, Visit

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

__all__ = ["Login"]

_SESSION = "session"


class Login:
    """Lets in who may look, and tells others what opens the dashboard."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def gate(self) -> AnyResponse | None:
        """Note who asks; return an answer to who may not look."""
        g.worker_lib_viewer = self._parts.access.viewer(request)
        return None if g.worker_lib_viewer is not None else self._refusal()

    def form(self) -> AnyResponse:
        """Return the page with the form."""
        visit = Visit(self._parts)
        if not self._parts.access.has_login:
            return redirect(visit.root, 303)
        return visit.html("login.html", title="Log in", goto=_goto(visit), trouble="")

    def login(self) -> AnyResponse:
        """Check a password; lead to where the person wanted to go."""
        visit, access = Visit(self._parts), self._parts.access
        self._parts.csrf.check(request)
        if not access.has_login:
            return redirect(visit.root, 303)
        wait = access.wait(request)
        if wait:
            trouble = f"Too many wrong passwords. Try again in {math.ceil(wait)} s."
            response = self._again(visit, 429, trouble)
            response.headers["Retry-After"] = str(math.ceil(wait))
            return response
        words = request.form
        found = access.login(request, words.get("password", ""), words.get("name", ""))
        if found is None:
            return self._again(visit, 401, "That is not the password.")
        answer = redirect(_goto(visit), 303)
        self._keep(visit, answer, list(found))
        return answer

    def logout(self) -> AnyResponse:
        """Have the browser forget who it was."""
        self._parts.csrf.check(request)
        visit = Visit(self._parts)
        answer = redirect(visit.root, 303)
        self._parts.cookies.delete(answer, _SESSION, visit.root)  # type: ignore[arg-type]  # any deletes cookies
        return answer

    def _keep(self, visit: Visit, answer: AnyResponse, found: list[str]) -> None:
        cookies = self._parts.cookies
        cookies.set(request, answer, _SESSION, found, visit.root)  # type: ignore[arg-type]  # any sets cookies

    def _again(self, visit: Visit, status: int, trouble: str) -> Response:
        return visit.html(
            "login.html", status, title="Log in", goto=_goto(visit), trouble=trouble
        )

    def _refusal(self) -> AnyResponse:
        visit, access = Visit(self._parts), self._parts.access
        if _wants_data():
            status = 401 if access.has_login else 403
            response = jsonify(error="this dashboard is not open to you")
            response.status_code = status
            if status == 401:
                response.headers["WWW-Authenticate"] = 'Basic realm="worker-lib"'
            return response
        if access.has_login and visit.wants_part:
            back = visit.place(request.headers.get("HX-Current-URL"))
            return Response(status=401, headers={"HX-Redirect": _asked(visit, back)})
        if access.has_login and request.method == "GET":
            back = request.script_root + request.full_path.rstrip("?")
            return redirect(_asked(visit, back), 303)
        return visit.html(
            "locked.html", 403, title="Locked", by_app=access.auth is not None
        )


def _asked(visit: Visit, back: str) -> str:
    return f"{visit.root}login?{urlencode({'goto': back})}"


def _goto(visit: Visit) -> str:
    return visit.place(request.values.get("goto"))


def _wants_data() -> bool:
    accepted = {kind for kind, _ in request.accept_mimetypes}
    return request.path.endswith(".json") or "text/html" not in accepted
