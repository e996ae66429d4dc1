"""`worker-lib dashboard`, as a person starts it."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests

from worker_lib.cli import main
from worker_lib.dashboard.serve import make_server
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from worker_lib.client.client import Client
    from worker_lib.settings import Settings

COMMAND = (sys.executable, "-m", "worker_lib", "dashboard", "--bind")


def test_it_serves_until_it_is_told_to_stop(settings: Settings) -> None:
    """With the address in its first line."""
    env = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": settings.redis_url,
        "WORKER_LIB_SECRET": settings.secret,
        "WORKER_LIB_NAMESPACE": settings.namespace,
    }
    command = [*COMMAND, "127.0.0.1:0"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        address = run.stdout.readline().removeprefix("dashboard at ").strip()
        page = requests.get(address, headers={"Accept": "text/html"}, timeout=10)
        run.send_signal(signal.SIGTERM)
        status = run.wait(10)

    assert 200 == page.status_code
    assert "Overview" in page.text
    assert 0 == status


def test_it_is_not_opened_to_others_without_a_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 2 == main(["dashboard", "--bind", "0.0.0.0:9191"])
    assert "set WORKER_LIB_DASHBOARD_PASSWORD" in capsys.readouterr().err


def test_an_address_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = subprocess.run(
            [*COMMAND, bind], capture_output=True, text=True, check=False
        )

    assert 2 == ran.returncode
    assert "choose another with --bind" in ran.stderr


@pytest.mark.filterwarnings("always::ResourceWarning")
def test_nothing_stays_open_where_no_server_can_be(
    client: Client, recwarn: pytest.WarningsRecorder
) -> None:
    """The reason is told in a few words."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            make_server("127.0.0.1", port)
    text = str(caught.value)
    del caught
    gc.collect()

    assert [] == [str(one.message) for one in recwarn]
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in text


@pytest.mark.parametrize("bind", ["9191", "localhost", "localhost:http", "::70000"])
def test_what_is_no_address_is_refused(
    capsys: pytest.CaptureFixture[str], bind: str
) -> None:
    assert 2 == main(["dashboard", "--bind", bind])
    assert "use HOST:PORT" in capsys.readouterr().err
