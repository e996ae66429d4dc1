"""Where a local stack keeps its things, and what is said where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from worker_lib.emulator import Emulator, EmulatorOptions
from worker_lib.errors import ConfigError
from worker_lib.local.paths import StackPaths

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
# Root may write everywhere, so the folders are made by nobody.
MAKE = """
import os, sys
from pathlib import Path
from worker_lib.local.paths import StackPaths
if os.getuid() == 0:
    os.setuid(65534)
try:
    StackPaths.of(Path(sys.argv[1])).make()
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that the user of `MAKE` can reach, and owns."""
    made = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
    if os.getuid() == 0:
        os.chown(made, 65534, 65534)
    yield made
    for path in (made, *made.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(made)


def told_to_nobody(shelf: Path, **variables: str) -> str:
    """Return what a user without any rights is told when a stack's place is made."""
    made = subprocess.run(
        [sys.executable, "-c", MAKE, str(shelf)],
        env={"PYTHONPATH": str(ROOT), "HOME": str(shelf)} | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return made.stdout


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_a_folder_too_far_down_for_a_socket_is_told_with_its_variable(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started; the remedy is a shorter one."""
    far = tmp_path / ("far-" * 25)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv(variable, str(far))
    monkeypatch.setattr(tempfile, "tempdir", str(far))

    with pytest.raises(ConfigError, match=rf"^{variable} leads to a path of \d+ bytes"):
        StackPaths.of(tmp_path).check_sockets()


def test_an_emulator_too_far_down_for_sockets_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or none of its machines would, later, for a reason that nobody sees."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("far-" * 25)))
    emulator = Emulator(EmulatorOptions(state_dir=tmp_path))

    with pytest.raises(ConfigError, match=r"107 .*: set TMPDIR to a folder with a sho"):
        emulator.start()

    assert "" == emulator.url


def test_a_state_folder_that_cannot_be_written_is_told(shelf: Path) -> None:
    """Also if it was made while it could be."""
    assert "" == told_to_nobody(shelf, XDG_STATE_HOME=str(shelf / "state"))
    (folder,) = (shelf / "state" / "worker_lib").iterdir()
    folder.chmod(0o500)

    told = told_to_nobody(shelf, XDG_STATE_HOME=str(shelf / "state"))

    expected = (
        f"ConfigError the local stack keeps its files in {folder}, which cannot be "
        "made or written (Permission denied): set XDG_STATE_HOME to a folder of yours "
        "that can\n"
    )
    assert expected == told


def test_a_state_folder_that_cannot_be_made_is_told(shelf: Path) -> None:
    """With the same remedy."""
    told = told_to_nobody(shelf, XDG_STATE_HOME="/proc/self")

    assert told.startswith("ConfigError the local stack keeps its files in /proc/self/")
    assert told.endswith("set XDG_STATE_HOME to a folder of yours that can\n")


def test_a_folder_of_somebody_else_is_not_used(shelf: Path) -> None:
    """Who could write there could answer in the stack's place."""
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    taken = shelf / "worker_lib-65534"
    taken.mkdir()

    told = told_to_nobody(shelf, XDG_RUNTIME_DIR=str(shelf))

    assert told.startswith(f"ConfigError {taken} belongs to another user")
