"""Redis killed, frozen, full, emptied, refusing or not there at all."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import jobs
import pytest
from servers import locked_server
from waiting import is_running, result_of, until

from worker_lib import ConfigError, JobLost, Settings, StoreUnavailable, WorkerLibError
from worker_lib.client.client import Client
from worker_lib.fly import exits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledger import Ledger
    from servers import OwnServer

    from worker_lib.emulator import Emulator


@pytest.fixture
def emulator(make_emulator: Callable[..., Emulator], own_server: OwnServer) -> Emulator:
    """An emulator whose machines use the server of this test."""
    return make_emulator(redis_url=own_server.url)


@pytest.fixture
def client(
    make_client: Callable[..., Client], emulator: Emulator, own_server: OwnServer
) -> Client:
    """A client that uses the server of this test."""
    return make_client(emulator, redis_url=own_server.url)


def test_a_killed_and_restarted_redis_loses_nothing(
    client: Client, own_server: OwnServer, ledger: Ledger
) -> None:
    """Jobs queued, running and done survive; each has one outcome."""
    works = jobs.works.options(max_machines=2)
    running = [works.delay(str(ledger), seconds=0.1, value=n) for n in range(20)]
    for ended in (3, 8, 12):
        until(lambda ended=ended: len(ledger.ends) >= ended)  # type: ignore[misc]  # bound now
        own_server.kill()
        time.sleep(0.2)
        own_server.start()

    assert list(range(20)) == [result_of(job) for job in running]
    outcomes = [[one.outcome for one in job.attempts] for job in running]
    assert [1] * 20 == [one.count("succeeded") for one in outcomes]
    assert all("succeeded" == one[-1] for one in outcomes)


def test_forgotten_scripts_are_sent_again(
    client: Client, own_server: OwnServer, ledger: Ledger
) -> None:
    """SCRIPT FLUSH at any moment is nothing that anybody notices."""
    works = jobs.works.options(max_machines=2)
    over = threading.Event()

    def flush() -> None:
        while not over.wait(0.02):
            own_server.ask("SCRIPT", "FLUSH")

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        running = [works.delay(str(ledger), seconds=0.02, value=n) for n in range(20)]
        assert list(range(20)) == [job.result(timeout=30) for job in running]
    finally:
        over.set()
        flusher.join()
    assert 20 == len(ledger.starts)


def test_idle_connections_that_a_restart_has_closed_are_no_trouble(
    client: Client, own_server: OwnServer
) -> None:
    """The first call after a restart works, however many connections had idled."""
    threads = [threading.Thread(target=jobs.add.remote, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    own_server.kill()
    own_server.start()

    job = jobs.add.delay(1, 2)
    assert 3 == job.result(timeout=20)


def test_a_frozen_redis_delays_a_job_and_does_not_fail_it(
    client: Client, own_server: OwnServer, ledger: Ledger, tmp_path: Path
) -> None:
    """The machine keeps its outcome until Redis answers again."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    until(lambda: ledger.starts)
    own_server.freeze()
    gate.touch()
    until(lambda: ledger.ends)
    time.sleep(1.5)
    own_server.thaw()

    assert 5 == result_of(job)
    assert 1 == [one.outcome for one in job.attempts].count("succeeded")


def test_a_timeout_is_kept_though_redis_is_frozen(
    client: Client, own_server: OwnServer, ledger: Ledger, tmp_path: Path
) -> None:
    """No machine needs Redis to know that a task's time is over."""
    task = jobs.works.options(timeout="2s")
    job = task.delay(str(ledger), gate=str(tmp_path / "never"))
    (started,) = until(lambda: ledger.starts)
    until(lambda: job.info().started_at)
    own_server.freeze()
    try:
        until(lambda: not is_running(started.pid))
        assert time.monotonic() - started.at < 2 + 5
    finally:
        own_server.thaw()


def test_waiting_ends_in_time_though_redis_is_frozen(
    client: Client, own_server: OwnServer, tmp_path: Path
) -> None:
    """`result(timeout)` returns or raises within its time and a second."""
    jobs.add.remote(1)
    job = jobs.waits_for.delay(str(tmp_path / "gate"))
    until(lambda: job.status == "running")
    own_server.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(WorkerLibError):
            job.result(timeout=1)
        assert time.monotonic() - began < 2
    finally:
        own_server.thaw()


