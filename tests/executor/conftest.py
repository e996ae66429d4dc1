"""Machines for executors: one emulator for all tests of a file."""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING, Any

import pytest
import redis
from cpython_tests import FOLDER

from worker_lib.client import client as client_module
from worker_lib.client.client import Client
from worker_lib.emulator import Emulator, EmulatorOptions
from worker_lib.settings import Settings
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def machines_here(
    redis_url: str, machines: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """Yield a client whose machines can import CPython's tests, too."""
    folder = tmp_path_factory.mktemp("executor")
    secret = secrets.token_hex(32)
    options = EmulatorOptions(
        apps=("tests",),
        tokens=("test-token",),
        rate_limits=False,
        state_dir=folder / "machines",
        project_dir=folder,
        **machines,
    )
    emulator = Emulator(options).start()
    own = {"REDIS_URL": redis_url, "WORKER_LIB_SECRET": secret}
    emulator.set_secrets("tests", own)
    support = str(FOLDER.parents[1] / "tests" / "support")
    client = Client(
        Settings(
            redis_url=redis_url,
            secret=secret,
            namespace=f"executor-{secrets.token_hex(6)}",
            lease_ttl=2.0,
            boot_timeout=20.0,
            image=machines["docker"].image if machines else "local",
            local_path=os.pathsep.join([support, str(FOLDER), *filter(None, sys.path)]),
            fly_api_token="test-token",
            fly_app="tests",
            api_hostname=emulator.url,
        )
    )
    yield client
    client.close()
    emulator.stop(grace=0.5)


@pytest.fixture
def fly(machines_here: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The default client of a test; its machines are those of the tests before it."""
    monkeypatch.setattr(client_module, "_default", machines_here)
    return machines_here


@pytest.fixture
def idle_machines(fly: Client) -> Callable[[], int]:
    """Tells how many machines wait for a call, as processes of a pool do."""

    def count() -> int:
        pattern = f"{key_prefix(fly.settings.namespace)}:idle:*"
        with redis.Redis.from_url(fly.settings.redis_url) as connection:
            return sum(connection.scard(key) for key in connection.keys(pattern))

    return count


@pytest.fixture
def redis_time_to_live(fly: Client) -> Callable[[str], float]:
    """Tells how many seconds a key of the client's namespace lives on."""

    def left(key: str) -> float:
        with redis.Redis.from_url(fly.settings.redis_url) as connection:
            found = connection.pttl(f"{key_prefix(fly.settings.namespace)}:{key}")
        assert found > 0, f"{key}: {found}"
        return float(found) / 1000

    return left
