"""A client of an API that answers only what a test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import responses

from worker_lib.machines.api import MachinesApi

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = "https://api.machines.dev"
APP = f"{BASE}/v1/apps/jobs"
MACHINES = f"{APP}/machines"
CANARY = "fm2_CANARYcanaryCANARY"


@pytest.fixture
def fly() -> Iterator[responses.RequestsMock]:
    """Yield Fly, as far as a test has told it what to answer."""
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def pauses() -> list[float]:
    """Return the seconds that the client has waited between its tries."""
    return []


@pytest.fixture
def api(pauses: list[float]) -> Iterator[MachinesApi]:
    """Yield a client whose token must never be seen outside its header."""
    client = MachinesApi(BASE, CANARY, "jobs", sleep=pauses.append)
    yield client
    client.close()
