"""How long the path of a unix socket may be."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LONGEST_PATH", "check_path"]

LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Bytes: the size of `sun_path`, less the one that ends it. Source: unix(7)."""


def check_path(path: Path, variable: str) -> None:
    """Refuse a path that no socket can have.

    Args:
        path: Of the socket.
        variable: What to set to a shorter folder.

    Raises:
        ConfigError: it is too long; names the variable.
    """
    size = len(os.fsencode(path))
    if size > LONGEST_PATH:
        raise ConfigError(
            Problem(
                f"{variable} leads to a path of {size} bytes for a socket, which may "
                f"have {LONGEST_PATH} ({path})",
                f"set {variable} to a folder with a shorter name, such as /tmp",
                variable,
            )
        )
