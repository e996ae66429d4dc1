"""The Machines API slow, forgetful, refusing or unreachable."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import (
    JobCancelled,
    MachineNotFound,
    Unauthorized,
    WaitTimeout,
    creation,
)
from worker_lib.client import client as client_module
from worker_lib.client import waiters
from worker_lib.creation import machine_config
from worker_lib.emulator import FaultRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger import Ledger
    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


def creates(emulator: Emulator) -> int:
    """Return how many machines were asked for."""
    return int(emulator.requests()["actions"].get("create", 0))


def test_a_wrong_token_is_told_to_who_waits(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """`delay` returns at once; `result` raises soon, with the remedy; the job waits."""
    emulator = make_emulator(tokens=("right-token",))
    make_client(emulator, fly_api_token="wrong-token")
    began = time.monotonic()
    job = jobs.works.delay(str(ledger), value=5)
    with pytest.raises(Unauthorized, match="check FLY_API_TOKEN") as caught:
        job.result(timeout=20)

    assert time.monotonic() - began < 3
    assert "the job is stored and waits" in str(caught.value)
    assert "wrong-token" not in str(caught.value)
    assert "queued" == job.status
    assert "check FLY_API_TOKEN" in job.info().trouble

    right = make_client(emulator, fly_api_token="right-token")
    other = jobs.works.delay(str(ledger), value=6)
    assert 6 == other.result(timeout=20)
    assert 5 == type(job)(job.id, right).result(timeout=20)
    assert "" == job.info().trouble


def test_an_unknown_app_is_told_to_who_waits(
    make_emulator: Callable[..., Emulator], make_client: Callable[..., Client]
) -> None:
    """The same for an app that does not exist."""
    make_client(make_emulator(), fly_app="no-such-app")
    began = time.monotonic()
    job = jobs.add.delay(1, 2)
    with pytest.raises(MachineNotFound, match="no-such-app"):
        job.result(timeout=20)

    assert time.monotonic() - began < 3
    assert "queued" == job.status


def test_an_api_that_cannot_be_reached_is_waited_for(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be back any moment: the job waits, and says what for."""
    monkeypatch.setattr(creation, "_backoff", lambda _attempt: 0.1)
    make_client(make_emulator(), api_hostname="http://127.0.0.1:9")
    began = time.monotonic()
    job = jobs.add.delay(1, 2)
    assert time.monotonic() - began < 0.5

    until(lambda: job.info().trouble, within=25)
    assert "got no answer" in job.info().trouble
    with pytest.raises(WaitTimeout):
        job.result(timeout=0.1)
    assert "queued" == job.status


def test_an_api_that_was_away_is_used_when_it_is_back(
    client: Client, emulator: Emulator
) -> None:
    """Errors of the server pass: the job runs without anybody's help."""
    emulator.script_faults([FaultRule(action="create", status=503, times=2)])

    assert 3 == jobs.add.delay(1, 2).result(timeout=30)


def test_a_slow_api_does_not_slow_the_caller(
    make_emulator: Callable[..., Emulator], make_client: Callable[..., Client]
) -> None:
    """A hundred calls are stored before the API has answered once."""
    emulator = make_emulator()
    emulator.script_faults([FaultRule(action="create", delay=5.0, after_commit=True)])
    make_client(emulator)
    began = time.monotonic()
    running = [jobs.add.options(max_machines=5).delay(n) for n in range(100)]
    took = time.monotonic() - began

    assert took < 5
    assert list(range(100)) == [job.result(timeout=20) for job in running]


