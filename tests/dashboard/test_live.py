"""Pages that change by themselves: who pays for it, what is sent, when it ends."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
from flask import Flask
from waiting import until
from waitress.task import WSGITask

from worker_lib.dashboard import live
from worker_lib.dashboard.blueprint import make_blueprint
from worker_lib.dashboard.live import Channel, Hub, Rendered, Slots
from worker_lib.dashboard.registry import Event
from worker_lib.dashboard.serve import make_server
from worker_lib.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flask.testing import FlaskClient

    from worker_lib.client.client import Client
    from worker_lib.settings import Settings

HOUR = 3600.0


class Source:
    """A page's document, and what it cost to read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.price = 1
        self.loads = 0
        self.sent = 0
        self.swept, self.sweeps_at = 0, 0.0
        self.text = "a"
        self.trouble = ""

    def load(self) -> dict[str, Any]:
        self.loads += 1
        self.sent += self.price
        if self.trouble:
            raise StoreUnavailable(self.trouble)
        return {"text": self.text}

    def sweep(self) -> int:
        is_due = self.now >= self.sweeps_at
        if is_due:
            self.sweeps_at = self.now + 60
        self.swept += is_due
        return int(is_due)

    def channel(self) -> Channel:
        return Channel(self.load, lambda: self.sent, lambda: self.now, self.sweep)


def render(document: Mapping[str, Any]) -> str:
    """Return the page of a document."""
    return f"<p>{document['text']}</p>"


@pytest.mark.parametrize("price", [1, 3, 10])
def test_an_hour_costs_1800_commands_however_many_look(price: int) -> None:
    """And however often they do, whatever a page costs to read, with the sweeps."""
    source = Source()
    source.price = price
    channel = source.channel()
    while source.now < HOUR:
        for _ in range(3):
            channel.rendered("admin", render)
        source.now += 0.5

    assert 1780 - price <= source.sent + source.swept <= 1800
    assert 56 <= source.swept <= 60


def test_a_page_that_was_just_opened_is_read_often() -> None:
    """For a minute also one that takes three commands; then it pays for that."""
    source = Source()
    source.price = 3
    channel = source.channel()
    loads = []
    for _ in range(2):
        loads.append(-source.loads)
        until_now = source.now
        while source.now < until_now + 60:
            channel.rendered("admin", render)
            source.now += 0.5
        loads[-1] += source.loads

    assert 28 <= loads[0] <= 31
    assert 8 <= loads[1] <= 13


def test_people_who_open_a_page_do_not_hold_up_those_who_look() -> None:
    source = Source()
    channel = source.channel()
    for _ in range(500):
        channel.load_now()
    source.now += 2.5
    channel.rendered("admin", render)

    assert 501 == source.loads


def test_what_was_done_is_seen_at_once() -> None:
    source = Source()
    channel = Hub(lambda: source.sent).channel("key", source.load)
    channel.rendered("admin", render)
    hub = Hub(lambda: source.sent)
    seen = hub.channel("key", source.load)
    seen.rendered("admin", render)
    source.text = "b"

    assert "<p>a</p>" == seen.rendered("admin", render).html
    hub.expire()
    assert "<p>b</p>" == seen.rendered("admin", render).html


def test_the_same_page_has_one_channel_and_others_their_own() -> None:
    """Those that were not used for longest are let go."""
    hub = Hub(int)
    first = hub.channel("a", dict)

    assert first is hub.channel("a", dict)
    for number in range(200):
        hub.channel(number, dict)
    assert first is not hub.channel("a", dict)


def test_an_outage_is_told_and_the_page_stays() -> None:
    source = Source()
    channel = source.channel()
    channel.rendered("admin", render)
    source.trouble, source.now = "Redis is away", 10.0
    away = channel.rendered("admin", render)
    source.trouble, source.now = "", 20.0
    back = channel.rendered("admin", render)

    assert Rendered("<p>a</p>", back.digest, "Redis is away") == away
    assert "" == back.trouble


