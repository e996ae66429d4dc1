"""The audit: what people did with the pages, and what came of it."""

from __future__ import annotations

from typing import Any

from worker_lib import inspection
from worker_lib.dashboard.registry import Page, Query
from worker_lib.errors import ConfigError
from worker_lib.inspection import as_document

__all__ = ["PAGE"]

_ROWS = 50
_KEPT = 1000
_NOW = float("inf")


def load(query: Query) -> dict[str, Any]:
    """Read the page: one command to Redis, and no more than is shown if it can be."""
    who, what = query.get("who", ""), query.get("what", "")
    before = _moment(query.get("before", ""))
    is_newest = not who and not what and before == _NOW
    found = [
        one
        for one in inspection.audits(_ROWS + 1 if is_newest else _KEPT)
        if who.casefold() in one.who.casefold()
        and what.casefold() in one.what.casefold()
        and one.at < before
    ]
    shown = found[:_ROWS]
    return {
        "entries": [as_document(one) for one in shown],
        "older_than": repr(shown[-1].at) if len(found) > _ROWS else None,
        "is_newest": before == _NOW,
        "is_filtered": bool(who or what),
    }


def _moment(text: str) -> float:
    try:
        return float(text) if text else _NOW
    except ValueError:
        raise ConfigError(f"before={text!r}: use seconds since 1970") from None


PAGE = Page(slug="audit", title="Audit", load=load, order=9, icon="audit")
