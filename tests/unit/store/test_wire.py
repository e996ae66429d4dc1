"""The machine's own protocol reader, and the URLs that it understands."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.errors import ConfigError, StoreError, StoreUnavailable
from worker_lib.store.address import parse
from worker_lib.store.connection import Connection
from worker_lib.store.resp import pack
from worker_lib.store.wire import NoScript, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

REPLIES: list[tuple[Any, bytes]] = [
    (b"OK", b"+OK\r\n"),
    (b"", b"+\r\n"),
    (7, b":7\r\n"),
    (-3, b":-3\r\n"),
    (b"", b"$0\r\n\r\n"),
    (b"a\r\nb\0$3\r\n", b"$9\r\na\r\nb\0$3\r\n\r\n"),
    (None, b"$-1\r\n"),
    (None, b"*-1\r\n"),
    ([], b"*0\r\n"),
    ([b"x", 1, None, [b"y", []]], b"*4\r\n$1\r\nx\r\n:1\r\n$-1\r\n*2\r\n+y\r\n*0\r\n"),
]


def encode(reply: Any) -> bytes:
    """Return a reply as a server sends it."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))


def pair() -> tuple[Wire, socket.socket]:
    """Return a wire that is connected, and the server's end."""
    ours, theirs = socket.socketpair()
    wire = Wire("unix:///none", "{x}")
    wire._adopt(ours)
    return wire, theirs


class Chunks:
    """A socket that gives what it has in pieces of chosen sizes."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        pieces = [data[a:b] for a, b in pairwise(bounds)]
        self._pieces = [one for one in pieces if one]

    def close(self) -> None: ...

    def recv(self, _most: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def recv_into(self, room: memoryview) -> int:
        data = self.recv(len(room))
        size = min(len(data), len(room))
        room[:size] = data[:size]
        self._pieces[:0] = [data[size:]] if data[size:] else []
        return size


def fed(data: bytes, cuts: list[int]) -> Wire:
    """Return a wire that will read this data in pieces."""
    wire = Wire("unix:///none", "{x}")
    wire._socket = Chunks(data, cuts)  # type: ignore[assignment]  # stands in for one
    return wire


@pytest.mark.parametrize(("expected", "data"), REPLIES)
def test_each_reply_is_read_byte_by_byte(expected: Any, data: bytes) -> None:
    """However the network cuts it."""
    assert expected == fed(data, list(range(len(data)))).receive()


REPLY = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(REPLY, min_size=1, max_size=4), st.lists(st.integers(0, 500)))
def test_any_replies_are_read_in_any_pieces(
    replies: list[Any], cuts: list[int]
) -> None:
    """Several in one piece, one in several: each comes out whole and in order."""
    wire = fed(b"".join(map(encode, replies)), cuts)

    assert replies == [wire.receive() for _ in replies]
    with pytest.raises(StoreUnavailable, match="broke: closed"):
        wire.receive()


@given(
    st.lists(st.integers(-2, 2), min_size=1, max_size=3),
    st.lists(st.integers(0, 5_000_000), max_size=6),
)
def test_large_values_are_read_in_any_pieces(near: list[int], cuts: list[int]) -> None:
    """They are received into place, and what follows them is not."""
    values = [b"x\r\n"[: 3 + by] * ((1 << 15) + by) for by in near]
    wire = fed(encode([1, *values, None]) + encode(values[0]), cuts)

    assert [1, *values, None] == wire.receive()
    assert values[0] == wire.receive()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (NoScript, "NOSCRIPT No matching script."),
        (StoreUnavailable, "LOADING Redis is loading the dataset in memory"),
        (StoreError, "WRONGTYPE Operation against a key holding the wrong kind"),
    ],
)
def test_refusals_that_pass_are_told_from_those_that_stay(
    kind: type[StoreError], line: str
) -> None:
    """What passes is worth another try; `test_refusals` has them all."""
    with pytest.raises(StoreError) as caught:
        fed(b"-%b\r\n" % line.encode(), []).receive()

    assert kind is type(caught.value)


def test_what_came_is_read_without_waiting() -> None:
    """Half a reply is none yet; a reply that came before the end still counts."""
    wire, server = pair()
    assert not wire.has_reply()
    server.sendall(b"+wo")
    assert not wire.has_reply()
    server.sendall(b"rd\r\n:7\r\n:")
    assert wire.has_reply()
    assert b"word" == wire.receive()
    server.close()
    assert wire.has_reply()
    assert 7 == wire.receive()
    with pytest.raises(StoreUnavailable, match="broke: closed"):
        wire.has_reply()
    assert -1 == wire.fileno()


def test_a_large_command_may_follow_a_reply_that_came_late() -> None:
    """How long sending may take does not depend on the answer before."""
    wire, server = pair()
    late = threading.Timer(0.05, server.sendall, [b"+OK\r\n"])
    late.start()
    wire.receive(0.2)
    heard: list[int] = []

    def read_slowly() -> None:
        late.join()
        while sum(heard) < 1 << 22:
            heard.append(len(server.recv(1 << 16)))
            threading.Event().wait(0.005)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    wire.send(b"x" * (1 << 22))
    reader.join(10)
    wire.close()
    server.close()

    assert sum(heard) > 1 << 22


def test_a_command_that_nobody_reads_is_given_up_in_time() -> None:
    """However much of it has been sent."""
    wire, server = pair()
    wire.longest = 0.05
    with pytest.raises(StoreUnavailable, match="timed out"):
        wire.send(b"x" * (1 << 24))
    assert -1 == wire.fileno()
    server.close()


def test_an_error_reply_leaves_the_connection_good() -> None:
    """The next reply is the next command's."""
    wire = fed(b"-ERR no\r\n:1\r\n", [])

    with pytest.raises(StoreError, match="refused a command: ERR no"):
        wire.receive()
    assert 1 == wire.receive()


