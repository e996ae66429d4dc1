"""The server in front of the app: slow clients must not stop it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from waiting import until

from demo.serve import free_port, server
from demo.server import FactsFormatter, Server
from demo.streams import StreamSlots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse

    from flask import Flask
    from flask.testing import FlaskClient

    from worker_lib import Job
    from worker_lib.client.client import Client

UPLOADS, HALF_HEADERS = 40, 200
# An idle server needs some milliseconds; slow clients have 15 s and more.
SOON = 1.5


@pytest.fixture
def url(
    services: dict[str, str], client: Client, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The demo as `make demo` and the image serve it, in a process of its own."""
    monkeypatch.setenv("REDIS_URL", client.settings.redis_url)
    monkeypatch.setenv("WORKER_LIB_SECRET", client.settings.secret)
    monkeypatch.setenv("WORKER_LIB_NAMESPACE", client.settings.namespace)
    with server(free_port()) as (address, _):
        yield address


@pytest.fixture
def make_server() -> Iterator[Callable[..., str]]:
    """Servers of a tiny app, with a deadline of the test's choice."""
    with ExitStack() as stack:

        def make(read_seconds: float) -> str:
            made = Server(_count, host="127.0.0.1", port=0, read_seconds=read_seconds)
            threading.Thread(target=made.run, daemon=True).start()
            stack.callback(made.task_dispatcher.shutdown)
            return f"http://127.0.0.1:{made.effective_port}/"

        yield make


def test_slow_clients_do_not_stop_the_site(url: str) -> None:
    """40 uploads of a byte now and then, and 200 clients that stop half-way."""
    with ExitStack() as stack:
        uploads = [_upload(stack, url, 1_000_000) for _ in range(UPLOADS)]
        for _ in range(HALF_HEADERS):
            _connect(stack, url).sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        taken = []
        for _ in range(5):
            for upload in uploads:
                upload.sendall(b"x")
            taken.append(_seconds_for_a_page(url))

    assert max(taken) < SOON


def test_a_browser_that_leaves_a_stream_frees_its_thread(
    app: Flask, later: Job[Any], browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the real server, as soon as something is written again."""
    monkeypatch.setattr("demo.streams._SLICE_SECONDS", 0.2)
    slots = app.extensions["demo_streams"] = StreamSlots(1)
    cookie = browser.get_cookie(f"job-{later.id}")
    assert cookie
    made = Server(app, host="127.0.0.1", port=0)
    threading.Thread(target=made.run, daemon=True).start()
    with ExitStack() as stack:
        stack.callback(made.task_dispatcher.shutdown)
        with _connect(stack, f"http://127.0.0.1:{made.effective_port}/") as stream:
            stream.sendall(
                f"GET /job/{later.id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Cookie: {cookie.key}={cookie.value}\r\n\r\n".encode()
            )
            heard = b""
            while b"event: job" not in heard:
                heard += stream.recv(4096)
            assert slots.take() is None
        until(slots.take)


def test_who_does_not_finish_a_request_is_disconnected(
    make_server: Callable[..., str],
) -> None:
    """A byte now and then does not help, neither in headers nor in a body."""
    url = make_server(read_seconds=0.5)
    with ExitStack() as stack:
        headers, body = _connect(stack, url), _upload(stack, url, 1000)
        headers.sendall(b"GET / HTTP/1.1\r\nX-")

        until(lambda: _is_closed(headers, drip=b"x"))
        until(lambda: _is_closed(body, drip=b"x"))


def test_a_slow_but_steady_upload_arrives(make_server: Callable[..., str]) -> None:
    """The deadline moves with what has come: 200 KB have twelve seconds more."""
    url = make_server(read_seconds=0.2)
    with ExitStack() as stack:
        upload = _upload(stack, url, 200_000)
        for _ in range(20):
            upload.sendall(b"x" * 10_000)
            time.sleep(0.1)
        answer = upload.recv(1000)

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"200000")


def test_the_log_has_the_facts_of_an_event() -> None:
    """In public, pages say that the log tells why no machine can be had."""
    facts = {"name": "worker_lib.launcher", "levelname": "ERROR", "reason": "no token"}
    record = logging.makeLogRecord({**facts, "msg": "machine_refused"})
    formatter = FactsFormatter("%(levelname)s %(name)s %(message)s")

    expected = "ERROR worker_lib.launcher machine_refused reason='no token'"
    assert expected == formatter.format(record)
    record.exc_text = "Traceback (most recent call last):\nValueError: x"
    assert expected == formatter.format(record).split("\n")[0]
    assert formatter.format(record).endswith("ValueError: x")


def _count(environ: dict[str, Any], start: StartResponse) -> list[bytes]:
    """Answer with the length of the body."""
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(len(environ["wsgi.input"].read())).encode()]


def _connect(stack: ExitStack, url: str) -> socket.socket:
    address = urlsplit(url)
    made = socket.create_connection((address.hostname, address.port or 80), 10)
    return stack.enter_context(made)


def _upload(stack: ExitStack, url: str, length: int) -> socket.socket:
    """Begin a form with a picture, and send none of it yet."""
    connection = _connect(stack, url)
    connection.sendall(
        b"POST /picture HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )
    return connection


def _seconds_for_a_page(url: str) -> float:
    began = time.monotonic()
    with suppress(TimeoutError), urlopen(url, timeout=10) as page:
        page.read()
    return time.monotonic() - began


def _is_closed(connection: socket.socket, drip: bytes) -> bool:
    connection.settimeout(0.1)
    try:
        connection.sendall(drip)
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
