"""Emulators for tests: each has its own port and directory.

A test marked with `on_every_runtime` runs once for each of them, the others only with
machines that are processes.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from images import contract_image, docker_engine

from worker_lib.emulator import Emulator, EmulatorOptions

from .client import ANY_IMAGE, Api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Read at once: no variable of ours is there while a test runs.
_WANTED_IMAGE = os.environ.get("WORKER_LIB_TEST_IMAGE", "")


class StartEmulator(Protocol):
    """Starts an emulator with options; it is stopped after the test."""

    def __call__(self, **options: Any) -> Api: ...


@pytest.fixture(scope="session")
def machine_image() -> str:
    """The image of machines that are containers: WORKER_LIB_TEST_IMAGE, or our own.

    Skips without an engine, unless the image was asked for.
    """
    wanted = _WANTED_IMAGE
    with closing(docker_engine(required=bool(wanted))) as client:
        return wanted or contract_image(client)


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> str:
    """What machines are: processes, unless a test is for every runtime."""
    name: str = getattr(request, "param", "process")
    if "docker" == name:
        request.getfixturevalue("machine_image")
    return name


@pytest.fixture
def start_emulator(
    tmp_path: Path, runtime: str, request: pytest.FixtureRequest
) -> Iterator[StartEmulator]:
    """Start emulators without rate limits, unless asked for."""
    is_docker = "docker" == runtime
    image = request.getfixturevalue("machine_image") if is_docker else ANY_IMAGE
    with ExitStack() as stack:

        def start(**options: Any) -> Api:
            options = {
                "apps": ("demo",),
                "tokens": ("any",),
                "rate_limits": False,
                **options,
            }
            options.setdefault("runtime", runtime)
            emulator = Emulator(
                EmulatorOptions(state_dir=tmp_path, project_dir=tmp_path, **options)
            )
            emulator.start()
            stack.callback(emulator.stop, grace=0.1)
            return stack.enter_context(Api(emulator, image=image))

        yield start


@pytest.fixture
def api(start_emulator: StartEmulator) -> Api:
    """Talk to an emulator with default behaviour, but without rate limits."""
    return start_emulator()
