"""The Docker runtime where no engine is needed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from worker_lib.emulator import Emulator, EmulatorOptions
from worker_lib.emulator.runtimes.owner import Owner
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_an_engine_that_does_not_answer_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do, and nothing of the emulator is left."""
    pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    emulator = Emulator(EmulatorOptions(runtime="docker", state_dir=tmp_path))

    with pytest.raises(ConfigError, match="no Docker engine answers: start it"):
        emulator.start()

    assert "" == emulator.url


def test_an_unknown_runtime_is_refused() -> None:
    """With the names of the known ones."""
    with pytest.raises(ConfigError, match="'podman'; it must be process or docker"):
        EmulatorOptions(runtime="podman")  # type: ignore[arg-type]  # on purpose


def test_the_present_process_is_not_dead() -> None:
    """Nor what is read back of it."""
    here = Owner.current()

    assert here == Owner.parse(str(here))
    assert not here.is_dead()


@pytest.mark.parametrize(
    ("change", "is_dead"),
    [
        ({"start_ticks": 1}, True),
        ({"pid": 999_999_999}, True),
        ({"boot": "another"}, True),
        ({"host": "another", "pid": 999_999_999}, False),
        ({"namespace": "another", "pid": 999_999_999}, False),
    ],
)
def test_only_what_can_be_seen_from_here_is_dead(
    change: dict[str, str | int], is_dead: bool
) -> None:
    """Another host's or namespace's processes are given the benefit of the doubt."""
    owner = replace(Owner.current(), **change)  # type: ignore[arg-type]  # by name

    assert is_dead == owner.is_dead()


@pytest.mark.parametrize("text", ["", "x", "a/b/c/d/e", "a/b/c/1"])
def test_what_is_no_owner_is_none(text: str) -> None:
    """Labels can be anybody's."""
    assert Owner.parse(text) is None


def test_an_owner_names_this_process() -> None:
    """By its number."""
    assert os.getpid() == Owner.current().pid
