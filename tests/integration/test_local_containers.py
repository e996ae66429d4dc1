"""The local stack with machines that are containers, on a real engine."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from home import Home, home_for_a_test
from images import docker_engine, worker_image

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = """
import json
from worker_lib import fly_task


@fly_task
def look():
    import os
    from pathlib import Path

    def refusal(path):
        try:
            Path(path).write_text("x")
        except OSError as error:
            return error.strerror
        return ""

    status = Path("/proc/self/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in status)
    return {
        "user": os.getuid(),
        "refusals": [refusal(p) for p in ("/app/x", "/x", "/usr/x", "/tmp/x")],
        "capabilities": [facts[n].strip() for n in ("CapEff", "CapPrm", "CapBnd")],
        "no_new_privs": facts["NoNewPrivs"].strip(),
        "s3_bucket": os.environ.get("S3_BUCKET", ""),
    }


if __name__ == "__main__":
    print(json.dumps(look.delay().result(timeout=50)))
"""


@pytest.fixture
def image() -> Iterator[str]:
    """An image that runs as its own user; skips where no engine answers."""
    with closing(docker_engine()) as client, worker_image(client) as made:
        yield made


@pytest.fixture
def home() -> Iterator[Home]:
    """A home that is removed afterwards."""
    with home_for_a_test() as made:
        (made.project / "script.py").write_text(SCRIPT)
        yield made


def seen_in(home: Home, image: str, **variables: str) -> dict[str, Any]:
    """Return what a task sees of its container."""
    home.env |= {"WORKER_IMAGE": image, "WORKER_LIB_RUNTIME": "docker"} | variables
    seen: dict[str, Any] = json.loads(home.run("script.py"))
    return seen


def test_a_container_runs_as_its_image_s_user_and_writes_to_tmp_only(
    home: Home, image: str
) -> None:
    """Not as the caller, who may be root; without a capability, for good."""
    seen = seen_in(home, image)

    assert 10001 == seen["user"]
    read_only = os.strerror(30)
    assert [read_only, read_only, read_only, ""] == seen["refusals"]
    assert {"0" * 16} == set(seen["capabilities"])
    assert "1" == seen["no_new_privs"]


def test_a_container_has_nothing_of_the_caller_s_environment(
    home: Home, image: str
) -> None:
    """It stands for an image, whose variables come from `env=` and from secrets."""
    assert "" == seen_in(home, image, S3_BUCKET="mine")["s3_bucket"]


def test_containers_can_be_left_as_the_engine_makes_them(
    home: Home, image: str
) -> None:
    """For images that write beside /tmp: still their own user, who may own a file."""
    seen = seen_in(home, image, WORKER_LIB_RUNTIME="docker-unconfined")

    denied = os.strerror(13)
    assert 10001 == seen["user"]
    assert [denied, denied, denied, ""] == seen["refusals"]
    assert "0" * 16 != seen["capabilities"][2]
