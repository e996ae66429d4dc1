"""The image of app and machines, on a real engine: `make image`, `make test-image`."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = os.environ.get("WORKER_LIB_TEST_IMAGE", "")
pytestmark = pytest.mark.skipif(not IMAGE, reason="WORKER_LIB_TEST_IMAGE names none")
# Leaves an orphan that ends at once, then waits.
ORPHAN = """
import os, subprocess, time
subprocess.run(["sh", "-c", "sleep 0.1 &"])
print("ready", flush=True)
time.sleep(60)
"""

# Prints 1 once the child of the first process catches SIGTERM.
LISTENS = """
import glob
for path in glob.glob("/proc/[0-9]*/status"):
    facts = dict(line.split(":", 1) for line in open(path))
    if facts["PPid"].strip() == "1" and "python" in facts["Name"]:
        print(int(facts["SigCgt"], 16) >> 14 & 1)
"""


class Box:
    """Containers of one test, removed when it is over."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def run(self, *words: str) -> str:
        """Start a container; return its id."""
        told = docker("run", "--detach", *words)
        self.names.append(told)
        return told

    def logs(self, name: str) -> str:
        ran = subprocess.run(
            ["docker", "logs", name], capture_output=True, text=True, check=False
        )
        return ran.stdout + ran.stderr


def docker(*words: str) -> str:
    ran = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def box() -> Iterator[Box]:
    """What a test has started ends with it."""
    made = Box()
    yield made
    for name in made.names:
        docker("rm", "--force", "--volumes", name)


def states(container: str, name: str) -> str:
    """Return the states of all processes of this name, a letter each."""
    code = (
        "import glob; stats = [open(p).read() for p in glob.glob('/proc/[0-9]*/stat')];"
        f"print(*(s.rpartition(')')[2].split()[0] for s in stats if '({name})' in s))"
    )
    return docker("exec", container, "python", "-c", code)


def test_labels_tell_what_the_image_is_made_of() -> None:
    """Version and revision are those of the checkout; no source holds a password."""
    form = "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}"
    told = dict(
        line.split("=", 1)
        for line in docker("inspect", "--format", form, IMAGE).splitlines()
        if line
    )

    prefix = "org.opencontainers.image"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", told[f"{prefix}.version"])
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", told[f"{prefix}.revision"])
    assert "@" not in told[f"{prefix}.source"].partition("//")[2].partition("/")[0]


def test_the_first_process_reaps_orphans(box: Box) -> None:
    """What a task's programs leave behind does not fill the process table."""
    container = box.run(IMAGE, "python", "-c", ORPHAN)
    until(lambda: "ready" in box.logs(container))

    until(lambda: states(container, "sleep") in ("", "Z"))
    until(lambda: states(container, "sleep") == "", within=2.0)


def test_a_signal_reaches_what_runs_and_nothing_else(box: Box) -> None:
    """SIGTERM comes once, to the program itself: its children are its own matter."""
    code = (
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "def end(*_):\n"
        "    print('told', child.poll(), flush=True); child.kill(); sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    container = box.run(IMAGE, "python", "-c", code)
    until(lambda: "ready" in box.logs(container))

    docker("stop", "--time", "20", container)

    assert "told None" in box.logs(container)
    assert "7" == docker("inspect", "--format", "{{.State.ExitCode}}", container)


@pytest.mark.parametrize(
    ("given", "port"), [((), 8080), (("--env", "PORT=9123"), 9123)]
)
def test_the_web_app_listens_on_the_port_that_it_is_told(
    box: Box, given: tuple[str, ...], port: int
) -> None:
    """`PORT`, and 8080 where nobody says; it ends when asked to."""
    container = box.run(*given, IMAGE)
    code = (
        "import urllib.request as r;"
        f"print(r.urlopen('http://127.0.0.1:{port}/healthz').status)"
    )

    until(lambda: _answers(container, code), within=20)
    docker("stop", "--time", "20", container)

    assert "137" != docker("inspect", "--format", "{{.State.ExitCode}}", container)


def test_a_machine_of_it_that_waits_for_redis_ends_when_told_to(box: Box) -> None:
    """The runtime gets the signal through the init, and ends by itself."""
    environ = {
        "REDIS_URL": "redis://127.0.0.1:1",
        "WORKER_LIB_SECRET": "0123456789abcdef" * 4,
        "WORKER_LIB_SLOT": "0123456789ab",
        "WORKER_LIB_POOL": "pool",
        "WORKER_LIB_NAMESPACE": "image",
    }
    words = [word for one in environ.items() for word in ("--env", "=".join(one))]
    container = box.run(*words, IMAGE, "python", "-m", "worker_lib.runtime")
    until(lambda: "1" in docker("exec", container, "python", "-c", LISTENS))

    docker("stop", "--time", "20", container)

    assert "137" != docker("inspect", "--format", "{{.State.ExitCode}}", container)


def _answers(container: str, code: str) -> bool:
    ran = subprocess.run(
        ["docker", "exec", container, "python", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    return "200" == ran.stdout.strip()
