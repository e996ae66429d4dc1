"""A namespace on the real server and an app of the emulator, for those who need one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker_lib import launcher

from .fly_server import Fly
from .store.rig import StoreRig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.emulator import Emulator
    from worker_lib.settings import Settings
    from worker_lib.store.store import Store


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
    real = launcher.machine_config

    made = Fly(emulator, rig)

    def sleeping(*words: Any) -> dict[str, Any]:
        config = real(*words)
        metadata = config["metadata"] | made.metadata
        image = rig.settings.image
        return config | {"image": image, "init": made.init, "metadata": metadata}

    monkeypatch.setattr(launcher, "machine_config", sleeping)
    monkeypatch.setattr(launcher, "_backoff", lambda _attempt: 0.001)
    yield made
    made.api.close()
