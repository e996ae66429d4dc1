"""Whether a local stack can be started in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.doctor.findings import Finding, from_error, ok
from worker_lib.errors import ConfigError
from worker_lib.local.valkey import find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.local.paths import Place

__all__ = ["check_local"]


def check_local(place: Place) -> Iterator[Finding]:
    """Check all that a stack needs: a server, folders, and short paths for sockets."""
    for name, check in (
        ("local server", find_server),
        ("local folders", lambda: _make_folders(place)),
        ("local sockets", lambda: _check_sockets(place)),
    ):
        try:
            yield ok(name, check())
        except ConfigError as error:
            yield from from_error(name, error)


def _make_folders(place: Place) -> str:
    place.make()
    return f"{place.data} and {place.run}"


def _check_sockets(place: Place) -> str:
    place.check_sockets()
    return f"below {place.run}"
