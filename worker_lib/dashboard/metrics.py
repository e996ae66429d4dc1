"""The metrics, beside the pages: for who may look, or has their token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, request

if TYPE_CHECKING:
    from worker_lib.dashboard.access import Access

__all__ = ["tell_metrics"]

_INSTALL = "Metrics need a library: pip install 'prometheus-client>=0.21'\n"


def tell_metrics(access: Access) -> Response:
    """Return the metrics, or why they are not shown.

    No login form comes before them, as programs ask.
    """
    try:
        from worker_lib.metrics import answer  # noqa: PLC0415 - it may not be installed
    except ImportError:
        return Response(_INSTALL, 501, mimetype="text/plain")
    may_read = access.viewer(request) is not None
    return Response(*answer(request.environ, may_read=may_read))
