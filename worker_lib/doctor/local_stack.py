"""Whether a local stack can be started in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.doctor.findings import Finding, bad, good
from worker_lib.errors import ConfigError
from worker_lib.local.valkey import find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.local.paths import Place

__all__ = ["check_binary", "check_folders", "check_place", "check_sockets"]


def check_place(place: Place) -> Iterator[Finding]:
    """Look at all that a stack in this place would need."""
    yield check_binary()
    yield check_folders(place)
    yield check_sockets(place)


def check_binary() -> Finding:
    """Look for a Redis server to start."""
    try:
        path = find_server()
    except ConfigError as error:
        text, _, remedy = str(error).partition(": ")
        return bad("local server", text, remedy)
    return good("local server", path)


def check_folders(place: Place) -> Finding:
    """Make the folders, which must be open to writing."""
    name = "local folders"
    try:
        place.make()
    except ConfigError as error:
        text, _, remedy = str(error).partition(": ")
        return bad(name, text, remedy)
    return good(name, f"{place.data} and {place.run}")


def check_sockets(place: Place) -> Finding:
    """Judge whether the paths of the stack's sockets are short enough."""
    name = "local sockets"
    try:
        place.check_sockets()
    except ConfigError as error:
        text, _, remedy = str(error).partition(": ")
        return bad(name, text, remedy)
    return good(name, f"below {place.run}")
