"""An executor while machines are killed, Redis is away, and replies are lost."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import jobs
import plain
import pytest
from waiting import parent_of, until

from worker_lib import (
    Crashed,
    FlyExecutor,
    JobLost,
    MachineError,
    MachineLost,
    NotLoadable,
    StoreUnavailable,
)
from worker_lib.client import submissions
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos import ChaosProxy
    from ledger import Ledger
    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


def test_a_crash_fails_its_own_call_only(client: Client) -> None:
    """The pool is not broken: other calls go on, and further ones are taken."""
    with FlyExecutor(1) as pool:
        before, crash, after = (
            pool.submit(abs, -1),
            pool.submit(jobs.crashes),
            pool.submit(abs, -2),
        )

        assert (1, 2) == (before.result(30), after.result(30))
        with pytest.raises(Crashed, match="SIGSEGV"):
            crash.result(30)
        assert 3 == pool.submit(abs, -3).result(30)


def test_what_a_machine_cannot_load_is_an_error_of_its_future(client: Client) -> None:
    """The call did not run."""
    with FlyExecutor(1) as pool, pytest.raises(NotLoadable):
        pool.submit(id, plain.FailsWhenLoaded()).result(30)


def test_calls_of_a_machine_that_is_killed_run_on_another(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """Nothing of it is seen at the future."""
    gate = tmp_path / "gate"
    with FlyExecutor(1) as pool:
        found = pool.submit(jobs.works, str(ledger), str(gate), value=5)
        after = pool.submit(abs, -1)
        (first,) = until(lambda: ledger.starts)
        os.kill(first.supervisor, signal.SIGKILL)
        until(lambda: ledger.starts[1:])
        gate.touch()

        assert (5, 1) == (found.result(30), after.result(30))


def test_calls_that_may_not_run_twice_fail_with_their_machine(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """And those behind them run."""
    with FlyExecutor(1, on_lost="fail") as pool:
        found = pool.submit(jobs.works, str(ledger), str(tmp_path / "never"))
        after = pool.submit(abs, -1)
        (first,) = until(lambda: ledger.starts)
        os.kill(first.supervisor, signal.SIGKILL)

        with pytest.raises(MachineLost):
            found.result(30)
        assert 1 == after.result(30)


def test_lost_replies_neither_lose_nor_double_calls(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    tmp_path: Path,
) -> None:
    """Storing, hearing of ends and reading outcomes are all sent again."""
    make_client(make_emulator(), redis_url=proxy.url)
    runs = tmp_path / "runs"
    for verb in ("enqueue", "batch", "outcomes"):
        proxy.lose_replies(verb, times=3, every=2)
    with FlyExecutor(2) as pool:
        found = [pool.submit(plain.noted, str(runs), number) for number in range(200)]
        assert list(range(200)) == [one.result(40) for one in found]

    assert set(range(200)) == {*map(int, runs.read_text().split())}
    assert {1} == {*Counter(runs.read_text().split()).values()}
    assert proxy.lost["enqueue"] >= 1
    assert proxy.lost["batch"] >= 1


def test_calls_wait_for_redis_to_come_back(
    own_server: OwnServer,
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
) -> None:
    """A restart is seen by nobody: neither what was submitted before, nor meanwhile."""
    make_client(make_emulator(redis_url=own_server.url), redis_url=own_server.url)
    with FlyExecutor(1) as pool:
        before = [pool.submit(time.sleep, 0.05) for _ in range(20)]
        before[0].result(30)
        own_server.kill()
        meanwhile = pool.submit(abs, -1)
        own_server.start()

        assert [None] * 20 == [one.result(40) for one in before]
        assert 1 == meanwhile.result(40)


def test_calls_fail_where_redis_stays_away(
    own_server: OwnServer,
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each in its future; once Redis is back, the same executor takes further ones."""
    monkeypatch.setattr(submissions, "_PATIENCE", 0.5)
    make_client(make_emulator(redis_url=own_server.url), redis_url=own_server.url)
    with FlyExecutor(1) as pool:
        assert 1 == pool.submit(abs, -1).result(30)
        own_server.kill()
        failed = [pool.submit(abs, -2) for _ in range(5)]
        for one in failed:
            with pytest.raises(StoreUnavailable):
                one.result(30)
        own_server.start()

        assert 3 == pool.submit(abs, -3).result(30)


def test_calls_fail_at_once_where_redis_was_never_reached(
    emulator: Emulator, make_client: Callable[..., Client], tmp_path: Path
) -> None:
    """It may be the wrong address."""
    make_client(emulator, redis_url=f"unix://{tmp_path}/nothing")
    with FlyExecutor(1) as pool, pytest.raises(StoreUnavailable):
        pool.submit(abs, -1).result(10)


def test_calls_whose_data_is_lost_fail(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """Nobody waits for them for ever."""
    import redis

    gate = tmp_path / "gate"
    with FlyExecutor(1) as pool:
        found = pool.submit(jobs.works, str(ledger), str(gate))
        until(lambda: ledger.starts)
        prefix = key_prefix(client.settings.namespace)
        with redis.Redis.from_url(client.settings.redis_url) as connection:
            connection.delete(*connection.keys(f"{prefix}:*"))
        gate.touch()

        with pytest.raises(JobLost):
            found.result(30)


def test_calls_fail_where_no_machine_can_be_had(
    make_emulator: Callable[..., Emulator], make_client: Callable[..., Client]
) -> None:
    """With the reason; and they do not run later, as nobody would hear of it."""
    client = make_client(make_emulator(), fly_api_token="wrong")
    with FlyExecutor(1) as pool:
        found = [pool.submit(abs, -1) for _ in range(3)]
        for one in found:
            with pytest.raises(MachineError, match="token"):
                one.result(30)

        news = client.store.batches.news(pool.batch_id)
        assert news is not None
        assert {"cancelled": 3} == news.seen.counts


def test_cancelling_while_calls_are_being_stored_is_exact(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told to be cancelled has not run, and the rest has."""
    runs = tmp_path / "runs"
    with FlyExecutor(2) as pool:
        found = []
        cancelled = set()
        for number in range(300):
            found.append(pool.submit(plain.noted, str(runs), number))
            if number % 3 == 0:
                cancelled |= {number} if found[-1].cancel() else set()
        for number, one in enumerate(found):
            if number in cancelled:
                with pytest.raises(CancelledError):
                    one.result(30)
            else:
                assert number == one.result(30)

    assert cancelled
    assert set(range(300)) - cancelled == {*map(int, runs.read_text().split())}


def test_five_thousand_calls_survive_machines_that_are_killed(
    client: Client, tmp_path: Path
) -> None:
    """Each has its result; whoever runs twice was on a machine that was killed."""
    runs = tmp_path / "runs"
    with FlyExecutor(3) as pool:
        found = [pool.submit(plain.noted, str(runs), number) for number in range(5000)]
        for part in (1000, 2500, 4000):
            found[part].result(50)
            os.kill(parent_of(pool.submit(os.getpid).result(50)), signal.SIGKILL)
        assert list(range(5000)) == [one.result(50) for one in found]

    assert set(range(5000)) == {*map(int, runs.read_text().split())}
