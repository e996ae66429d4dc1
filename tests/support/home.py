"""A home of a developer with one project, far from the real one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import ROOT
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TASKS", "Home", "home_for_a_test", "line_of"]

TASKS = """
import os, time
from worker_lib import fly_task

@fly_task(max_machines=1)
def waits(gate, started):
    open(started, "a").write(f"{os.getpid()}\\n")
    while not os.path.exists(gate):
        time.sleep(0.02)
    return 42

@fly_task
def add(a, b):
    return a + b

@fly_task
def nests(a, b):
    return add.delay(a, b).id
"""


class Home:
    """A developer's home with one project, far from the real one."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.project = top / "project"
        self.project.mkdir()
        (self.project / "pyproject.toml").touch()
        (self.project / "tasks.py").write_text(TASKS)
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(top),
            "XDG_STATE_HOME": str(top / "state"),
            "XDG_RUNTIME_DIR": str(top),
        }

    def start(
        self, *words: str, folder: Path | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        """Start a Python program in the project."""
        return subprocess.Popen(
            [sys.executable, "-u", *words],
            cwd=folder or self.project,
            env=self.env | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, folder: Path | None = None, **variables: str) -> str:
        """Run a Python program to its end; fail if it fails."""
        with self.start(*words, folder=folder, **variables) as process:
            out, err = process.communicate(timeout=50)
        assert process.returncode == 0, err
        return out

    def processes(self, what: str = "") -> dict[int, str]:
        """Return every process that has to do with this home, with its command."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                command = _read(entry / "cmdline").replace("\0", " ")
                texts = (command, _read(entry / "environ"), _link(entry / "cwd"))
                if any(str(self.top) in text for text in texts) and what in command:
                    found[int(entry.name)] = command
        return found

    def kill(self, what: str = "") -> None:
        """Kill every such process without a warning."""
        for pid in self.processes(what):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def clear(self) -> bool:
        """Kill what is left; say whether nothing was."""
        self.kill()
        return not self.processes()


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


@contextlib.contextmanager
def home_for_a_test() -> Iterator[Home]:
    """A home that is removed afterwards."""
    top = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
    made = Home(top)
    yield made
    until(made.clear, within=5)
    shutil.rmtree(top)


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program prints."""
    assert process.stdout
    line = process.stdout.readline().strip()
    if not line and process.poll() is not None and process.stderr:
        raise AssertionError(process.stderr.read())
    return line
