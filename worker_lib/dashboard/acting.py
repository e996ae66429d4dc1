"""Answers to forms: who may, what has to be agreed to first, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, redirect, request
from werkzeug.exceptions import Forbidden, NotFound

from worker_lib.dashboard import audit, csrf, kept
from worker_lib.dashboard.registry import Form
from worker_lib.dashboard.visit import Parts, Visit
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from worker_lib.dashboard.access import Viewer
    from worker_lib.dashboard.registry import Action, Confirm, Done

__all__ = ["Acting"]

_AGREED = "_confirmed"
_BACK = "_back"
_YES = "yes"


class Acting:
    """Runs actions, each with an entry in the audit."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def act(self, name: str) -> AnyResponse:
        """Run an action and lead back to where its form was.

        Raises:
            Forbidden: the form is not ours, or this person may only look.
            NotFound: there is no such action.
        """
        self._parts.csrf.check(request)
        action = self._parts.registry.actions.get(name)
        if action is None:
            raise NotFound
        visit, form = Visit(self._parts), _form()
        assert visit.viewer is not None  # noqa: S101 - the gate let somebody in
        _check_role(action, visit.viewer, form)
        try:
            confirm = action.confirm(form) if action.confirm else None
            if confirm is not None and not _agreed(confirm):
                return _question(visit, action, form, confirm)
            done = action.run(form)
        except WorkerLibError as error:
            _note(visit.viewer, action, form, outcome=str(error), total=0)
            return _led_back(visit, "bad", str(error))
        _note(visit.viewer, action, form, target=done.target, total=done.total)
        kept.expire()
        self._parts.hub.expire()
        if done.lines:
            return _told(visit, done)
        return _led_back(visit, done.kind, done.text, done)


def _form() -> Form:
    fields = {
        name: text
        for name, text in request.form.items()
        if name not in {"target", csrf.FIELD} and not name.startswith("_")
    }
    return Form(tuple(request.form.getlist("target")), fields)


def _check_role(action: Action, viewer: Viewer, form: Form) -> None:
    if action.role == "admin" and not viewer.may_act:
        _note(viewer, action, form, outcome="refused: the role is read", total=0)
        raise Forbidden("Your role is to look: this needs the role admin.")


def _agreed(confirm: Confirm) -> bool:
    return request.form.get(_AGREED, "").strip() == (confirm.typed or _YES)


def _question(visit: Visit, action: Action, form: Form, confirm: Confirm) -> Response:
    """Return a page, or a part of one for a dialog, that asks."""
    name = "_confirm.html" if visit.wants_part else "confirm.html"
    response = visit.html(
        name,
        confirm=confirm,
        form=form,
        name=action.name,
        agreed_field=_AGREED,
        agreed_word=_YES,
        back_field=_BACK,
        back=_back(visit),
        is_wrong=_AGREED in request.form,
        title="Are you sure?",
    )
    if visit.wants_part:
        response.headers["HX-Retarget"] = "#question"
    return response


def _told(visit: Visit, done: Done) -> Response:
    """Return a notice with what came of it one by one, or a page of that."""
    name = "_notice.html" if visit.wants_part else "done.html"
    return visit.html(
        name,
        kind=done.kind,
        text=done.text,
        lines=done.lines,
        back=_back(visit),
        title="What came of it",
    )


def _led_back(
    visit: Visit, kind: str, text: str, done: Done | None = None
) -> AnyResponse:
    """Return a notice for the page that asks, or lead to a page that shows it."""
    goto = done is not None and done.goto
    if visit.wants_part and not goto:
        return visit.html("_notice.html", kind=kind, text=text)
    place = _back(visit)
    if done is not None and done.goto:
        place = visit.addresses.url(done.goto, **done.goto_words)
    response: AnyResponse = redirect(place, 303)
    if visit.wants_part:
        response = Response(headers={"HX-Redirect": place})
    visit.tell_next_page(response, kind, text)  # type: ignore[arg-type]  # any sets cookies
    return response


def _back(visit: Visit) -> str:
    asked = request.form.get(_BACK) or request.headers.get("HX-Current-URL")
    return visit.place(asked or request.referrer)


def _note(
    viewer: Viewer,
    action: Action,
    form: Form,
    *,
    target: str = "",
    total: int = 1,
    outcome: str = "done",
) -> None:
    shown = target or ", ".join(form.targets[:3])
    audit.note(viewer, action.name, shown, total, outcome)
