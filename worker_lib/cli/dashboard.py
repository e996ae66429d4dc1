"""`worker-lib dashboard`: serve the dashboard alone until stopped."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NoReturn

from worker_lib.errors import ConfigError, Problem
from worker_lib.settings import Settings

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser"]

_BIND = "127.0.0.1:9191"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_INSTALL = "pip install 'flask>=3', and pip install 'waitress>=3,<4'"


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "dashboard",
        help="serve the dashboard alone",
        description="Serve the dashboard until stopped. On this computer it is open to "
        "whoever sits here; elsewhere set WORKER_LIB_DASHBOARD_PASSWORD.",
    )
    parser.add_argument(
        "--bind",
        default=_BIND,
        metavar="HOST:PORT",
        help="where to listen; port 0 takes a free one (%(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigError: it may not or cannot be served there.
    """
    host, port = _address(args.bind)
    settings = Settings.load(os.environ)
    if host not in _LOOPBACK and not settings.dashboard_password:
        raise ConfigError(
            Problem(
                f"the dashboard would be open to others on {host}",
                "set WORKER_LIB_DASHBOARD_PASSWORD, or bind to 127.0.0.1",
                "--bind",
            )
        )
    server = _server(host, port)
    shown = f"[{host}]" if ":" in host else host
    print(f"dashboard at http://{shown}:{server.effective_port}/", flush=True)
    signal.signal(signal.SIGTERM, _end)
    server.run()
    return 0


def _server(host: str, port: int) -> Any:
    try:
        from worker_lib.dashboard.serve import make_server  # noqa: PLC0415 - an extra
    except ImportError as error:
        problem = Problem(f"{error.name} is not installed", _INSTALL)
        raise ConfigError(problem) from error
    return make_server(host, port)


def _address(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(
            Problem(f"--bind {bind!r} is no address", f"use HOST:PORT, as {_BIND}")
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _end(_number: int, _frame: Any) -> NoReturn:
    raise SystemExit(0)
