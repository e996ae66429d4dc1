"""`make demo ONCE=1`, as a newcomer runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Read at once: no variable of ours is there while a test runs.
IMAGE = os.environ.get("WORKER_LIB_DEMO_IMAGE", "")


def test_the_drive_finds_everything_in_order(tmp_path: Path) -> None:
    """Without any account: local stack, stand-ins, the server, three jobs."""
    done = _drive(tmp_path)

    assert 0 == done.returncode, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    begins = [line.split()[0] for line in lines]
    assert ["JOB", "E-mail", "Picture", "PDF", "Dashboard"] == begins
    assert "open; " in lines[-1]
    assert "jobs have succeeded by its metrics" in lines[-1]


def test_the_drive_says_why_it_failed(tmp_path: Path) -> None:
    """Exit status 1, the sentence, and the end of the app's log."""
    unreachable = {"REDIS_URL": "redis://127.0.0.1:1", "WORKER_LIB_SECRET": "s" * 32}
    done = _drive(tmp_path, **unreachable)

    assert 1 == done.returncode
    assert "The demo failed" in done.stdout
    assert "The end of the app's log" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_drive_says_what_it_lacks_to_check_machines_on_fly(tmp_path: Path) -> None:
    """Stand-ins cannot be reached from there, and the keys are not here."""
    remote = {"REDIS_URL": "redis://127.0.0.1:1", "WORKER_LIB_SECRET": "s" * 32}
    done = _drive(tmp_path, **remote, FLY_API_TOKEN="x")

    assert 1 == done.returncode
    assert "needs the keys here" in done.stdout
    assert "MAILJET_API_KEY" in done.stdout


@pytest.mark.skipif(
    not IMAGE, reason="set WORKER_LIB_DEMO_IMAGE to what `make image` has made"
)
def test_the_drive_finds_everything_in_order_in_containers(tmp_path: Path) -> None:
    """The same three jobs, on machines that are containers of the demo's image."""
    variables = {"WORKER_LIB_RUNTIME": "docker", "WORKER_IMAGE": IMAGE}

    done = _drive(tmp_path, **variables)

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "WORKER_IMAGE is not set"),
        ({"WORKER_IMAGE": "x", "DOCKER_HOST": "tcp://127.0.0.1:1"}, "start it"),
    ],
)
def test_the_drive_says_what_containers_lack(
    tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    """One sentence before anything is started, and exit status 1."""
    done = _drive(tmp_path, WORKER_LIB_RUNTIME="docker", **variables)

    assert 1 == done.returncode
    assert told in done.stdout
    assert 1 == len(done.stdout.splitlines())


def _drive(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the drive in a folder of its own, so that it has a stack of its own."""
    return subprocess.run(
        [sys.executable, "-m", "demo.drive"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
