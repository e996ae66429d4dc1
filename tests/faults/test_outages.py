"""Redis restarts, fails over or is full while somebody waits: they go on waiting."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import Job, StoreUnavailable, WaitTimeout, WorkerLibError
from worker_lib.calls import codec, pickling
from worker_lib.client.client import Client
from worker_lib.store import connection as connection_module
from worker_lib.store.claims import Report
from worker_lib.store.keys import key_prefix
from worker_lib.store.machine import MachineStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos import ChaosProxy
    from ledger import Ledger
    from servers import OwnServer

    from worker_lib.emulator import Emulator
    from worker_lib.settings import Settings

NOWHERE = ("127.0.0.1", "1")


class Scene:
    """A caller, and the verbs of machines that do its jobs when told to."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.client = Client(dataclasses.replace(settings, redis_url=url))
        self._settings = settings

    def delay(self) -> Job[int]:
        """Store a call."""
        return self.client.submit(jobs.add, (1, 2), {})

    def finish(self, url: str) -> None:
        """Do the next job, as a machine would over `url`."""
        slot = self.slot(url)
        machine = MachineStore(
            url,
            self._settings.namespace,
            slot=slot,
            machine_id="m1",
            region="ams",
            lease_ttl=30.0,
        )
        job = machine.claim("stay").job
        assert job is not None
        envelope = self.client.codec.seal(
            pickling.dump_value(3), kind=codec.OUTCOME, job_id=job.id, fence=job.fence
        )
        assert machine.finish([(job, Report("succeeded", outcome=envelope))]).accepted[
            0
        ]
        machine.close()

    def slot(self, url: str) -> str:
        """Return a slot that is there."""
        import redis

        with redis.Redis.from_url(url) as connection:
            pattern = f"{key_prefix(self._settings.namespace)}:slot:*"
            (name,) = connection.keys(pattern)
        return str(name.decode().rpartition(":")[2])


class Waiter:
    """Waits in a thread of its own for what a function returns or raises."""

    def __init__(self, wait: Callable[[], Any]) -> None:
        self.found: list[Any] = []
        self._wait = wait
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ended(self, within: float = 20.0) -> Any:
        """Return what came of it."""
        self._thread.join(within)
        assert self.found, "it still waits"
        return self.found[0]

    def _run(self) -> None:
        try:
            self.found.append(self._wait())
        except WorkerLibError as error:
            self.found.append(error)


@pytest.fixture
def scene(settings: Settings, own_server: OwnServer) -> Iterator[Scene]:
    """A caller of the server that this test may kill."""
    made = Scene(settings, own_server.url)
    yield made
    made.client.close(timeout=0)


def blocked(server: OwnServer) -> list[str]:
    """Return the ids of the clients that wait in a blocking command."""
    return server.waiting("blmove")


def restart(server: OwnServer) -> None:
    """Kill it, leave it away for longer than any first try, and start it again."""
    server.kill()
    time.sleep(1)
    server.start()


def unblock(server: OwnServer) -> None:
    """Have every waiter refused, as at a failover."""
    for one in until(lambda: blocked(server)):
        server.ask("CLIENT", "UNBLOCK", one, "ERROR")


def fail_over_and_back(server: OwnServer) -> None:
    """Make it the replica of a primary that is gone, and then a primary again."""
    server.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    server.ask("REPLICAOF", *NOWHERE)
    time.sleep(1)
    server.ask("REPLICAOF", "NO", "ONE")


def fill_and_empty(server: OwnServer) -> None:
    """Refuse every write for a while; the waiter's own command is one."""
    server.ask("CONFIG", "SET", "maxmemory", "1mb")
    for one in until(lambda: blocked(server)):
        server.ask("CLIENT", "UNBLOCK", one)
    time.sleep(1)
    server.ask("CONFIG", "SET", "maxmemory", "0")


TROUBLES = [restart, unblock, fail_over_and_back, fill_and_empty]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("timeout", [None, 30])
def test_who_waits_for_a_result_is_not_bothered(
    scene: Scene,
    own_server: OwnServer,
    trouble: Callable[[OwnServer], None],
    timeout: float | None,
) -> None:
    """`result` waits again, as long as the caller's time allows."""
    job = scene.delay()
    waiter = Waiter(lambda: job.result(timeout))
    until(lambda: blocked(own_server))
    trouble(own_server)
    scene.finish(own_server.url)

    assert 3 == waiter.ended()


@pytest.mark.parametrize("trouble", [restart, fail_over_and_back])
def test_who_watches_is_not_bothered(
    scene: Scene, own_server: OwnServer, trouble: Callable[[OwnServer], None]
) -> None:
    """`watch` subscribes again, and looks at what it missed meanwhile."""
    job = scene.delay()
    seen: list[str] = []
    waiter = Waiter(
        lambda: seen.extend(info.status for info in job.watch(timeout=None))
    )
    until(lambda: seen)
    trouble(own_server)
    scene.finish(own_server.url)
    waiter.ended()

    assert ("queued", "succeeded") == (seen[0], seen[-1])


