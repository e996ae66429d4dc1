"""What tests of whole calls need besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from worker_lib.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.settings import Settings


@pytest.fixture
def redis_keys(settings: Settings) -> Callable[[str], list[str]]:
    """Lists this test's keys that match a pattern, without their prefix."""
    prefix = key_prefix(settings.namespace) + ":"

    def find(pattern: str) -> list[str]:
        with redis.Redis.from_url(settings.redis_url) as connection:
            found = connection.keys(prefix + pattern)
        return sorted(key.decode().removeprefix(prefix) for key in found)

    return find
