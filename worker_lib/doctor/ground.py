"""Whether a local stack can be started in this folder."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from worker_lib.doctor.findings import Finding, bad, good
from worker_lib.errors import ConfigError
from worker_lib.local.valkey import find_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from worker_lib.local.place import Place

__all__ = ["check_binary", "check_folders", "check_place", "check_sockets"]

# The size of `sun_path`, less the byte that ends it; macOS has 104.
_LONGEST_SOCKET_PATH = 103


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
    """Make the folders, and write into each of them."""
    name = "local folders"
    try:
        place.make()
    except ConfigError as error:
        text, _, remedy = str(error).partition(": ")
        return bad(name, text, remedy)
    for folder, variable in (
        (place.data, "XDG_STATE_HOME"),
        (place.run, "XDG_RUNTIME_DIR"),
    ):
        trouble = _trouble_writing(folder)
        if trouble:
            remedy = f"set {variable} to a folder of yours"
            return bad(name, f"{folder} cannot be written: {trouble}", remedy)
    return good(name, f"{place.data} and {place.run}")


def check_sockets(place: Place) -> Finding:
    """Judge whether the paths of the stack's sockets are short enough."""
    name = "local sockets"
    longest = max(len(os.fsencode(path)) for path in (place.presence, place.redis))
    if longest > _LONGEST_SOCKET_PATH:
        text = f"paths below {place.run} have {longest} bytes, and a socket's may have "
        remedy = "set XDG_RUNTIME_DIR to a folder with a short name, such as /tmp"
        return bad(name, f"{text}{_LONGEST_SOCKET_PATH}", remedy)
    return good(name, f"paths of {longest} bytes")


def _trouble_writing(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
