"""What several files of these tests set up."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from scenes import IMAGE, TOKEN, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import OwnServer

    from worker_lib.emulator import Emulator


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