def test_a_full_redis_refuses_new_jobs_and_finishes_the_old(
    client: Client, own_server: OwnServer, ledger: Ledger, tmp_path: Path
) -> None:
    """`delay` says what to do; what was accepted is done once there is room."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    waiting = jobs.works.delay(str(ledger), value=6)
    until(lambda: ledger.starts)
    own_server.ask("CONFIG", "SET", "maxmemory", "1mb")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"is full .* give it more memory"):
        jobs.works.delay(str(ledger))
    assert time.monotonic() - began < 3
    gate.touch()
    until(lambda: ledger.ends)
    own_server.ask("CONFIG", "SET", "maxmemory", "0")

    assert (5, 6) == (job.result(timeout=40), waiting.result(timeout=40))


def test_an_emptied_redis_is_told_to_waiters_and_ends_machines(
    client: Client, own_server: OwnServer, ledger: Ledger, tmp_path: Path
) -> None:
    """FLUSHALL: JobLost for who waits, and nothing goes on for nobody."""
    job = jobs.works.delay(str(ledger), gate=str(tmp_path / "never"))
    (started,) = until(lambda: ledger.starts)
    own_server.ask("FLUSHALL")
    began = time.monotonic()

    with pytest.raises(JobLost, match="Redis no longer has it"):
        job.result(timeout=2)
    assert time.monotonic() - began < 3
    until(lambda: not is_running(started.supervisor), within=5)


def _client_of(settings: Settings, url: str, **changes: str) -> Client:
    return Client(
        dataclasses.replace(
            settings,
            redis_url=url,
            fly_api_token="test-token",
            fly_app="tests",
            api_hostname="http://127.0.0.1:9",
            **changes,  # type: ignore[arg-type]  # texts only
        )
    )


def _refusal(client: Client) -> tuple[str, float]:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        client.submit(jobs.add, (1, 2), {})
    client.close()
    return str(caught.value), time.monotonic() - began


def test_no_redis_is_told_within_three_seconds(settings: Settings) -> None:
    """Where nothing listens, `delay` says where it looked and what to correct."""
    for url in ("redis://127.0.0.1:9", "unix:///tmp/there-is-no-such-socket"):
        text, took = _refusal(_client_of(settings, url))

        assert "start it, or correct REDIS_URL" in text
        assert took < 3


def test_a_redis_that_never_answers_is_told_within_three_seconds(
    settings: Settings,
) -> None:
    """A black hole takes the connection, or not even that, and nothing more."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        for _ in range(3):  # the first ones connect, the others find the queue full
            text, took = _refusal(_client_of(settings, f"redis://127.0.0.1:{port}"))

            assert "cannot be reached" in text
            assert took < 3


@pytest.fixture
def locked_redis() -> Iterator[str]:
    """A server that wants a password; yields its URL without one."""
    with locked_server() as path:
        yield f"unix://PASSWORD{path}"


def test_a_wrong_password_is_told_and_not_repeated(
    settings: Settings, locked_redis: str
) -> None:
    """The message names the remedy, never the password; nothing is tried again."""
    for login in (":wrong-password@", ""):
        url = locked_redis.replace("PASSWORD", login)
        text, took = _refusal(_client_of(settings, url))

        assert "refused our password: correct the one in REDIS_URL" in text
        assert "wrong-password" not in text
        assert took < 1


def test_a_right_password_lets_client_and_machine_in(
    settings: Settings,
    locked_redis: str,
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
) -> None:
    """The machine's own way to Redis knows passwords too."""
    url = locked_redis.replace("PASSWORD", ":right-password@")
    make_client(make_emulator(redis_url=url), redis_url=url)

    assert 3 == jobs.add.delay(1, 2).result(timeout=20)


def test_a_missing_secret_is_told_before_anything_is_stored(
    monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """With a Redis but no signing key nothing is sent; the message has the remedy."""
    from worker_lib.client import client as client_module

    monkeypatch.setattr(client_module, "_default", None)
    monkeypatch.setenv("REDIS_URL", redis_url)

    with pytest.raises(ConfigError, match=r"WORKER_LIB_SECRET is not.*openssl rand"):
        jobs.add.delay(1, 2)


def test_a_machine_without_the_secret_ends_with_a_sentence(tmp_path: Path) -> None:
    """It cannot verify anything, so it takes nothing; no traceback."""
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "worker_lib.runtime"],
        env={"REDIS_URL": "redis://127.0.0.1:9", "WORKER_LIB_SLOT": "0"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert exits.BAD_SETTINGS == done.returncode
    assert "worker_lib: WORKER_LIB_SECRET is not set" in done.stderr
    assert "fly secrets set" in done.stderr
    assert "Traceback" not in done.stderr
