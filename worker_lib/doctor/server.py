"""What Redis says of itself, and whether it can be trusted with jobs.

`RedisServer` asks, over the connection that machines use; each `check_` function
judges an answer. `INFO` is asked once for all of them. What a provider does not let
us ask is `unknown`, never `ok`.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from worker_lib.doctor.findings import Finding, bad, good, poor, unknown
from worker_lib.errors import ConfigError, StoreError, StoreUnavailable
from worker_lib.store.requirements import EVICTION_REMEDY, eviction_risk
from worker_lib.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.store.wire import Reply

__all__ = [
    "RedisServer",
    "check_cluster",
    "check_eviction",
    "check_latency",
    "check_memory",
    "check_persistence",
    "check_scripts",
    "check_version",
    "check_writes",
    "unreachable",
]

_ANSWER_TIMEOUT = 3.0
_PINGS = 5
_SLOW_PING = 0.05
# BLMOVE, and ZADD with LT and GT.
_OLDEST = (6, 2)
_FULL = 0.9
_FILLING = 0.75
_TRIAL_TTL_MS = 60_000


class _PlainWire(Wire):
    """Tells refusals in Redis's own words: which of them pass is for others to know."""

    def _refusal(self, text: str) -> StoreError:
        return StoreError(f"Redis refused a command: {text}")


class RedisServer:
    """One connection, and what was said over it.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire: Wire | None = None

    def ask(self, *command: bytes | str | float) -> Reply:
        """Return the reply to a command.

        Raises:
            StoreError: Redis refused it, or cannot be reached.
        """
        wire = self._wire = self._wire or self._open()
        wire.connect()
        wire.send(*command)
        return wire.receive(_ANSWER_TIMEOUT)

    def pings(self) -> list[float]:
        """Return how many seconds each of a few PINGs took, the connect left out."""
        self.ask("PING")
        took = []
        for _ in range(_PINGS):
            began = time.perf_counter()
            self.ask("PING")
            took.append(time.perf_counter() - began)
        return took

    def info(self) -> dict[str, str]:
        """Return what INFO says; empty if it may not be asked."""
        try:
            reply = self.ask("INFO")
        except StoreError as error:
            if isinstance(error, StoreUnavailable):
                raise
            return {}
        text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
        pairs = (line.partition(":") for line in text.splitlines())
        return {name: value.strip() for name, colon, value in pairs if colon}

    def option(self, name: str) -> str | None:
        """Return a value of the server's configuration; None if it is not told."""
        try:
            reply = self.ask("CONFIG", "GET", name)
        except StoreError as error:
            if isinstance(error, StoreUnavailable):
                raise
            return None
        if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], bytes):
            return reply[1].decode()
        return None

    def time(self) -> float:
        """Return the server's clock, in seconds since 1970."""
        reply = self.ask("TIME")
        if not isinstance(reply, list):
            raise StoreError("Redis does not tell the time")
        seconds, micro = (float(part) for part in reply if isinstance(part, bytes))
        return seconds + micro / 1e6

    def close(self) -> None:
        """Close the connection."""
        if self._wire is not None:
            self._wire.close()

    def _open(self) -> Wire:
        try:
            return _PlainWire(self._url, "")
        except ConfigError as error:  # told like all that keeps us from Redis
            raise StoreUnavailable("REDIS_URL cannot be read") from error


_FROM_OUTSIDE = (
    "correct the host; Fly's Redis has a name only inside Fly: run this there "
    "(fly ssh console), or go through: fly redis proxy"
)
# The first whose words are in what was said.
_REMEDIES = (
    (("WRONGPASS", "NOAUTH", "AUTH", "password"), "correct the password in REDIS_URL"),
    (("NOPERM",), "allow this user PING: ACL SETUSER ... +@all ~*"),
    (
        ("SSL", "ssl", "TLS", "EOF"),
        "the server speaks no TLS there: use redis:// or its TLS port",
    ),
    (("Name or service", "nodename", "No address", "resolution"), _FROM_OUTSIDE),
    (("closed", "reset"), "if the server wants TLS, use rediss://"),
    (("cannot be read",), "write REDIS_URL as redis://user:password@host:port"),
)


def unreachable(error: StoreError) -> Finding:
    """Say why Redis could not be spoken to at all."""
    text = str(error)
    remedies = (
        remedy for words, remedy in _REMEDIES if any(word in text for word in words)
    )
    return bad("redis", text, next(remedies, "start it, or correct REDIS_URL"))


def check_latency(pings: list[float]) -> Finding:
    """Judge how long a round trip takes."""
    median = statistics.median(pings)
    text = f"answers in {median * 1000:.2f} ms (median of {len(pings)})"
    if median > _SLOW_PING:
        remedy = "put Redis in the region of the app: each call costs a round trip"
        return poor("redis", text, remedy)
    return good("redis", text)


