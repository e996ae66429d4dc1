"""The dashboard as an application of its own: to mount, or to serve alone."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from flask import Flask

from worker_lib.dashboard.blueprint import MAX_STREAMS, make_blueprint
from worker_lib.dashboard.headers import add_security_headers
from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from flask import Blueprint
    from waitress.server import BaseWSGIServer

    from worker_lib.dashboard.access import Auth

__all__ = ["make_server", "wsgi_app"]

_MAX_FORM_BYTES = 1024 * 1024
_THREADS = MAX_STREAMS + 12


def wsgi_app(
    auth: Auth | None = None,
    *,
    password: str | None = None,
    read_password: str | None = None,
    max_streams: int = MAX_STREAMS,
) -> Flask:
    """Return the dashboard as a WSGI application, to mount under a path.

    Under Django with werkzeug's `DispatcherMiddleware`, under FastAPI and Starlette
    with a2wsgi's `WSGIMiddleware`.

    Args:
        auth: As in `create_dashboard`.
        password: As in `create_dashboard`.
        read_password: As in `create_dashboard`.
        max_streams: As in `create_dashboard`.

    Raises:
        ConfigError: a password cannot be.
    """
    return _app(make_blueprint(auth, password, read_password, max_streams=max_streams))


def make_server(host: str, port: int) -> BaseWSGIServer:
    """Return a server of the dashboard alone, which listens; `run` serves.

    Args:
        host: Address to listen on.
        port: 0 takes a free one; `effective_port` tells which.

    Raises:
        ConfigError: the address is taken.
    """
    from waitress.server import create_server  # noqa: PLC0415 - who mounts it needs none

    app = _app(make_blueprint(None, standalone=True))
    server: Any = create_server(
        app,
        sockets=[_listening(host, port)],
        threads=_THREADS,
        # Without it nobody would be told that a browser has gone.
        channel_request_lookahead=1,
        asyncore_use_poll=True,
        ident=None,
    )
    return server


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; waitress would leave one open on failure.

    Raises:
        ConfigError: the address is taken.
    """
    try:
        # Of a name with several addresses the first: for many it makes no one server.
        (family, *_, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        remedy = "choose another with --bind HOST:PORT"
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        text = f"cannot listen on {host}:{port} ({reason})"
        raise ConfigError(Problem(text, remedy, "--bind")) from error


def _app(blueprint: Blueprint) -> Flask:
    app = Flask("worker_lib.dashboard", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_FORM_BYTES
    app.register_blueprint(blueprint)
    app.after_request(add_security_headers)  # of addresses that are nobody's
    return app
