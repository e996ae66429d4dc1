"""Emulators for tests: each has its own port and directory."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from worker_lib.emulator import Emulator, EmulatorOptions

from .client import Api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StartEmulator(Protocol):
    """Starts an emulator with options; it is stopped after the test."""

    def __call__(self, **options: Any) -> Api: ...


@pytest.fixture
def start_emulator(tmp_path: Path) -> Iterator[StartEmulator]:
    """Start emulators without rate limits, unless asked for."""
    with ExitStack() as stack:

        def start(**options: Any) -> Api:
            options = {"apps": ("demo",), "rate_limits": False, **options}
            emulator = Emulator(
                EmulatorOptions(state_dir=tmp_path, project_dir=tmp_path, **options)
            )
            emulator.start()
            stack.callback(emulator.stop, grace=0.1)
            return stack.enter_context(Api(emulator))

        yield start


@pytest.fixture
def api(start_emulator: StartEmulator) -> Api:
    """Talk to an emulator with default behaviour, but without rate limits."""
    return start_emulator()