def test_a_restart_longer_than_the_callers_time_is_told_in_time(
    scene: Scene, own_server: OwnServer
) -> None:
    """What is not known is not claimed: it is Redis that is missing, not the job."""
    job = scene.delay()
    waiter = Waiter(lambda: job.result(timeout=3))
    until(lambda: blocked(own_server))
    began = time.monotonic()
    own_server.kill()

    assert isinstance(waiter.ended(), StoreUnavailable)
    assert 2 < time.monotonic() - began < 4


def test_a_frozen_redis_does_not_hold_up_a_short_wait(
    scene: Scene, own_server: OwnServer
) -> None:
    """A handle from elsewhere is looked at first, and that takes no longer either."""
    job: Job[int] = Job(scene.delay().id, scene.client)
    with pytest.raises(WaitTimeout):
        job.result(timeout=0)
    own_server.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable):
            job.result(timeout=0.5)
        assert time.monotonic() - began < 2
    finally:
        own_server.thaw()


def test_nobody_there_at_the_first_contact_is_told_at_once(settings: Settings) -> None:
    """It may be the wrong address: waiting would hide that."""
    scene = Scene(settings, "redis://127.0.0.1:1")
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match="correct REDIS_URL"):
        Job("0" * 20, scene.client).result()
    assert time.monotonic() - began < 3


def test_a_password_that_is_wrong_by_now_is_told_at_once(
    scene: Scene, own_server: OwnServer
) -> None:
    """Only a person can end that, so the caller must hear of it."""
    job = scene.delay()
    waiter = Waiter(job.result)
    until(lambda: blocked(own_server))
    own_server.ask("CONFIG", "SET", "requirepass", "another")
    _drop_clients(own_server)

    found = waiter.ended(within=5)
    assert isinstance(found, StoreUnavailable)
    assert "refused our password" in str(found)


def _drop_clients(server: OwnServer) -> None:
    import redis

    with redis.Redis.from_url(server.url, password="another") as connection:
        connection.client_kill_filter(_type="normal", skipme=True)
        connection.config_set("requirepass", "")
        connection.config_set("requirepass", "another")


def test_a_watcher_whose_connection_died_silently_notices(
    settings: Settings,
    proxy: ChaosProxy,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A route that vanished tells nobody, so the server is asked now and then."""
    monkeypatch.setattr(connection_module, "MAX_BLOCK", 0.3)
    monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT", 0.3)
    scene = Scene(settings, proxy.url)
    job = scene.delay()
    waiter = Waiter(lambda: [info.status for info in job.watch(timeout=None)])
    until(lambda: proxy.seen["ping"] >= 2)
    proxy.swallow()
    scene.finish(redis_url)

    assert "succeeded" == waiter.ended()[-1]
    scene.client.close(timeout=0)


@pytest.fixture
def client(
    make_client: Callable[..., Client],
    make_emulator: Callable[..., Emulator],
    own_server: OwnServer,
) -> Client:
    """A client and machines of the server that this test may kill."""
    return make_client(
        make_emulator(redis_url=own_server.url),
        redis_url=own_server.url,
        lease_ttl=5.0,
    )


@pytest.mark.parametrize("trouble", [restart, fail_over_and_back])
def test_a_machine_that_listens_goes_on(
    client: Client,
    own_server: OwnServer,
    ledger: Ledger,
    trouble: Callable[[OwnServer], None],
) -> None:
    """Its blocking command is refused or cut, and it waits for the next call again."""
    works = jobs.works.options(linger="60s")
    works.delay(str(ledger)).result(timeout=20)
    (first,) = ledger.starts
    until(lambda: _listening(own_server))
    trouble(own_server)
    until(lambda: _listening(own_server))
    works.delay(str(ledger)).result(timeout=20)

    assert [first.supervisor] * 2 == [one.supervisor for one in ledger.starts]


def _listening(server: OwnServer) -> bool:
    return bool(server.waiting("blpop"))


@pytest.mark.parametrize("trouble", [restart, fail_over_and_back])
def test_a_machine_that_works_goes_on(
    client: Client,
    own_server: OwnServer,
    ledger: Ledger,
    tmp_path: Any,
    trouble: Callable[[OwnServer], None],
) -> None:
    """The job runs to its end, once, and can still be cancelled by word."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    until(lambda: ledger.starts and _listening(own_server))
    waiter = Waiter(lambda: job.result(timeout=30))
    trouble(own_server)
    until(lambda: _listening(own_server))
    gate.touch()

    assert 5 == waiter.ended(30)
    assert 1 == len(ledger.starts)
