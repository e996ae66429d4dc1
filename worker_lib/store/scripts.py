"""The Lua scripts: one file per verb, each move of a job is one of them.

Redis runs a script whole or not at all, on its own clock, so there is no moment at
which a job is between two places. Every script can be sent again after a lost reply.
"""

from __future__ import annotations

import os

__all__ = ["Script", "script"]

_FOLDER = os.path.join(os.path.dirname(__file__), "lua")
# What a verb shares with others besides `_common`.
_PARTS = {
    "enqueue": ("_rights",),
    **dict.fromkeys(("cancel", "look", "release"), ("_moves",)),
    **dict.fromkeys(("claim", "finish"), ("_moves", "_claim")),
    **dict.fromkeys(("lose", "sweep"), ("_moves", "_machines")),
    **dict.fromkeys(("created", "refuse", "stray"), ("_machines",)),
}
_loaded: dict[str, Script] = {}


class Script:
    """One verb: its source, and the digest by which Redis knows it.

    Attributes:
        name: The verb.
        source: The Lua text, what it shares with others put in front.
    """

    __slots__ = ("_sha", "name", "source")

    def __init__(self, name: str, source: bytes) -> None:
        self.name = name
        self.source = source
        self._sha = b""

    @property
    def sha(self) -> bytes:
        """SHA-1 of the source, for EVALSHA."""
        if not self._sha:
            import hashlib  # noqa: PLC0415 - a machine with one job needs none

            digest = hashlib.sha1(self.source, usedforsecurity=False)
            self._sha = digest.hexdigest().encode()
        return self._sha


def script(name: str) -> Script:
    """Return the script of this verb; read from disk once."""
    if name not in _loaded:
        parts = ("_common", *_PARTS.get(name, ()), name)
        _loaded[name] = Script(name, b"".join(map(_read, parts)))
    return _loaded[name]


def _read(part: str) -> bytes:
    with open(os.path.join(_FOLDER, part + ".lua"), "rb") as file:
        return file.read()