def test_a_closed_connection_is_told_and_the_next_command_opens_another() -> None:
    """Half a reply is no reply."""
    wire, server = pair()
    server.sendall(b"$5\r\nab")
    server.close()

    with pytest.raises(StoreUnavailable, match="the connection to Redis broke: closed"):
        wire.receive()
    assert -1 == wire.fileno()
    with pytest.raises(StoreUnavailable, match="is closed"):
        wire.receive()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        wire.connect()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"-NOAUTH Authentication required.\r\n", "refused our password"),
        (b"+OK\r\n", "broke"),
        (b"-NOAU", "broke"),
        (b"", "broke"),
    ],
)
def test_why_a_server_hung_up_on_a_long_command_is_told(said: bytes, told: str) -> None:
    """One that wants a password reads no long command from who has given none."""
    wire, server = pair()
    server.sendall(said)
    server.close()

    with pytest.raises(StoreUnavailable, match=told):
        wire.send("EVAL", "x" * 100_000)
    assert wire.fileno() == -1


def test_a_reply_that_does_not_come_in_time_ends_the_connection() -> None:
    """A late reply must not be taken for that of the next command."""
    wire, server = pair()
    server.sendall(b"+half")

    with pytest.raises(StoreUnavailable, match="timed out"):
        wire.receive(timeout=0.01)
    assert -1 == wire.fileno()
    server.close()


def test_words_are_sent_with_their_length_in_bytes() -> None:
    """Text, numbers and bytes; whatever is in them."""
    wire, server = pair()
    wire.send(b"SET", "\u00e9", 1.5, 7, b"a\r\n")

    expected = (
        b"*5\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$3\r\n1.5\r\n$1\r\n7\r\n$3\r\na\r\n\r\n"
    )
    assert expected == server.recv(1000)
    wire.close()
    server.close()


def test_large_words_are_sent_as_they_are() -> None:
    """As pieces of their own, in their place."""
    large = b"x" * (1 << 15)
    pieces = pack((b"SET", large, large, b"y"))

    assert pieces[1] is large
    assert [b"SET", large, large, b"y"] == fed(b"".join(pieces), []).receive()


