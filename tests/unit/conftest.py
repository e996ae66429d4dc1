"""A namespace of its own on the real server, for those tests that need one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .store.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.settings import Settings
    from worker_lib.store.store import Store


@pytest.fixture
def ground(settings: Settings, store: Store) -> Iterator[Ground]:
    """Yield an empty namespace."""
    made = Ground(settings, store)
    yield made
    made.close()
