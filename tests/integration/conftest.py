"""What several files of these tests set up."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from commands import run_command
from fly_server import Fly
from scenes import IMAGE, TOKEN, Scene
from store_rig import StoreRig

from worker_lib import creation, launcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from commands import Ran
    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator
    from worker_lib.settings import Settings
    from worker_lib.store.store import Store


@pytest.fixture
def run(client: Client, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command against this test's Redis and Fly."""
    return partial(run_command, capsys)


@pytest.fixture
def scene(own_server: OwnServer, make_emulator: Callable[..., Emulator]) -> Scene:
    """Everything is well, but for an image that is on no machine yet."""
    secret = secrets.token_hex(32)
    emulator = make_emulator(redis_url=own_server.url)
    made = Scene(server=own_server, emulator=emulator, make_emulator=make_emulator)
    made.set(
        REDIS_URL=own_server.url,
        FLY_API_TOKEN=TOKEN,
        FLY_TASKS_APP="tests",
        FLY_API_HOSTNAME=emulator.url,
        WORKER_IMAGE=IMAGE,
        WORKER_LIB_SECRET=secret,
        WORKER_LIB_NAMESPACE=f"doctor-{secrets.token_hex(4)}",
    )
    emulator.set_secrets("tests", made.shared())
    return made


@pytest.fixture
def rig(settings: Settings, store: Store) -> Iterator[StoreRig]:
    """Yield an empty namespace."""
    made = StoreRig(settings, store)
    yield made
    made.close()


@pytest.fixture
def fly(
    emulator: Emulator, rig: StoreRig, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fly]:
    """Yield an app whose machines sleep, and a launcher that hardly pauses."""
    real = creation.machine_config

    made = Fly(emulator, rig)

    def sleeping(*words: Any) -> dict[str, Any]:
        config = real(*words)
        metadata = config["metadata"] | made.metadata
        image = rig.settings.image
        return config | {"image": image, "init": made.init, "metadata": metadata}

    monkeypatch.setattr(launcher, "machine_config", sleeping)
    monkeypatch.setattr(creation, "_backoff", lambda _attempt: 0.001)
    yield made
    made.api.close()