@contextmanager
def server_of_one(address: str = "127.0.0.1") -> Iterator[tuple[int, list[bytes]]]:
    """Serve one connection that says OK to everything; yield port and what came."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    heard: list[bytes] = []
    listener = socket.create_server((address, 0), family=family)

    def serve() -> None:
        connection, _ = listener.accept()
        # Who finds that this is no TLS leaves without a word.
        with connection, suppress(ConnectionError):
            while data := connection.recv(4096):
                heard.append(data)
                connection.sendall(b"+OK\r\n" * data.count(b"*"))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], heard
    thread.join(5)
    listener.close()


def words(heard: list[bytes]) -> list[str]:
    """Return the words of all commands that came."""
    lines = b"".join(heard).split(b"\r\n")
    return [line.decode() for line in lines if line[:1] not in {b"*", b"$", b""}]


@pytest.mark.parametrize(
    ("expected", "url"),
    [
        (["GET"], "redis://127.0.0.1:{}"),
        (["GET"], "redis://127.0.0.1:{}/"),
        (["GET"], "redis://127.0.0.1:{}/0"),
        (["SELECT", "3", "GET"], "redis://127.0.0.1:{}/3"),
        (["AUTH", "pw", "GET"], "redis://:pw@127.0.0.1:{}"),
        (["AUTH", "me", "pw", "GET"], "redis://me:pw@127.0.0.1:{}"),
        (["AUTH", "p@s/s:w%", "GET"], "redis://:p%40s%2Fs%3Aw%25@127.0.0.1:{}"),
        (["AUTH", "a@b", "p@w", "GET"], "redis://a%40b:p%40w@127.0.0.1:{}/0"),
        (
            ["AUTH", "default", "pw", "SELECT", "2", "GET"],
            "redis://default:pw@localhost:{}/2",
        ),
    ],
)
def test_each_form_of_url_leads_to_its_greeting(expected: list[str], url: str) -> None:
    """Password, user and database come before the first command."""
    with server_of_one() as (port, heard):
        wire = Wire(url.format(port), "{x}")
        wire.connect()
        wire.send(b"GET")
        wire.receive()
        wire.close()

    assert expected == words(heard)


def test_an_ipv6_host_is_understood() -> None:
    """Fly's private network has no other addresses."""
    try:
        with server_of_one("::1") as (port, heard):
            wire = Wire(f"redis://:pw@[::1]:{port}/1", "{x}")
            wire.connect()
            wire.close()
    except OSError:
        pytest.skip("this machine has no IPv6")

    assert ["AUTH", "pw", "SELECT", "1"] == words(heard)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (("localhost", 6379), ""),
        (("redis", 6379), "redis"),
        (("redis", 1), "redis:1"),
        (("fdaa::3", 6379), "[fdaa::3]"),
        (("fdaa::3", 6380), "[fdaa::3]:6380"),
    ],
)
def test_host_and_port_have_defaults(expected: tuple[str, int], text: str) -> None:
    """As other clients have them."""
    address = parse(f"redis://:secret@{text}/1")

    assert expected == (address.host, address.port)


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:6379", "http://localhost", "redis://:CANARY@host:port"),
        *("redis://:CANARY@host:0", "redis://:CANARY@host:65536"),
        *("redis://:CANARY@host/one", "unix://:CANARY@/tmp/redis?db=one", ""),
    ],
)
def test_a_url_that_cannot_be_read_is_told_without_being_shown(url: str) -> None:
    """By both sides, before anything is sent."""
    for kind in (Wire, Connection):
        with pytest.raises(ConfigError, match="REDIS_URL cannot be read") as caught:
            kind(url, "{x}")
        assert "CANARY" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_nobody_there_is_told() -> None:
    """The address is refused at once, or the name is unknown."""
    for url in ("redis://127.0.0.1:1", "unix:///nowhere/at/all"):
        with pytest.raises(StoreUnavailable, match="Redis cannot be reached"):
            Wire(url, "{x}").connect()


def test_each_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may stand for an IPv6 address at which nobody listens, too."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        _, port = server.getsockname()
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr("_socket.getaddrinfo", lambda *_: found)
        wire = Wire(f"redis://redis.internal:{port}", "{x}")
        wire.connect()
        accepted, _ = server.accept()
        with accepted:
            wire.send("PING")
            assert b"PING" in accepted.recv(100)
        wire.close()


def test_a_host_without_any_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one whose name is not known."""
    monkeypatch.setattr("_socket.getaddrinfo", lambda *_: [])

    with pytest.raises(StoreUnavailable, match=r"redis\.internal has no address"):
        Wire("redis://redis.internal", "{x}").connect()


def test_tls_is_verified() -> None:
    """A stranger's certificate is none."""
    with server_of_one() as (port, _):
        wire = Wire(f"rediss://localhost:{port}", "{x}")
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            wire.connect()
    assert ssl.CERT_REQUIRED == ssl.create_default_context().verify_mode


def test_a_path_with_an_at_sign_is_no_login() -> None:
    """As redis-py reads it."""
    address = parse("unix:///tmp/a@b/sock")

    assert ("/tmp/a@b/sock", ()) == (address.path, address.greeting)


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{}/?db=2", "redis://127.0.0.1:{}?db=2"]
)
def test_a_database_in_the_query_is_that_of_redis_py(url: str) -> None:
    """Both sides must speak to the same database, or no job is ever found."""
    with server_of_one() as (port, heard):
        wire = Wire(url.format(port), "{x}")
        try:
            wire.connect()
        finally:
            wire.close()
            import socket

            with socket.socket() as s:
                s.connect_ex(("127.0.0.1", port))
    assert ["SELECT", "2"] == words(heard)