def test_a_create_whose_answer_was_lost_is_adopted(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """There is one machine in the end, found by its name, and it runs the job once."""
    emulator.script_faults(
        [FaultRule(action="create", effect="drop", after_commit=True, times=1)]
    )
    job = jobs.works.delay(str(ledger), seconds=2.0, value=5)

    assert 5 == job.result(timeout=20)
    assert (1, 1) == (creates(emulator), len(emulator.billing()["machines"]))
    assert 1 == len(ledger.starts)


def test_a_create_whose_machine_is_not_in_the_list_yet_makes_no_second(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """The name is taken, so the second request fails, and the first one's comes."""
    emulator = make_emulator()
    make_client(emulator)
    emulator.script_faults(
        [
            FaultRule(action="create", effect="drop", after_commit=True, times=1),
            FaultRule(action="get", effect="stale", delay=1.0),
        ]
    )
    job = jobs.works.delay(str(ledger), seconds=1.5, value=5)

    assert 5 == job.result(timeout=20)
    assert 1 == len(ledger.starts)
    assert 1 == len(emulator.billing()["machines"])


def test_every_job_is_done_though_the_api_limits_its_callers(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    ledger: Ledger,
) -> None:
    """Creates keep to Fly's limit, and what it refuses all the same comes later."""
    emulator = make_emulator(rate_limits=True)
    make_client(emulator)
    emulator.script_faults([FaultRule(action="create", status=429, times=2)])
    works = jobs.works.options(max_machines=6)
    running = [works.delay(str(ledger), seconds=0.2, value=n) for n in range(30)]

    assert list(range(30)) == [job.result(timeout=40) for job in running]
    assert 30 == len(ledger.starts)


def test_another_region_is_tried_where_one_is_full(
    client: Client, emulator: Emulator
) -> None:
    """Regions are tried in the order in which the task names them."""
    emulator.script_faults([FaultRule(action="create", region="ams")])
    job = jobs.add.options(region=["ams", "fra"]).delay(1, 2)

    assert 3 == job.result(timeout=20)
    assert "fra" == job.info().region


def test_a_job_says_that_every_region_is_full_and_waits(
    client: Client, emulator: Emulator
) -> None:
    """No person is called for what passes: the reason is in `trouble`."""
    emulator.script_faults([FaultRule(action="create", region="ams")])
    job = jobs.add.options(region="ams").delay(1, 2)

    until(lambda: "no region has room" in job.info().trouble)
    with pytest.raises(WaitTimeout):
        job.result(timeout=0.2)
    assert "queued" == job.status


def test_the_config_of_a_machine_is_complete(client: Client) -> None:
    """It ends by itself, is never restarted, and is not taken for fly deploy's."""
    config = machine_config(
        {"image": "i", "env": {}, "guest": {}}, "5107", "pool", client.settings
    )

    assert {"policy": "no"} == config["restart"]
    assert config["auto_destroy"]
    assert "fly_platform_version" not in config["metadata"]
    secrets = (client.settings.secret, client.settings.fly_api_token)
    assert not any(secret in str(config) for secret in secrets)
    assert client.settings.redis_url not in str(config)


def test_idle_means_idle(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
    ledger: Ledger,
) -> None:
    """When all jobs are done: no command to Redis, no API call, no machine."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url)
    works = jobs.works.options(max_machines=2)
    for job in [works.delay(str(ledger)) for _ in range(5)]:
        job.result(timeout=20)
    until(lambda: all(one["state"] == "destroyed" for one in emulator.machines()))
    time.sleep(1)  # the longest that a process looks after jobs that are done
    before = _commands(own_server), emulator.requests()["total"]
    time.sleep(2)

    assert before == (_commands(own_server), emulator.requests()["total"])


def test_nothing_is_asked_until_the_next_deadline_and_then_once(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
) -> None:
    """A job that is due in an hour costs an awake process no command until then."""
    emulator = make_emulator(redis_url=own_server.url)
    client = make_client(emulator, redis_url=own_server.url)
    later = jobs.add.options(delay="1h").delay(1, 2)
    until(lambda: own_server.ask("INFO", "clients")["blocked_clients"])
    before = _commands(own_server)
    time.sleep(2)
    assert before == _commands(own_server)

    looks = _looks(client)
    soon = jobs.add.options(delay="1s").delay(3, 4)
    until(lambda: "succeeded" == soon.status)
    assert 1 <= len(looks) <= 5
    assert "scheduled" == later.status


@pytest.mark.parametrize("awaits", [False, True])
def test_the_longer_a_result_is_waited_for_the_less_is_asked(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    awaits: bool,
) -> None:
    """Each look is twice as long after the one before, up to a limit."""
    for module in (client_module, waiters):
        monkeypatch.setattr(module, "MAX_BLOCK", 0.05)
        monkeypatch.setattr(module, "LONGEST_BLOCK", 0.4)
    make_client(make_emulator(redis_url=own_server.url), redis_url=own_server.url)
    job = jobs.add.options(delay="1h").delay(1, 2)

    async def wait() -> int:
        return await job

    def waited() -> None:
        with contextlib.suppress(JobCancelled):
            if awaits:
                asyncio.run(wait())
            else:
                job.result()

    before = _looks_at_jobs(own_server)
    waiter = threading.Thread(target=waited)
    waiter.start()
    time.sleep(1.25)
    looks = _looks_at_jobs(own_server) - before
    job.cancel()
    waiter.join(10)

    assert not waiter.is_alive()
    assert 3 <= looks <= 14, "it would be 25 and more at an even pace"


def _looks_at_jobs(server: OwnServer) -> int:
    stats = server.ask("INFO", "commandstats")
    names = ("cmdstat_eval", "cmdstat_evalsha")
    return sum(stats[name]["calls"] for name in names if name in stats)


def test_who_sleeps_until_its_deadline_hears_that_a_launcher_is_called(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
) -> None:
    """A process without a token stores a job; the one that has one has it run."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url)
    jobs.add.options(delay="1h").delay(1, 2)
    until(lambda: own_server.ask("INFO", "clients")["blocked_clients"])
    make_client(emulator, redis_url=own_server.url, fly_api_token="")
    job = jobs.add.delay(1, 2)

    assert 3 == job.result(timeout=10)


def test_who_sleeps_until_its_deadline_survives_a_restart_of_redis(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
) -> None:
    """It listens again, and what it waits for comes about."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url)
    job = jobs.add.options(delay="6s").delay(1, 2)
    until(lambda: own_server.ask("INFO", "clients")["blocked_clients"])
    own_server.kill()
    own_server.start()
    until(lambda: own_server.ask("INFO", "clients")["blocked_clients"])

    until(lambda: "succeeded" == job.status, within=25)


def _looks(client: Client) -> list[float]:
    """Note from now on when the sweeper looks."""
    looks: list[float] = []
    real = client.store.sweep

    def sweep(*, parking: int = 0) -> Any:
        looks.append(time.monotonic())
        return real(parking=parking)

    client.store.sweep = sweep  # type: ignore[method-assign]  # counts
    return looks


def _commands(server: OwnServer) -> int:
    stats = server.ask("INFO", "commandstats")
    ours = {"cmdstat_info", "cmdstat_client|setinfo", "cmdstat_hello"}
    return sum(one["calls"] for name, one in stats.items() if name not in ours)
