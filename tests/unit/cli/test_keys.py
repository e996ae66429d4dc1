"""`worker-lib keys`: new keys, and the script that changes one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib.cli import main
from worker_lib.settings import Settings

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[3]
FLY = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done >> "$FLY_LOG"
echo -- >> "$FLY_LOG"
"""


def test_a_new_key_is_one_that_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    """32 random bytes; another one each time."""
    assert 0 == main(["keys", "new"])
    first = capsys.readouterr().out.strip()
    assert 0 == main(["keys", "new", "--json"])
    second = json.loads(capsys.readouterr().out)["key"]

    assert first != second
    assert 64 == len(first)
    assert first == Settings.load({"WORKER_LIB_SECRET": first}).secret


def test_the_script_that_changes_a_key_never_leaves_a_side_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At each step each app accepts what the other one signs, before and after it."""
    fly, log, old = tmp_path / "fly", tmp_path / "log", "0" * 64
    fly.write_text(FLY)
    fly.chmod(0o755)
    words = ["keys", "rotate", "--web-app", "web", "--tasks-app", "tasks"]
    assert 0 == main(words)
    script = capsys.readouterr().out

    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "PYTHONPATH": str(ROOT), "FLY_LOG": str(log)}
    subprocess.run(
        ["bash", "-c", script],
        env={**env, "WORKER_LIB_SECRET": old},
        input=b"\n\n",
        check=True,
    )

    calls = [one.split("\n")[1:] for one in log.read_text().split("--\n")[:-1] if one]
    calls = [call[:-1] for call in calls]
    new = calls[0][-1].partition("=")[2]
    accept = f"WORKER_LIB_SECRET_OLD={new}"
    switch = [f"WORKER_LIB_SECRET={new}", f"WORKER_LIB_SECRET_OLD={old}"]
    assert new not in script
    assert 64 == len(new)
    expected = [
        *(["set", "--stage", "-a", app, accept] for app in ("tasks", "web")),
        ["deploy", "-a", "web"],
        *(["set", "--stage", "-a", app, *switch] for app in ("tasks", "web")),
        ["deploy", "-a", "web"],
        *(
            ["unset", "--stage", "-a", app, "WORKER_LIB_SECRET_OLD"]
            for app in ("tasks", "web")
        ),
        ["deploy", "-a", "web"],
    ]
    assert expected == calls


def test_apps_come_from_the_folder_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fly.toml` names the website, `FLY_TASKS_APP` the app of the machines."""
    monkeypatch.chdir(tmp_path)
    assert 2 == main(["keys", "rotate"])
    assert "give --web-app NAME" in capsys.readouterr().err
    (tmp_path / "fly.toml").write_text('app = "my-web"')
    assert 2 == main(["keys", "rotate"])
    assert "give --tasks-app NAME" in capsys.readouterr().err

    monkeypatch.setenv("FLY_TASKS_APP", "my-tasks")
    assert 0 == main(["keys", "rotate", "--json"])
    commands = json.loads(capsys.readouterr().out)["commands"]
    assert any("-a my-web" in one for one in commands)
    assert any("-a my-tasks" in one for one in commands)

    (tmp_path / "fly.toml").write_text("app = ")
    assert 2 == main(["keys", "rotate"])
    assert "fly.toml cannot be read" in capsys.readouterr().err
    assert 2 == main(["keys", "rotate", "--web-app", "a; rm -rf"])
    assert "use at most 62 of a-z" in capsys.readouterr().err
