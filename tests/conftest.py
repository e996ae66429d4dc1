"""A real Valkey server for the whole run, and a namespace of its own for each test."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import redis
from chaos import ChaosProxy
from ledger import Ledger
from scenes import TOKEN as SCENE_TOKEN
from servers import OwnServer

from worker_lib import hooks
from worker_lib.client import client as client_module
from worker_lib.client.client import Client
from worker_lib.emulator import Emulator, EmulatorOptions
from worker_lib.emulator.options import DockerOptions
from worker_lib.local.valkey import start_server
from worker_lib.settings import Settings
from worker_lib.store.connection import Connection
from worker_lib.store.keys import key_prefix
from worker_lib.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
SUPPORT = ROOT / "tests" / "support"
# Read at once: no variable of ours is there while a test runs.
_RUNTIME = os.environ.get("WORKER_LIB_TEST_RUNTIME", "process")
TOKENS = ("test-token", "fm2_CANARY", SCENE_TOKEN)
# How long an example takes depends on what else the computer does.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")
_OURS = ("REDIS_URL", "FLY_", "WORKER_", "AWS_", "S3_", "MAILJET_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what only processes can do, where machines are containers."""
    for item in items:
        mark = item.get_closest_marker("processes_only")
        if mark is not None and _RUNTIME == "docker":
            item.add_marker(pytest.mark.skip(reason=mark.args[0]))


@pytest.fixture(autouse=True)
def _no_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what the developer's shell has set."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_machine_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that runs a machine's child in this process leaves nothing of it."""
    monkeypatch.setattr(hooks, "_on_machine", False)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real server on a unix socket, with its data in a folder that goes away."""
    folder = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
    server = start_server(folder / "redis", folder / "data")
    yield f"unix://{folder / 'redis'}"
    server.terminate()
    server.wait(10)
    shutil.rmtree(folder)


@pytest.fixture
def settings(redis_url: str, machines: dict[str, Any]) -> Settings:
    """Settings with a namespace of their own, quick deadlines and no machines."""
    return Settings(
        redis_url=redis_url,
        secret=secrets.token_hex(32),
        namespace=f"test-{secrets.token_hex(6)}",
        lease_ttl=1.0,
        boot_timeout=10.0,
        image=machines["docker"].image if machines else "local",
        local_path=os.pathsep.join([str(SUPPORT), *filter(None, sys.path)]),
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The verbs of the calling side on the real server."""
    connection = Connection(settings.redis_url, key_prefix(settings.namespace))
    yield Store(connection, settings.namespace)
    connection.close()


@pytest.fixture(scope="session")
def machines() -> dict[str, Any]:
    """What machines are: processes, or containers with WORKER_LIB_TEST_RUNTIME=docker.

    A container has this computer's Python, sees the folders that this run imports
    from, and may write where the tests keep their files.
    """
    if _RUNTIME != "docker":
        return {}
    import docker
    from images import contract_image

    image = contract_image(docker.from_env())
    temporary = Path(tempfile.gettempdir())
    seen = {ROOT, *(Path(path) for path in sys.path if path.endswith("-packages"))}
    options = DockerOptions(
        image=image,
        pids="host",
        mounts=tuple(seen),
        writable=(temporary,),
        confined=True,
    )
    return {"runtime": "docker", "docker": options}


@pytest.fixture
def emulator(
    settings: Settings, tmp_path: Path, machines: dict[str, Any]
) -> Iterator[Emulator]:
    """An emulator without rate limits, whose machines reach the real server."""
    options = EmulatorOptions(
        apps=("tests",),
        tokens=TOKENS,
        rate_limits=False,
        state_dir=tmp_path / "machines",
        project_dir=tmp_path,
        **machines,
    )
    running = Emulator(options).start()
    running.set_secrets(
        "tests",
        {"REDIS_URL": settings.redis_url, "WORKER_LIB_SECRET": settings.secret},
    )
    yield running
    running.stop(grace=0.5)


@pytest.fixture
def client(
    settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """The default client of this test: real Redis, real machine processes."""
    import dataclasses

    made = Client(
        dataclasses.replace(
            settings,
            fly_api_token="test-token",
            fly_app="tests",
            api_hostname=emulator.url,
        )
    )
    monkeypatch.setattr(client_module, "_default", made)
    yield made
    made.close()


@pytest.fixture
def make_emulator(
    settings: Settings, tmp_path: Path, machines: dict[str, Any]
) -> Iterator[Callable[..., Emulator]]:
    """Emulators with options of the test's choice; their app is `tests`."""
    made: list[Emulator] = []

    def make(*, redis_url: str = settings.redis_url, **options: Any) -> Emulator:
        chosen = {
            "apps": ("tests",),
            "tokens": TOKENS,
            "rate_limits": False,
            "state_dir": tmp_path / f"machines-{len(made)}",
            "project_dir": tmp_path,
            **machines,
            **options,
        }
        running = Emulator(EmulatorOptions(**chosen)).start()
        made.append(running)
        running.set_secrets(
            "tests", {"REDIS_URL": redis_url, "WORKER_LIB_SECRET": settings.secret}
        )
        return running

    yield make
    for one in made:
        one.stop(grace=0.5)


@pytest.fixture
def make_client(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Client]]:
    """Clients of an emulator, with some settings changed; the latest is the default."""
    import dataclasses

    made: list[Client] = []

    def make(emulator: Emulator, **changes: Any) -> Client:
        chosen = {
            "fly_api_token": "test-token",
            "fly_app": "tests",
            "api_hostname": emulator.url,
            **changes,
        }
        made.append(Client(dataclasses.replace(settings, **chosen)))
        monkeypatch.setattr(client_module, "_default", made[-1])
        return made[-1]

    yield make
    for one in made:
        one.close(timeout=0.5)


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    """A Valkey server that this test may kill."""
    server = OwnServer()
    yield server
    server.remove()


@pytest.fixture
def proxy(redis_url: str) -> Iterator[ChaosProxy]:
    """A proxy in front of the real server that loses replies when told to."""
    folder = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
    made = ChaosProxy(folder / "proxy", Path(redis_url.removeprefix("unix://")))
    yield made
    made.close()
    shutil.rmtree(folder)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Where the tasks of this test note their runs."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def redis_keys(settings: Settings) -> Callable[[str], list[str]]:
    """Lists this test's keys that match a pattern, without their prefix."""
    prefix = key_prefix(settings.namespace) + ":"

    def find(pattern: str) -> list[str]:
        with redis.Redis.from_url(settings.redis_url) as connection:
            found = connection.keys(prefix + pattern)
        return sorted(key.decode().removeprefix(prefix) for key in found)

    return find
