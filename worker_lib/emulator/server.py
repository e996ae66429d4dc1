"""HTTP/1.1 for the emulator: one thread per connection, no polling."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from worker_lib.emulator.faults import ReplyLost
from worker_lib.emulator.identifiers import ulid
from worker_lib.emulator.messages import ApiError, Reply, Request, invalid_argument
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[Request], Reply]

log = get_logger("emulator")

_LINGER = struct.Struct("ii")
_MAX_DIGITS = 18


class ApiServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Accepts connections and answers requests by a function.

    Args:
        address: Host and port, or the path of a unix socket.
        answer: Returns the reply to a request.
        max_body_bytes: A longer body is answered with 413.
        region: Part of request ids.
        app: The app, for the socket of its machines; "" for the server on TCP.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self,
        address: tuple[str, int] | str,
        answer: Answer,
        *,
        max_body_bytes: int,
        region: str,
        app: str = "",
    ) -> None:
        self.answer = answer
        self.max_body_bytes = max_body_bytes
        self.region = region
        self.app = app
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        handler = _SocketHandler if isinstance(address, str) else _Handler
        super().__init__(address, handler)  # type: ignore[arg-type]  # typed for TCP

    def accept_forever(self) -> None:
        """Serve until `close`, without the base class's wake-up every 0.5 s."""
        while True:
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            self.process_request(connection, peer)

    def shutdown_request(self, request: Any) -> None:
        """Close one connection."""
        with self._lock:
            self._connections.discard(request)
        if _is_to_be_reset(request):
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as the base's
        """Log that a connection broke; the client sees it itself."""
        log.info("connection_broken", extra={"error": repr(sys.exception())})

    def close(self) -> None:
        """Accept no more connections and end the open ones."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.server_close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests from one connection and writes their replies."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    @property
    def _api(self) -> ApiServer:
        return cast("ApiServer", self.server)

    def _serve(self) -> None:
        request_id = f"{ulid()}-{self._api.region}"
        reply = self._reply(request_id)
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply, request_id)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base's

    def _reply(self, request_id: str) -> Reply | None:
        """The reply, also to an error; None: end the connection without one."""
        try:
            return self._api.answer(self._request())
        except ApiError as error:
            return error.reply()
        except ReplyLost as lost:
            if lost.reset:
                _mark_for_reset(self.connection)
            return None
        except ConnectionError:
            raise
        except Exception:
            log.exception("request_failed", extra={"request_id": request_id})
            body = {"error": "unknown: internal error of the emulator"}
            return Reply(status=500, body=body)

    def _request(self) -> Request:
        try:
            url = urlsplit(self.path)
            query = parse_qs(url.query, keep_blank_values=True)
        except ValueError as exc:
            raise invalid_argument(f"no such address: {exc}") from exc
        headers = {
            name.lower(): ", ".join(self.headers.get_all(name, ()))
            for name in self.headers
        }
        if url.netloc:  # it overrides the header: RFC 9112, 3.2.2
            headers["host"] = url.netloc
        return Request(
            method=self.command,
            path=url.path,
            query=query,
            headers=headers,
            body=self._body(),
            socket_app=self._api.app,
        )

    def _body(self) -> bytes:
        """Read the body; a refused one stays unread, so the connection must end."""
        length = self.headers.get("Content-Length") or "0"
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise ApiError(411, "invalid_argument: Content-Length is required")
        if len(length) > _MAX_DIGITS or int(length) > self._api.max_body_bytes:
            self.close_connection = True
            raise ApiError(
                413,
                "invalid_argument: the body is larger than "
                f"{self._api.max_body_bytes} bytes",
            )
        return self.rfile.read(int(length))

    def _send(self, reply: Reply, request_id: str) -> None:
        is_text = isinstance(reply.body, bytes)
        body = reply.body if is_text else b""
        if not is_text and reply.body is not None:
            body = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("fly-request-id", request_id)
        if reply.status != HTTPStatus.NO_CONTENT:
            kind = "text/plain; charset=utf-8" if is_text else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.is_truncated:
            self.close_connection = True
            body = body[: len(body) // 2]
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002 - as the base's
    ) -> None:
        """Answer a malformed request, in JSON too."""
        self.close_connection = True
        text = message or HTTPStatus(code).phrase
        body = {"error": f"invalid_argument: {text}"}
        self._send(Reply(status=code, body=body), ulid())

    def version_string(self) -> str:
        """The `Server` header."""
        return "worker-lib-emulator"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log nothing: requests are counted, not logged."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's
        """Send messages of the base class to the log."""
        log.info("http_error", extra={"detail": format % args})


class _SocketHandler(_Handler):
    """The same on a unix socket, which has no Nagle delay."""

    disable_nagle_algorithm = False


def _mark_for_reset(connection: socket.socket) -> None:
    """Make the kernel send RST when the connection is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.pack(1, 0))


def _is_to_be_reset(connection: socket.socket) -> bool:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size)
    return _LINGER.unpack(raw) == (1, 0)
