"""Checks that Redis can be reached and will keep jobs.

`RedisServer` sends commands over the kind of connection that machines use; each
`check_` function judges a reply. `INFO` is sent once for all of them. If a provider
does not allow a command, the finding is `unknown`, never `ok`.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from worker_lib.doctor.findings import Finding, failed, ok, unknown, warning
from worker_lib.errors import ConfigError, StoreError, StoreUnavailable
from worker_lib.store.requirements import EVICTION_REMEDY, eviction_risk
from worker_lib.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.store.resp import Reply

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

_REPLY_TIMEOUT = 3.0
_PINGS = 5
_SLOW_PING = 0.05
# BLMOVE, and ZADD with LT and GT.
_OLDEST = (6, 2)
_FULL = 0.9
_FILLING = 0.75
_TRIAL_TTL_MS = 60_000


class _PlainWire(Wire):
    """Raises refusals with the words of Redis; other clients wait for some to pass."""

    def _refusal(self, text: str) -> StoreError:
        return StoreError(f"Redis refused a command: {text}")


class RedisServer:
    """One connection to Redis.

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
        return wire.ask(command, _REPLY_TIMEOUT)

    def pings(self) -> list[float]:
        """Return the seconds that each of a few PINGs took, without the connect."""
        self.ask("PING")
        took = []
        for _ in range(_PINGS):
            began = time.perf_counter()
            self.ask("PING")
            took.append(time.perf_counter() - began)
        return took

    def info(self) -> dict[str, str]:
        """Return the reply to INFO; empty if it is not allowed."""
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
        """Return a value of the server's configuration; None if it is not allowed."""
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
            raise StoreError("Redis did not send its time")
        seconds, micro = (float(part) for part in reply if isinstance(part, bytes))
        return seconds + micro / 1e6

    def close(self) -> None:
        """Close the connection."""
        if self._wire is not None:
            self._wire.close()

    def _open(self) -> Wire:
        try:
            return _PlainWire(self._url, "")
        except ConfigError as error:
            raise StoreUnavailable("REDIS_URL cannot be read") from error


_FROM_OUTSIDE = (
    "correct the host; Fly's Redis has a name only inside Fly: run this there "
    "(fly ssh console), or go through: fly redis proxy"
)
# The first with a word that is in the error, which may quote Redis or the system.
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
    """Return the failure to reach Redis, with what to do."""
    text = str(error)
    remedies = (
        remedy for words, remedy in _REMEDIES if any(word in text for word in words)
    )
    return failed("redis", text, next(remedies, "start it, or correct REDIS_URL"))


def check_latency(pings: list[float]) -> Finding:
    """Check how long a round trip takes."""
    median = statistics.median(pings)
    text = f"replies in {median * 1000:.2f} ms (median of {len(pings)})"
    if median > _SLOW_PING:
        remedy = "put Redis in the region of the app: each call costs a round trip"
        return warning("redis", text, remedy)
    return ok("redis", text)


def check_version(info: Mapping[str, str]) -> Finding:
    """Check that the server has the commands that are used."""
    name, version = "redis version", info.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(numbers) < 2:
        return unknown(name, "the server hides its version", "use 6.2 or later")
    if numbers < _OLDEST:
        text = f"{version} has no BLMOVE and no ZADD LT"
        return failed(name, text, "use Redis 6.2 or later, or any Valkey")
    valkey = info.get("valkey_version")
    return ok(name, f"Valkey {valkey}" if valkey else version)


def check_eviction(info: Mapping[str, str], policy: str | None) -> Finding:
    """Check that a full server refuses new jobs and keeps the old ones."""
    name, found = "redis eviction", policy or info.get("maxmemory_policy", "")
    if not found:
        remedy = "check that eviction is off: fly redis status, or your provider's page"
        return unknown(name, "the server hides its policy", remedy)
    risk = eviction_risk(found)
    if risk:
        return failed(name, risk, EVICTION_REMEDY)
    return ok(name, "noeviction: a full server refuses writes and keeps all jobs")


def check_persistence(info: Mapping[str, str], save: str | None) -> Finding:
    """Check that jobs survive a restart of the server."""
    name, aof = "redis persistence", info.get("aof_enabled")
    if aof is None:
        remedy = "ask your provider whether data survives a restart"
        return unknown(name, "the server hides whether it writes to disk", remedy)
    if aof == "1" and info.get("aof_last_write_status", "ok") != "ok":
        text = "the last write to the append-only file failed"
        return failed(name, text, "free space on its disk")
    if aof == "1":
        return ok(name, "append-only file")
    remedy = "CONFIG SET appendonly yes, and in its configuration"
    if save:
        text = "snapshots only: a crash loses what was stored since the last one"
        return warning(name, text, remedy)
    return failed(name, "none: a restart of the server loses every job", remedy)


def check_memory(info: Mapping[str, str]) -> Finding:
    """Check how much memory is left."""
    name = "redis memory"
    if "used_memory" not in info:
        return unknown(name, "the server hides it", "see your provider's page")
    used, limit = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    if not limit:
        return ok(name, f"{_mb(used)} used, no limit of its own")
    share = used / limit
    text = f"{_mb(used)} of {_mb(limit)} used ({share:.0%})"
    remedy = "give it more memory, or lower WORKER_LIB_RESULT_TTL"
    if share >= _FULL:
        return failed(name, text, remedy)
    return warning(name, text, remedy) if share >= _FILLING else ok(name, text)


def check_cluster(info: Mapping[str, str]) -> Finding | None:
    """Refuse a cluster; None if it is none."""
    if info.get("cluster_enabled") != "1":
        return None
    text = "it is a cluster, and machines do not follow its redirections"
    return failed("redis cluster", text, "use a single server, or one with replicas")


def check_scripts(server: RedisServer) -> Finding:
    """Run a script that does nothing: every change of a job is a script."""
    name = "redis scripts"
    try:
        server.ask("EVAL", "return 1", 0)
    except StoreError as error:
        remedy = "allow EVAL and EVALSHA: ACL SETUSER ... +@scripting"
        return failed(name, f"EVAL is refused: {error}", remedy)
    return ok(name, "EVAL works")


def check_writes(server: RedisServer, key: str) -> Finding:
    """Write a key that expires, and read it back."""
    name = "redis writes"
    try:
        server.ask("HSET", key, "by", "doctor")
        server.ask("PEXPIRE", key, _TRIAL_TTL_MS)
        found = server.ask("HGET", key, "by")
        server.ask("DEL", key)
    except StoreError as error:
        return _write_refused(name, str(error))
    if found != b"doctor":
        remedy = "use the primary: a replica may lag behind"
        return failed(name, "what was written cannot be read back", remedy)
    return ok(name, f"{key} was written, read and deleted")


def _write_refused(name: str, text: str) -> Finding:
    if "READONLY" in text:
        remedy = "set REDIS_URL to the primary: this is a read-only replica"
    elif "NOPERM" in text:
        remedy = "allow this user the namespace's keys: ACL SETUSER ... ~* +@all"
    elif "full" in text or "OOM" in text:
        remedy = "it is full: give it more memory, or keep results for less time"
    else:
        remedy = "free its disk, or see its log"
    return failed(name, f"a write is refused: {text}", remedy)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1024 / 1024:.1f} MB"
