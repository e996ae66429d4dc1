"""Checks that a user of Redis may run all commands that jobs need, by trying each.

A user with few rights can seldom read what they are. So every command of the scripts,
and every one that waits, is sent on a key and a channel of the namespace. The key is
a hash that expires: a command for another type of key is refused because of the type,
and Redis checks the rights before that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from worker_lib.doctor.findings import Finding, failed, ok, unknown
from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.keys import key_prefix, trial_key
from worker_lib.store.requirements import missing_right

if TYPE_CHECKING:
    from worker_lib.doctor.server import RedisServer

__all__ = ["TRIALS", "check_rights"]

_UNKNOWN = re.compile(r"unknown command|not available", re.IGNORECASE)
_SCRIPT = "return 1"
_NO_SCRIPT = "0" * 40
_LIFE_MS = 60000
_SHORT = 0.01
# KEY, CHANNEL and PREFIX stand for those of the namespace.
TRIALS: tuple[tuple[str | float, ...], ...] = (
    ("HSET", "KEY", "x", "x"),
    ("PEXPIRE", "KEY", _LIFE_MS),
    ("SET", "KEY", "x", "XX", "GET"),
    ("GET", "KEY"),
    ("EXISTS", "KEY"),
    ("PTTL", "KEY"),
    ("HDEL", "KEY", "y"),
    ("HEXISTS", "KEY", "x"),
    ("HGET", "KEY", "x"),
    ("HGETALL", "KEY"),
    ("HINCRBY", "KEY", "n", 1),
    ("HKEYS", "KEY"),
    ("HLEN", "KEY"),
    ("HMGET", "KEY", "x"),
    ("HSETNX", "KEY", "x", "x"),
    ("HSTRLEN", "KEY", "x"),
    ("LPUSH", "KEY", "x"),
    ("LRANGE", "KEY", 0, 0),
    ("LTRIM", "KEY", 0, 0),
    ("RPUSH", "KEY", "x"),
    ("SADD", "KEY", "x"),
    ("SCARD", "KEY"),
    ("SMEMBERS", "KEY"),
    ("SPOP", "KEY"),
    ("SRANDMEMBER", "KEY"),
    ("SREM", "KEY", "x"),
    ("ZADD", "KEY", 1, "x"),
    ("ZCARD", "KEY"),
    ("ZPOPMIN", "KEY"),
    ("ZRANGE", "KEY", 0, 0),
    ("ZRANGEBYSCORE", "KEY", 0, 1),
    ("ZREM", "KEY", "x"),
    ("ZREVRANGE", "KEY", 0, 0),
    ("ZREVRANGEBYSCORE", "KEY", 1, 0),
    ("ZREVRANK", "KEY", "x"),
    ("ZSCORE", "KEY", "x"),
    ("ZSCAN", "KEY", 0),
    ("SSCAN", "KEY", 0),
    ("TIME",),
    ("BLPOP", "KEY", _SHORT),
    ("BLMOVE", "KEY", "KEY", "LEFT", "RIGHT", _SHORT),
    ("EVAL", _SCRIPT, 1, "PREFIX"),
    ("EVALSHA", _NO_SCRIPT, 1, "PREFIX"),
    ("DEL", "KEY"),
    ("PUBLISH", "CHANNEL", "1"),
    # Last: a connection that has subscribed takes no other command.
    ("SUBSCRIBE", "CHANNEL"),
)


def check_rights(server: RedisServer, url: str, namespace: str) -> Finding:
    """Try every command that jobs need, and name each right that is missing.

    Args:
        server: The connection; it is closed, and opens again when next asked.
        url: It names the user.
        namespace: The keys of this namespace are tried.
    """
    name, user = "redis rights", unquote(urlsplit(url).username or "default")
    found = _Trials(server, namespace)
    try:
        found.run()
    except StoreUnavailable as error:
        return unknown(name, f"not all was tried: {error}", "see the lines above")
    if not found.missing:
        return ok(name, f"user {user} may do all that jobs need")
    lacking = ", ".join(found.missing)
    rules = " ".join(rule for rule in found.missing.values() if rule)
    if not rules:
        return failed(name, f"this server lacks {lacking}", "use Redis 6.2 or Valkey")
    # Redis checks the right to the command first, then that to the key or channel.
    untried = [what for what in ("KEY", "CHANNEL") if what not in found.reached]
    again = "; then try again: not all could be tried yet" if untried else ""
    remedy = f"ACL SETUSER {user} {rules}{again}"
    return failed(name, f"user {user} lacks {lacking}", remedy)


class _Trials:
    """Tries every command.

    Attributes:
        missing: The rights that are missing, and the rule that gives each; "" for a
            command that the server does not have.
        reached: `KEY` and `CHANNEL`, if the rights to one of ours were checked.
    """

    def __init__(self, server: RedisServer, namespace: str) -> None:
        self._server = server
        self._prefix = key_prefix(namespace)
        trial = trial_key(namespace)
        self._own = {"KEY": trial, "CHANNEL": trial, "PREFIX": self._prefix}
        self.missing: dict[str, str] = {}
        self.reached: set[str] = set()

    def run(self) -> None:
        try:
            for command, *words in TRIALS:
                self._try(str(command), words)
        finally:
            self._server.close()

    def _try(self, command: str, words: list[str | float]) -> None:
        right, given = None, [self._own.get(str(word), word) for word in words]
        try:
            self._server.ask(command, *given)
        except StoreUnavailable:
            raise
        except StoreError as error:
            right = missing_right(str(error), self._prefix)
            if right is None and _UNKNOWN.search(str(error)):
                right = f"the command {command.lower()}", ""
        if right is not None:
            self.missing[right[0]] = right[1]
        if right is None or right[1][:1] != "+":
            self.reached |= {str(word) for word in words}
