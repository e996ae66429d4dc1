"""`python -m demo.serve`: the whole demo on this computer, until Ctrl-C.

Starts the stand-ins that are needed, then the server on 127.0.0.1, port `PORT` or 8080;
the library's local stack starts by itself with the first job. Everything ends with
this process.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from demo import standins
from demo.server import DEFAULT_PORT
from worker_lib import local
from worker_lib.errors import ConfigError
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = [
    "CannotServe",
    "check_machines",
    "end_politely",
    "free_port",
    "main",
    "server",
]

_HOST = "127.0.0.1"
_MAX_PORT = 65535
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


class CannotServe(Exception):
    """The demo cannot be started; the message says what to do."""


def main() -> int:
    """Run the demo until Ctrl-C or another polite end; return the exit status."""
    end_politely()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto's line per request
    try:
        port = _port(os.environ.get("PORT", ""))
        check_machines()
        with standins.running() as stood_in, server(port) as (url, process):
            _say(_greeting(url, stood_in))
            return process.wait()
    except (CannotServe, standins.MissingDependency) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("\nStopped.")
        return 0


def end_politely() -> None:
    """Make SIGTERM and a closed terminal do what Ctrl-C does: clean up, then end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def check_machines() -> None:
    """Start the stack now if machines are containers: much may be missing for that.

    Raises:
        CannotServe: there is no engine, no image, or no SDK; says what to do.
    """
    try:
        settings = Settings.load(os.environ)
        if settings.local and settings.runtime != "process":
            local.environment()
    except ConfigError as error:
        raise CannotServe(str(error)) from error


@contextmanager
def server(
    port: int, log: IO[bytes] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the app's server; yield its URL and process once it answers.

    Args:
        port: On 127.0.0.1.
        log: Where its output goes; None for ours.

    Raises:
        CannotServe: the port is taken, or the app does not come up in 20 s.
    """
    _check_free(port)
    process = subprocess.Popen(
        (sys.executable, "-m", "demo.server", "--host", _HOST, "--port", str(port)),
        stdout=log,
        stderr=log,
        # Ctrl-C reaches a whole process group, and this one is told to end by us.
        start_new_session=True,
    )
    try:
        url = f"http://{_HOST}:{port}/"
        _wait_until_up(url, process)
        yield url, process
    finally:
        _stop(process)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has at present."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urlopen(f"{url}healthz", timeout=2):  # noqa: S310 - loopback
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise CannotServe("The app did not start; its own output says why.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _port(given: str) -> int:
    if not given:
        return DEFAULT_PORT
    if given.isascii() and given.isdigit() and 1 <= int(given) <= _MAX_PORT:
        return int(given)
    raise CannotServe(f"PORT={given!r} is no port; use a number from 1 to {_MAX_PORT}.")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise CannotServe(
                f"Port {port} cannot be used ({error.strerror}). "
                f"Choose another one: PORT={port % _MAX_PORT + 10} make demo"
            ) from error


def _greeting(url: str, stood_in: tuple[str, ...]) -> str:
    lines = [
        f"The demo runs at {url} (Ctrl-C stops it)",
        f"Its dashboard is at {url}jobs/",
    ]
    if stood_in:
        names = " and ".join(stood_in)
        lines.append(f"No credentials for {names}: stand-ins on this computer are used")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
