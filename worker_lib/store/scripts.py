"""The Lua scripts: one file per verb, each move of a job is one of them.

Redis runs a script whole or not at all, on its own clock, so there is no moment at
which a job is between two places. Every script can be sent again after a lost reply.
"""

from __future__ import annotations

import hashlib
import os

__all__ = ["Script", "script"]

_FOLDER = os.path.join(os.path.dirname(__file__), "lua")
_CLAIMING = frozenset({"claim", "finish"})
_loaded: dict[str, Script] = {}


class Script:
    """One verb: its source, and the digest by which Redis knows it.

    Attributes:
        name: The verb.
        source: The Lua text, what it shares with others put in front.
        sha: SHA-1 of the source, for EVALSHA.
    """

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: bytes) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


def script(name: str) -> Script:
    """Return the script of this verb; read from disk once."""
    if name not in _loaded:
        parts = ["_common", "_claim", name] if name in _CLAIMING else ["_common", name]
        _loaded[name] = Script(name, b"".join(map(_read, parts)))
    return _loaded[name]


def _read(part: str) -> bytes:
    with open(os.path.join(_FOLDER, part + ".lua"), "rb") as file:
        return file.read()
