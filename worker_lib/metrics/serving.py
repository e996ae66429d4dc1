"""Serves the metrics to who may see them: by a token, or to this very computer."""

from __future__ import annotations

import hmac
import os
import socket
from functools import cache
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from worker_lib.local import is_local
from worker_lib.metrics.collector import JobsCollector
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Answer", "answer", "metrics_text", "serve", "wsgi_app"]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Who came through a proxy may be anybody.
_PROXIED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_FLY_CLIENT_IP")
_TEXT = "text/plain; charset=utf-8"
_LOCKED = (
    "Metrics are shown to who sends the token: set WORKER_LIB_METRICS_TOKEN, and have "
    "Prometheus send it as its bearer token.\n"
)


class Answer(NamedTuple):
    """What to answer; in this order a Flask view may return it.

    Attributes:
        body: The metrics in Prometheus's text format, or why there are none.
    """

    body: bytes
    status: int
    headers: dict[str, str]


def metrics_text() -> bytes:
    """Return all metrics in Prometheus's text format, version 0.0.4.

    Redis that is away makes it `worker_lib_up 0`, not an error.
    """
    return generate_latest(_registry())


def answer(environ: Mapping[str, Any], *, may_read: bool = False) -> Answer:
    """Return what to answer to a request for metrics.

    They are shown to who sends `WORKER_LIB_METRICS_TOKEN` as bearer token; in the local
    stack, while that is not set, to programs of this very computer.

    Args:
        environ: Of the WSGI request: `request.environ` in Flask, `request.META` in
            Django.
        may_read: Whether they are open to this request anyhow, as it was let in by
            other means.

    Raises:
        ConfigError: a setting cannot be.
    """
    settings = Settings.load(os.environ)
    token = settings.metrics_token
    if token:
        knows = _has(environ.get("HTTP_AUTHORIZATION", ""), token)
    else:
        knows = _is_here(environ) and _is_development(settings)
    headers = {"Content-Type": _TEXT, "Cache-Control": "no-store"}
    if may_read or knows:
        headers["Content-Type"] = CONTENT_TYPE_PLAIN_0_0_4
        return Answer(metrics_text(), 200, headers)
    if token:
        headers["WWW-Authenticate"] = 'Bearer realm="worker-lib"'
    return Answer(_LOCKED.encode(), 401 if token else 403, headers)


def wsgi_app() -> WSGIApplication:
    """Return a WSGI application that answers as `answer`, wherever it is mounted."""

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        return _send(answer(environ), start)

    return app


def serve(port: int, host: str) -> WSGIServer:
    """Serve the metrics on a port of their own, to whoever can reach it.

    For a private network, as that of Fly's `[metrics]`, which sends no token. Threads
    of this process answer, whatever the path; `shutdown()` ends them.

    Args:
        port: 0 takes a free one; `server_port` tells which.
        host: Address to listen on; `::` is every one of both families.

    Raises:
        OSError: the port is taken.
    """
    kind = _ServerOfSix if ":" in host else _Server
    server = make_server(host, port, _to_anybody, kind, _Quiet)
    Thread(target=server.serve_forever, name="worker-lib-metrics", daemon=True).start()
    return server


class _Server(ThreadingMixIn, WSGIServer):
    """Answers in threads that do not keep the process alive."""

    daemon_threads = True


class _ServerOfSix(_Server):
    """The same by IPv6."""

    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Write nothing."""


def _to_anybody(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    return _send(answer(environ, may_read=True), start)


def _send(found: Answer, start: StartResponse) -> Iterable[bytes]:
    start(f"{found.status} {HTTPStatus(found.status).phrase}", [*found.headers.items()])
    return [found.body]


@cache
def _registry() -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(JobsCollector())
    return registry


def _has(authorization: str, token: str) -> bool:
    kind, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return same and kind.lower() == "bearer"


def _is_development(settings: Settings) -> bool:
    # Elsewhere a proxy on the same computer may say nothing of those whom it serves.
    on_fly = os.environ.get("FLY_APP_NAME") or os.environ.get("FLY_MACHINE_ID")
    return not on_fly and (settings.local or is_local(settings))


def _is_here(environ: Mapping[str, Any]) -> bool:
    """Say whether a program of this computer asks for this computer, without a proxy.

    The name in the address counts, too: a page of another site may have its own name
    lead to 127.0.0.1 (DNS rebinding).
    """
    proxied = any(name in environ for name in _PROXIED)
    name = environ.get("HTTP_HOST", "").rsplit(":", 1)[0].strip("[]")
    peer = environ.get("REMOTE_ADDR", "").removeprefix("::ffff:")
    return peer in _LOOPBACK and name in _LOOPBACK and not proxied
