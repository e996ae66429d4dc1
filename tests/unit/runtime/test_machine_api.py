"""Requests of a machine about itself, by a socket that answers in many ways."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from worker_lib.runtime.machine_api import Refused, ask

if TYPE_CHECKING:
    from pathlib import Path

PLACE = {"FLY_APP_NAME": "jobs", "FLY_MACHINE_ID": "m1"}


def answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *pieces: bytes, stays: bool = False
) -> bytes:
    """Ask a socket that answers in these pieces, and then closes or `stays` open."""
    for name, value in {**PLACE, "WORKER_LIB_MACHINE_API": str(folder / "s")}.items():
        monkeypatch.setenv(name, value)
    is_over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                for piece in pieces:
                    connection.sendall(piece)
                if stays:
                    is_over.wait(10)

        server = threading.Thread(target=serve)
        server.start()
        try:
            return ask("GET", "", timeout=2.0)
        finally:
            is_over.set()
            server.join()


@pytest.mark.parametrize(
    ("pieces", "stays"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",), True),
        ((b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\n", b"\r\nh", b"i"), True),
        ((b"HTTP/1.1 200 OK\r\n\r\n", b"hi"), False),
    ],
)
def test_a_body_ends_where_its_head_says_or_the_connection_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pieces: tuple[bytes, ...],
    stays: bool,
) -> None:
    """A server that keeps the connection open is not waited for."""
    assert b"hi" == answered(tmp_path, monkeypatch, *pieces, stays=stays)


def test_a_refusal_is_told_with_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was done."""
    reply = b"HTTP/1.1 412 X\r\nContent-Length: 8\r\n\r\nhas swap"

    with pytest.raises(Refused, match="412 has swap"):
        answered(tmp_path, monkeypatch, reply)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
def test_half_an_answer_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: bytes
) -> None:
    """It may have been done: no refusal."""
    with pytest.raises(ConnectionError):
        answered(tmp_path, monkeypatch, reply)


def test_outside_a_machine_nothing_is_asked() -> None:
    """There is no socket, and nobody to ask about."""
    with pytest.raises(Refused, match="this is no machine"):
        ask("GET", "", timeout=1.0)
