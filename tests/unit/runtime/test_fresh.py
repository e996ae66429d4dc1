"""Whether the code that was imported is still what is on disk."""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from worker_lib.runtime.fresh import Sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "a_module_of_the_tests"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that was written a while ago."""
    path = tmp_path / f"{NAME}.py"
    path.write_text("X = 1")
    os.utime(path, (time.time() - 60,) * 2)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop(NAME, None)


def imported(sources: Sources) -> Sources:
    """Import the module as a job does, and have it noted."""
    importlib.import_module(NAME)
    sources.note()
    return sources


def test_code_that_nobody_edits_has_not_changed(module: Path) -> None:
    """Nor has what was only noted twice."""
    sources = imported(Sources())
    sources.note()

    assert not sources.have_changed()


@pytest.mark.parametrize("age", [0.0, 30.0, 3600.0])
def test_an_edit_is_seen_by_its_time(module: Path, age: float) -> None:
    """Also one that is older, as after a checkout of an earlier version."""
    sources = imported(Sources())
    os.utime(module, (time.time() - age,) * 2)

    assert sources.have_changed()


def test_a_file_that_is_gone_has_changed(module: Path) -> None:
    """A fresh start then tells what is missing."""
    sources = imported(Sources())
    module.unlink()

    assert sources.have_changed()


def test_a_file_written_since_the_start_may_have_been_imported_before(
    module: Path,
) -> None:
    """Nobody knows, so it counts as changed: one fresh start too many does no harm."""
    sources = Sources()
    module.write_text("X = 2")

    assert imported(sources).have_changed()


def test_a_time_to_come_is_a_time_like_another(module: Path) -> None:
    """Else every job would begin with a fresh start, until that time has come."""
    os.utime(module, (time.time() + 3600,) * 2)
    sources = imported(Sources())

    assert not sources.have_changed()
    module.write_text("X = 2")
    assert sources.have_changed()


def test_this_library_and_installed_packages_do_not_count() -> None:
    """They do not change under a machine, and are many."""
    sources = Sources()
    sources.note()

    watched = sources._seen
    assert not [path for path in watched if path.startswith((sys.prefix,))]
    assert not [path for path in watched if "/worker_lib/" in path]


def test_on_fly_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's code is that of its image."""
    assert None is Sources.of_this_machine()
    monkeypatch.setenv("WORKER_LIB_LOCAL_PATH", "/srv")
    assert None is not Sources.of_this_machine()
