"""Whether a local stack can be started in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.doctor.findings import Finding, from_error, ok
from worker_lib.errors import ConfigError
from worker_lib.local.valkey import find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.local.paths import StackPaths

__all__ = ["check_local"]


def check_local(paths: StackPaths) -> Iterator[Finding]:
    """Check all that a stack needs: a server, folders, and short paths for sockets."""
    for name, check in (
        ("local server", find_server),
        ("local folders", lambda: _make_folders(paths)),
        ("local sockets", lambda: _check_sockets(paths)),
    ):
        try:
            yield ok(name, check())
        except ConfigError as error:
            yield from from_error(name, error)


def _make_folders(paths: StackPaths) -> str:
    paths.make()
    return f"{paths.data} and {paths.run}"


def _check_sockets(paths: StackPaths) -> str:
    paths.check_sockets()
    return f"below {paths.run}"
