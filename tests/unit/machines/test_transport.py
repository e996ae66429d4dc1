"""What happens between the client and the wire: tries, time, sessions, surprises."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import requests
import responses
from urllib3.exceptions import MaxRetryError, SSLError

from worker_lib.errors import ApiUnavailable, MachinesApiError, RateLimited
from worker_lib.machines.api import MachinesApi

from .conftest import BASE, CANARY, MACHINES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE = f"{MACHINES}/148e"
REPLY = {"id": "148e"}
RESET = struct.pack("ii", 1, 0)  # l_onoff, l_linger: closing sends RST
ANY = re.compile(".*")


def create(api: MachinesApi) -> object:
    """Do what must not be done twice."""
    return api.create_machine(name="jobs-1", region=None, config={"image": "i"})


def read(api: MachinesApi) -> object:
    """Do what may be done twice."""
    return api.get_machine("148e")


def answer_one(connection: socket.socket, answer: bytes | None, *, reset: bool) -> None:
    """Say the bytes and wait until the client has gone; None says nothing."""
    connection.recv(65536)
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        return
    if answer is not None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
    connection.settimeout(5)
    while connection.recv(65536):
        pass


@contextmanager
def server(answer: bytes | None, *, reset: bool = False) -> Iterator[str]:
    """Serve the same bytes to every connection; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                with listener.accept()[0] as connection, suppress(OSError):
                    answer_one(connection, answer, reset=reset)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield "http://{}:{}".format(*listener.getsockname())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def refusal(
    base_url: str, act: Callable[[MachinesApi], object], timeout: float = 5.0
) -> tuple[str, int, str]:
    """Return refusal, number of pauses and text of what an act ends in."""
    pauses: list[float] = []
    api = MachinesApi(base_url, CANARY, "jobs", timeout=timeout, sleep=pauses.append)
    with pytest.raises(ApiUnavailable) as caught:
        act(api)
    api.close()
    return caught.value.refusal, len(pauses), str(caught.value)


@pytest.mark.parametrize("status", [502, 503])
def test_read_is_tried_three_times(
    status: int, api: MachinesApi, fly: responses.RequestsMock, pauses: list[float]
) -> None:
    """Trouble that passes is not seen; the pauses are short and uneven."""
    fly.get(ONE, status=status)
    fly.get(ONE, status=status)
    fly.get(ONE, json=REPLY)

    read(api)

    assert 2 == len(pauses)
    assert all(0.1 <= pause <= 1.0 for pause in pauses)


def test_read_gives_up_after_three_tries(
    api: MachinesApi, fly: responses.RequestsMock, pauses: list[float]
) -> None:
    """Trouble that stays is reported as what it is."""
    fly.get(ONE, status=503, headers={"Retry-After": "3"})

    with pytest.raises(ApiUnavailable) as caught:
        read(api)

    assert (503, "retry", 3.0) == (
        caught.value.status,
        caught.value.refusal,
        caught.value.retry_after,
    )
    assert (3, 2) == (len(fly.calls), len(pauses))


@pytest.mark.parametrize("status", [408, 409, 412, 422, 429, 500, 502, 503, 504])
def test_create_is_sent_once_whatever_comes_back(
    status: int, api: MachinesApi, fly: responses.RequestsMock, pauses: list[float]
) -> None:
    """The launcher decides, for a second create may be a second machine."""
    fly.post(MACHINES, status=status)

    with pytest.raises(MachinesApiError):
        create(api)

    assert (1, []) == (len(fly.calls), pauses)


@pytest.mark.parametrize("status", [500, 504, 404, 412])
def test_read_is_not_repeated_for_what_does_not_pass(
    status: int, api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Fly's own client repeats on 502 and 503 only."""
    fly.get(ONE, status=status)

    with pytest.raises(MachinesApiError):
        read(api)

    assert 1 == len(fly.calls)


def test_rate_limit_is_not_waited_out(
    api: MachinesApi, fly: responses.RequestsMock, pauses: list[float]
) -> None:
    """The launcher has the bucket that all processes share."""
    fly.get(ONE, status=429, headers={"Retry-After": "2"})

    with pytest.raises(RateLimited) as caught:
        read(api)

    assert (2.0, []) == (caught.value.retry_after, pauses)


def test_a_create_is_sent_once(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Its failure is ambiguous: somebody has to look."""
    fly.post(ANY, status=503)

    with pytest.raises(ApiUnavailable) as caught:
        create(api)

    assert ("ambiguous", 1) == (caught.value.refusal, len(fly.calls))


def test_what_is_idempotent_is_repeated(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Its failure is safe to repeat."""
    fly.delete(ANY, status=502)

    with pytest.raises(ApiUnavailable) as caught:
        api.destroy_machine("148e")

    assert ("retry", 3) == (caught.value.refusal, len(fly.calls))


def test_refused_connection_is_safe_to_repeat() -> None:
    """Nothing was sent, so even a create may be sent again."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = "http://{}:{}".format(*closed.getsockname())

    assert ("retry", 0) == refusal(address, create)[:2]
    assert ("retry", 2) == refusal(address, read)[:2]


@pytest.mark.parametrize(
    ("answer", "reset", "reason"),
    [
        (b"", False, "connection broke"),
        (b"", True, "connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", False, "connection broke"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"id": "14', False, "not with a machine"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", False, "not with a machine"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", False, "not with a machine"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", False, "not with a machine"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 99999, False, "not with a machine"),
    ],
)
def test_lost_reply_of_a_create_is_ambiguous(
    answer: bytes, reason: str, *, reset: bool
) -> None:
    """Closed, reset, cut short or garbled: it may have been done."""
    with server(answer, reset=reset) as address:
        advice, pauses, text = refusal(address, create)

    assert ("ambiguous", 0) == (advice, pauses)
    assert reason in text


def test_broken_connection_of_a_read_is_tried_again() -> None:
    """Reading twice is harmless."""
    with server(b"", reset=True) as address:
        assert ("retry", 2) == refusal(address, read)[:2]


@pytest.mark.parametrize(("expected", "act"), [("ambiguous", create), ("retry", read)])
def test_silence_ends_with_the_timeout(
    expected: str, act: Callable[[MachinesApi], object]
) -> None:
    """It is not tried again: whoever calls has waited long enough."""
    with server(None) as address:
        advice, pauses, text = refusal(address, act, timeout=0.05)

    assert (expected, 0) == (advice, pauses)
    assert "time for it was over" in text


def test_connect_timeout_is_safe_to_repeat(fly: responses.RequestsMock) -> None:
    """Nothing was sent."""
    fly.post(MACHINES, body=requests.ConnectTimeout("slow"))

    assert ("retry", 0) == refusal(BASE, create)[:2]


def test_bad_certificate_is_named() -> None:
    """A person must see that it is about the certificate; nothing was sent."""
    cause = SSLError(ssl.SSLCertVerificationError("self-signed"))
    wrapped = MaxRetryError(None, "/", cause)  # type: ignore[arg-type] # no pool here
    with responses.RequestsMock() as mock:
        mock.post(MACHINES, body=requests.exceptions.SSLError(wrapped))
        advice, _, text = refusal(BASE, create)

    assert "retry" == advice
    assert "certificate is not valid" in text
