"""The dashboard on a port of its own, for browsers."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask
from waitress.server import create_server

from worker_lib.dashboard import create_dashboard
from worker_lib.dashboard.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Request

__all__ = ["Site", "serve"]

ROLES = frozenset({"admin", "read"})


class Site(NamedTuple):
    """A dashboard that runs.

    Attributes:
        url: Of its first page, with a slash at the end.
        registry: Its pages and actions.
    """

    url: str
    registry: Registry


@contextlib.contextmanager
def serve(port: int = 0, *, password: str = "") -> Iterator[Site]:
    """Serve the dashboard of the default client under /jobs until the end.

    Args:
        port: 0 for a free one.
        password: Of the role admin. Without it, whoever has the cookie `role` with a
            role's name has that role, and others have none.
    """
    made = create_dashboard(None if password else _role, password=password or None)
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(made, url_prefix="/jobs")
    server: Any = create_server(
        app,
        host="127.0.0.1",
        port=port,
        threads=16,
        channel_request_lookahead=1,
        asyncore_use_poll=True,
        ident=None,
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.effective_port}/jobs/", Registry.load())
    server.trigger.pull_trigger(server.close)
    server.task_dispatcher.shutdown(timeout=5)
    thread.join(10)


def _role(request: Request) -> Any:
    role = request.cookies.get("role", "")
    return role if role in ROLES else None
