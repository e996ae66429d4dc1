"""`python -m demo.server`: serve the app, on a desk and on Fly alike.

Waitress reads each request, headers and body, without a thread before the app sees it,
so slow clients cost a connection and no thread. Here it also gets a deadline for that
reading: whoever drips a request byte by byte is disconnected, and so is whoever stops
half-way through its headers.

One process with many threads: the waiting is Redis's, and rate limits hold for all.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from worker_lib import metrics
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from types import FrameType
    from wsgiref.types import WSGIApplication

__all__ = [
    "DEFAULT_PORT",
    "METRICS_PORT",
    "THREADS",
    "FactsFormatter",
    "Server",
    "main",
]

DEFAULT_PORT, METRICS_PORT = 8080, 9091
THREADS = 32
# A request has this long, and a second more for each so many bytes that have come.
_READ_SECONDS = 15.0
_BYTES_PER_SECOND = 16 * 1024
_IDLE_SECONDS = 30
_STOP_SECONDS = 1.0
_LOOK_EVERY = 1
_MAX_CONNECTIONS = 1000
_MAX_HEADERS = 32 * 1024
# More than the app takes: a browser that sends a little too much is told so by a page.
_MAX_BODY = 16 * 1024 * 1024
_BODY_IN_MEMORY = 64 * 1024
# A connection needs up to three descriptors: itself, and files for long bodies.
_DESCRIPTORS_EACH = 3
_DESCRIPTORS_BESIDES = 200


class FactsFormatter(logging.Formatter):
    """Writes an event's facts behind its name, as `reason='no token'`.

    The library keeps them in `extra`; without them a log would not say why.
    """

    _NO_FACTS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, and a traceback if it has one."""
        facts = [
            f"{name}={value!r}"
            for name, value in vars(record).items()
            if name not in self._NO_FACTS
        ]
        line, *trace = super().format(record).split("\n", 1)
        return "\n".join([" ".join([line, *facts]), *trace])


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection that knows since when it is sending a request."""

    _began = 0.0
    _received = 0

    def received(self, data: bytes) -> Any:
        """Take in what came, and note when the request began."""
        if self.request is None:
            self._began, self._received = time.monotonic(), 0
        self._received += len(data)
        return super().received(data)

    def is_late(self, read_seconds: float) -> bool:
        """Say whether a half-sent request has taken longer than it may."""
        if self.request is None or self.requests:
            return False
        allowed = read_seconds + self._received / _BYTES_PER_SECOND
        return time.monotonic() - self._began > allowed


class _Threads(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress has no types
    """The threads of the app, which are not waited for as long as waitress would."""

    def shutdown(
        self, cancel_pending: bool = True, timeout: Any = _STOP_SECONDS
    ) -> Any:
        """End the threads: streams that are open would take a minute."""
        return super().shutdown(cancel_pending, timeout)


class Server(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """The HTTP server; listens at once, serves when `run` is called.

    Args:
        app: What to serve.
        host: Address to listen on.
        port: 0 for any free one; `effective_port` tells which.
        read_seconds: How long a client may take to send a request, plus a second for
            each 16 KB that came.
    """

    channel_class = _Channel

    def __init__(
        self,
        app: WSGIApplication,
        *,
        host: str,
        port: int,
        read_seconds: float = _READ_SECONDS,
    ) -> None:
        self._read_seconds = read_seconds
        threads = _Threads()
        threads.set_thread_count(THREADS)
        super().__init__(
            app,
            host=host,
            port=port,
            dispatcher=threads,
            connection_limit=_connection_limit(),
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_LOOK_EVERY,
            max_request_header_size=_MAX_HEADERS,
            max_request_body_size=_MAX_BODY,
            inbuf_overflow=_BODY_IN_MEMORY,
            log_socket_errors=False,
            # Else it would not tell the dashboard that a browser has gone.
            channel_request_lookahead=1,
            # select() ends at descriptor 1024.
            asyncore_use_poll=True,
            ident=None,
        )

    def maintenance(self, now: Any) -> None:
        """Disconnect who is silent, and who takes too long to send a request."""
        super().maintenance(now)
        channels: Any = self.active_channels
        for channel in channels.values():
            if channel.is_late(self._read_seconds):
                channel.will_close = True


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; requests that are open then have a second."""
    parser = argparse.ArgumentParser(prog="python -m demo.server")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    port = os.environ.get("PORT") or DEFAULT_PORT
    parser.add_argument("--port", type=int, default=port, help="default: $PORT or 8080")
    parser.add_argument("--access-log", action="store_true", help="log each request")
    options = parser.parse_args()
    if options.access_log:
        logging.getLogger("demo.access").setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(FactsFormatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(handlers=[handler])
    signal.signal(signal.SIGTERM, _end)
    from app import create_app  # noqa: PLC0415 - reads the environment

    try:
        app = create_app()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if os.environ.get("FLY_APP_NAME"):
        # For the Prometheus of Fly, by the private network alone: fly.toml, [metrics].
        metrics.serve(METRICS_PORT, "::")
    Server(app, host=options.host, port=options.port).run()
    return 0


def _connection_limit() -> int:
    """Return how many connections there are descriptors for; ask for enough first."""
    wanted = _DESCRIPTORS_BESIDES + _DESCRIPTORS_EACH * _MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(10, (most - _DESCRIPTORS_BESIDES) // _DESCRIPTORS_EACH)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


if __name__ == "__main__":
    sys.exit(main())