def test_a_fault_in_a_page_does_not_end_its_streams(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> dict[str, Any]:
        raise KeyError("secret")

    seen = Channel(broken, int).rendered("admin", render)

    assert "the server's log" in seen.trouble
    assert "secret" not in seen.trouble
    assert "dashboard_load_failed" == caplog.records[-1].message


def told(renderings: list[Rendered], last: str = "") -> list[Event]:
    """Return what a stream tells of pages that follow each other."""
    left = iter(renderings)
    events = live.page_events(lambda: next(left), last, pause=lambda _: None)
    found: list[Event] = []
    with pytest.raises(RuntimeError):  # there are no more
        found.extend(event for event in events if event is not None)
    return found


def test_a_page_is_sent_when_it_is_another() -> None:
    a, b = Rendered("a", "1"), Rendered("b\nc", "2")

    sent = told([a, a, b, b._replace(trouble="away"), b, a])

    assert [
        Event("page", "a", "1"),
        Event("page", "b\nc", "2"),
        Event("trouble", "away"),
        Event("trouble", ""),
        Event("page", "a", "1"),
    ] == sent


def test_what_the_browser_has_is_not_sent_again() -> None:
    assert [] == told([Rendered("a", "1")], last="1")


def test_the_passing_of_time_is_no_change() -> None:
    """Browsers let times go on by themselves."""
    earlier = '<td><time datetime="x" data-ago>3 s ago</time></td>'
    channel = Channel(dict, int)

    first = channel.rendered("a", lambda _: earlier)
    later = channel.rendered("b", lambda _: earlier.replace("3 s", "5 s"))
    other = channel.rendered("c", lambda _: earlier.replace('"x"', '"y"'))

    assert first.digest == later.digest != other.digest


def streamed(
    events: Iterator[Event | None], gone: Any, clock: Callable[[], float]
) -> list[str]:
    """Return what a stream writes."""
    return list(live.stream(events, gone, clock=clock))


def test_a_stream_ends_after_five_minutes_with_heartbeats() -> None:
    """One every 15 s, so that nothing in between closes it."""
    now = [0.0]

    def quiet() -> Iterator[None]:
        while True:
            now[0] += 0.5
            yield None

    written = streamed(quiet(), lambda: False, lambda: now[0])

    assert "retry: 1000\n\n" == written[0]
    assert 300.0 == now[0]
    assert [":\n\n"] * 19 == written[1:]


def test_a_stream_ends_when_its_browser_has_gone() -> None:
    ticks = itertools.count()
    written = streamed(
        iter(lambda: None, 1), lambda: next(ticks) > 2, clock=lambda: 0.0
    )

    assert ["retry: 1000\n\n"] == written


def test_lines_of_an_event_stay_lines() -> None:
    """Whatever ends them: none begins a field of its own."""
    data = "a\nevent: evil\r\nid: 7\rdata: x\u2028y"
    written = streamed(iter([Event("page", data, "1")]), bool, clock=lambda: 0.0)

    assert (
        "event: page\nid: 1\ndata: a\ndata: event: evil\ndata: id: 7\n"
        "data: data: x\u2028y\n\n" == written[1]
    )


def test_a_slot_is_given_back_once() -> None:
    slots = Slots(1)
    release = slots.take()
    assert release is not None

    assert slots.take() is None
    release()
    release()
    assert slots.take() is not None
    assert slots.take() is None


@pytest.fixture
def crowded(client: Client, browser_of: Callable[[Flask], FlaskClient]) -> FlaskClient:
    """A browser at an app that allows one stream."""
    app = Flask(__name__)
    app.register_blueprint(make_blueprint(lambda _: "admin", max_streams=1))
    return browser_of(app)


def test_one_stream_too_many_is_sent_away(crowded: FlaskClient) -> None:
    """For good, so that the page asks instead; the next one is welcome again."""
    first = crowded.get("/overview/live", buffered=False)
    assert 204 == crowded.get("/overview/live").status_code

    first.close()
    assert 200 == crowded.get("/overview/live", buffered=False).status_code


def test_where_nobody_can_tell_that_a_browser_has_gone_there_is_no_stream(
    crowded: FlaskClient,
) -> None:
    """It would hold its thread, and ask Redis, for minutes."""
    del crowded.environ_base["waitress.client_disconnected"]

    assert 204 == crowded.get("/overview/live").status_code


def test_a_page_without_a_stream_asks_for_its_part(
    crowded: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gets it only if it is another."""
    # Not read again meanwhile, however long this takes: Redis's memory is on it.
    monkeypatch.setattr(live, "SECONDS_PER_COMMAND", HOUR)
    part = crowded.get("/overview/part")
    etag = part.headers["ETag"]
    same = crowded.get("/overview/part", headers={"If-None-Match": etag})

    assert "<html" not in part.text
    assert "tile-queued" in part.text
    assert (304, "") == (same.status_code, same.text)


class Browser:
    """A stream over a real connection."""

    def __init__(self, port: int, path: str = "/overview/live") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        words = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        self._socket.sendall(words.encode())
        self.received = b""

    def read_until(self, text: bytes) -> None:
        while text not in self.received:
            more = self._socket.recv(65536)
            assert more, "the stream ended"
            self.received += more

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def port(client: Client) -> Iterator[int]:
    """The port of `worker-lib dashboard` on a real Redis."""
    server: Any = make_server("127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server.effective_port
    server.trigger.pull_trigger(server.close)
    server.task_dispatcher.shutdown()
    thread.join(10)
    assert not thread.is_alive()


def test_nobody_who_looks_costs_nothing_and_who_leaves_stops_it(
    port: int, settings: Settings
) -> None:
    """On a real connection: within a second of its end, its thread is free."""
    with redis.Redis.from_url(settings.redis_url) as connection:
        browser = Browser(port)
        browser.read_until(b"event: page")
        assert 1 == _requests()
        browser.close()
        began = time.monotonic()
        until(lambda: not _requests())
        took = time.monotonic() - began
        before = _commands(connection)
        time.sleep(2.5)  # an interval and more, in which nothing is to happen
        after = _commands(connection)

    assert took < 1.5
    assert 1 == after - before, "the question itself"


def _requests() -> int:
    """Return how many threads of the server answer a request."""
    frames = sys._current_frames().values()
    return sum(_is_in(frame, WSGITask.execute.__code__) for frame in frames)


def _is_in(frame: Any, code: Any) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def _commands(connection: redis.Redis) -> int:
    return int(connection.info("stats")["total_commands_processed"])
