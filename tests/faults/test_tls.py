"""Redis over TLS 1.3, without a password and in database 0: `rediss://host`.

The server's session tickets then are the first that comes over a connection, and make
it readable although nobody has said anything.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import jobs
import pytest
from tls import TlsProxy
from waiting import is_running, until

from worker_lib import JobCancelled, JobFailed, fly_task
from worker_lib.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


@pytest.fixture
def proxy(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TlsProxy]:
    """The real server behind TLS; its certificate is trusted here."""
    made = TlsProxy(Path(redis_url.removeprefix("unix://")), tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", made.certificate)
    yield made
    made.close()


@pytest.fixture
def client(
    proxy: TlsProxy,
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
) -> Client:
    """A client and machines that meet over TLS."""
    emulator = make_emulator(redis_url=proxy.url)
    emulator.set_secrets("tests", {"SSL_CERT_FILE": proxy.certificate})
    return make_client(emulator, redis_url=proxy.url, lease_ttl=1.5)


def test_session_tickets_are_no_reply(proxy: TlsProxy) -> None:
    """The socket can be read, and there is nothing in it for us."""
    import select

    wire = Wire(proxy.url, "{x}")
    wire.connect()
    poller = select.poll()
    poller.register(wire.fileno(), select.POLLIN)
    assert poller.poll(5000), "no ticket came"
    began = time.monotonic()

    assert not wire.has_reply()
    assert time.monotonic() - began < 1
    wire.send(b"PING")
    until(wire.has_reply)
    assert b"PONG" == wire.receive()
    wire.close()


def test_a_reply_of_many_records_is_read_whole(proxy: TlsProxy) -> None:
    """What TLS has decrypted makes no socket readable any more."""
    wire = Wire(proxy.url, "{x}")
    wire.connect()
    wire.send(b"ECHO", b"x" * 200_000)
    until(wire.has_reply)
    wire.send(b"PING")

    assert b"x" * 200_000 == wire.receive()
    assert b"PONG" == wire.receive()
    wire.close()


def test_jobs_run_and_are_waited_for(client: Client) -> None:
    """Both sides, with results of any size."""
    assert 3 == jobs.add.remote(1, 2)
    assert 300_000 == len(jobs.gives.remote(300_000))
    seen = [info.status for info in jobs.add.delay(1, 2).watch(timeout=20)]
    assert "succeeded" == seen[-1]


def test_a_time_out_is_kept(client: Client, ledger: Ledger) -> None:
    """Waiting for a reply that is not coming, the machine looked at no clock."""
    job = jobs.works.options(timeout="2s").delay(str(ledger), gate="/nowhere")
    with pytest.raises(JobFailed, match="longer than its timeout"):
        job.result(timeout=20)

    (attempt,) = job.attempts
    assert attempt.ended_at is not None
    assert attempt.ended_at - attempt.started_at < 4
    assert "timeout" == attempt.outcome


def test_the_lease_is_renewed(client: Client, ledger: Ledger, tmp_path: Path) -> None:
    """So a job longer than its lease runs once."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (started,) = until(lambda: ledger.starts)
    until(lambda: time.monotonic() > started.at + 3.5)
    gate.touch()

    assert 5 == job.result(timeout=20)
    assert 1 == len(ledger.starts)


def test_a_cancel_is_heard_at_once(client: Client, ledger: Ledger) -> None:
    """The control connection hears what is said, and only that."""
    job = jobs.works.delay(str(ledger), gate="/nowhere")
    (started,) = until(lambda: ledger.starts)
    until(lambda: time.monotonic() > started.at + 1.5)
    job.cancel()

    until(lambda: not is_running(started.pid), within=4)
    with pytest.raises(JobCancelled):
        job.result(timeout=5)


def test_a_lingering_machine_ends_when_its_time_is_over(
    client: Client, ledger: Ledger
) -> None:
    """Tickets woke it, it waited, and lingered anew, for as long as it might live."""
    works = jobs.works.options(linger="3s")
    works.delay(str(ledger)).result(timeout=20)
    (started,) = ledger.starts

    until(lambda: not is_running(started.supervisor), within=8)
    assert 2.5 < time.monotonic() - ledger.ends[-1].at < 8


def test_cut_connections_do_not_prolong_lingering(
    client: Client, proxy: TlsProxy, ledger: Ledger
) -> None:
    """A proxy that closes what idles would else keep a machine up for hours."""
    works = jobs.works.options(linger="3s")
    works.delay(str(ledger)).result(timeout=20)
    (started,) = ledger.starts
    for after in (1, 2):
        until(lambda after=after: time.monotonic() > ledger.ends[-1].at + after)  # type: ignore[misc]  # bound now
        proxy.cut()

    until(lambda: not is_running(started.supervisor), within=6)
    assert time.monotonic() - ledger.ends[-1].at < 8


def test_a_lingering_machine_takes_the_next_call(
    client: Client, ledger: Ledger
) -> None:
    """It is woken by a call, as over any other connection."""
    works = fly_task(linger="20s")(jobs.works.fn)
    works.delay(str(ledger)).result(timeout=20)
    until(lambda: time.monotonic() > ledger.ends[-1].at + 1)
    began = time.monotonic()
    works.delay(str(ledger)).result(timeout=20)

    assert time.monotonic() - began < 2
    assert 1 == len({one.supervisor for one in ledger.starts})