def check_version(info: Mapping[str, str]) -> Finding:
    """Judge whether the server has the commands that are used."""
    name, told = "redis version", info.get("redis_version", "")
    numbers = tuple(int(part) for part in told.split(".")[:2] if part.isdecimal())
    if len(numbers) < 2:
        return unknown(name, "the server does not tell its version", "use 6.2 or later")
    if numbers < _OLDEST:
        text = f"{told} has no BLMOVE and no ZADD LT"
        return bad(name, text, "use Redis 6.2 or later, or any Valkey")
    valkey = info.get("valkey_version")
    return good(name, f"Valkey {valkey}" if valkey else told)


def check_eviction(info: Mapping[str, str], policy: str | None) -> Finding:
    """Judge what a full server does: refuse new calls, or forget old ones."""
    name, found = "redis eviction", policy or info.get("maxmemory_policy", "")
    if not found:
        remedy = "see that eviction is off: fly redis status, or your provider's page"
        return unknown(name, "the server does not tell its policy", remedy)
    risk = eviction_risk(found)
    if risk:
        return bad(name, risk, EVICTION_REMEDY)
    return good(name, "noeviction: a full server refuses, and forgets nothing")


def check_persistence(info: Mapping[str, str], save: str | None) -> Finding:
    """Judge whether stored calls survive a restart of the server."""
    name, aof = "redis persistence", info.get("aof_enabled")
    if aof is None:
        remedy = "ask your provider whether data survives a restart"
        return unknown(name, "the server does not tell whether it persists", remedy)
    if aof == "1" and info.get("aof_last_write_status", "ok") != "ok":
        return bad(name, "the last write to the append-only file failed", "free disk")
    if aof == "1":
        return good(name, "append-only file")
    if save:
        text = "snapshots only: a crash loses what was stored since the last one"
        return poor(name, text, "CONFIG SET appendonly yes, and in its configuration")
    text = "none: a restart of the server loses every job"
    return bad(name, text, "CONFIG SET appendonly yes, and in its configuration")


def check_memory(info: Mapping[str, str]) -> Finding:
    """Judge how much room is left."""
    name = "redis memory"
    if "used_memory" not in info:
        return unknown(name, "the server does not tell", "see your provider's page")
    used, limit = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    if not limit:
        return good(name, f"{_mb(used)} used, no limit of its own")
    share = used / limit
    text = f"{_mb(used)} of {_mb(limit)} used ({share:.0%})"
    remedy = "give it more memory, or keep results shorter (WORKER_LIB_RESULT_TTL)"
    if share >= _FULL:
        return bad(name, text, remedy)
    return poor(name, text, remedy) if share >= _FILLING else good(name, text)


def check_cluster(info: Mapping[str, str]) -> Finding | None:
    """Refuse what machines cannot follow; None if there is nothing to say."""
    if info.get("cluster_enabled") != "1":
        return None
    text = "it is a cluster, whose redirections machines do not follow"
    return bad("redis cluster", text, "use a single server, or one with replicas")


def check_scripts(server: RedisServer) -> Finding:
    """Run a script that does nothing: every move of a job is one."""
    name = "redis scripts"
    try:
        server.ask("EVAL", "return 1", 0)
    except StoreError as error:
        remedy = "allow EVAL and EVALSHA: ACL SETUSER ... +@scripting"
        return bad(name, f"EVAL is refused: {error}", remedy)
    return good(name, "EVAL works")


def check_writes(server: RedisServer, key: str) -> Finding:
    """Write a key that goes away by itself, and read it back."""
    name = "redis writes"
    try:
        server.ask("HSET", key, "by", "doctor")
        server.ask("PEXPIRE", key, _TRIAL_TTL_MS)
        found = server.ask("HGET", key, "by")
        server.ask("DEL", key)
    except StoreError as error:
        return _write_refused(name, str(error))
    if found != b"doctor":
        remedy = "use the primary: a replica may answer late"
        return bad(name, "what was written cannot be read back", remedy)
    return good(name, f"{key} was written, read and deleted")


def _write_refused(name: str, text: str) -> Finding:
    if "READONLY" in text:
        remedy = "set REDIS_URL to the primary: this is a read-only replica"
    elif "NOPERM" in text:
        remedy = "allow this user the namespace's keys: ACL SETUSER ... ~* +@all"
    elif "full" in text or "OOM" in text:
        remedy = "it is full: give it more memory, or keep results shorter"
    else:
        remedy = "free its disk, or see its log"
    return bad(name, f"a write is refused: {text}", remedy)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1024 / 1024:.1f} MB"
