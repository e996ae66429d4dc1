"""The calling side's way to Redis: redis-py's connections, without its retries.

redis-py 8 sends a command again after a time-out, which makes one write two. So its
retries are off; what may be sent again is known here: every script of this library,
and nothing else.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.retry import Retry as RedisRetry

from worker_lib.errors import ConfigError, StoreError, StoreUnavailable
from worker_lib.store import address
from worker_lib.store.refusals import explain
from worker_lib.store.wire import pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.store.scripts import Script, Word

__all__ = ["ANSWER_TIMEOUT", "LONGEST_BLOCK", "MAX_BLOCK", "Connection"]

CONNECT_TIMEOUT = 1.5
ANSWER_TIMEOUT = 2.5
BLOCK_MARGIN = 0.7
# Blocking commands are cut into slices, so that a dead connection is noticed, and what
# Redis may have lost. Each slice of a wait is twice as long as the one before.
MAX_BLOCK = 20.0
LONGEST_BLOCK = 300.0
# By which the kernel finds out that a silent connection is dead: after a minute, then
# three times ten seconds. No command is sent for it.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_CODES = {
    redis.AuthenticationError: "WRONGPASS",
    BusyLoadingError: "LOADING",
    MasterDownError: "MASTERDOWN",
    ClusterDownError: "CLUSTERDOWN",
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    TryAgainError: "TRYAGAIN",
}
# What Redis answered, whichever of it redis-py takes for a broken connection.
_REPLIES = (redis.ResponseError, redis.AuthenticationError, BusyLoadingError)


class Connection:
    """Runs scripts and blocking commands; safe for threads and after a fork.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: First key of every script: the namespace.

    Raises:
        ConfigError: the URL cannot be read.
        StoreUnavailable: Redis cannot be reached, refuses us, or is full; known
            within three seconds.
    """

    def __init__(self, url: str, prefix: str) -> None:
        address.parse(url)  # as machines read it: what they refuse is refused here
        self._prefix = prefix.encode()
        self._quick = _Connections(url, ANSWER_TIMEOUT)
        self._blocking = _Connections(url, ANSWER_TIMEOUT)

    def __repr__(self) -> str:
        """Name the server, never the password."""
        return f"Connection({self._quick.address!r})"

    @property
    def reached(self) -> bool:
        """Whether Redis has ever answered: if so, its silence is likely to pass."""
        return self._quick.reached or self._blocking.reached

    def run(
        self, script: Script, *rest: Word, patience: float = 0.0, **named: Word
    ) -> Any:
        """Run a script and return its reply; sent again once if the reply was lost.

        Args:
            script: Takes these arguments, by its own names, then the rest.
            patience: Seconds to wait for the reply; 0 as long as usual.
        """
        words = script.words(rest, named)
        command = (b"EVALSHA", script.sha, 1, self._prefix, *words)
        began = time.monotonic()
        try:
            return self._quick.call(command, patience)
        except NoScriptError:
            return self._checked(self._quick, _whole(script, command), patience)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            # A connection that idled may have been closed by the server meanwhile.
            if time.monotonic() - began > 1 or isinstance(
                error, redis.AuthenticationError
            ):
                raise self._told(error) from error
            return self._checked(self._quick, _whole(script, command), patience)
        except redis.RedisError as error:
            raise self._told(error) from error

    def block(self, *command: Any) -> Any:
        """Run a blocking command whose last word is its time-out, in seconds.

        Raises:
            StoreUnavailable: no answer came, `BLOCK_MARGIN` seconds after that.
        """
        patience = float(command[-1]) + BLOCK_MARGIN
        return self._checked(self._blocking, command, patience)

    def listen(self, channel: str, timeout: float) -> Iterator[None]:
        """Yield once when subscribed to `channel`, then at each message.

        Ends after `timeout` seconds. Where nothing comes for long, the server is asked
        whether it is still there.
        """
        deadline = time.monotonic() + timeout
        with self.own() as connection:
            connection.send_command("SUBSCRIBE", channel)
            awaited = True
            while (left := deadline - time.monotonic()) > 0:
                patience = ANSWER_TIMEOUT if awaited else MAX_BLOCK
                if connection.can_read(timeout=min(left, patience)):
                    awaited = False
                    if connection.read_response()[0] != b"pong":
                        yield
                elif left > patience:
                    _ask_for_life(connection, asked=awaited)
                    awaited = True

    @contextmanager
    def own(self) -> Iterator[Any]:
        """Yield a connection of redis-py that nobody else uses; closed at the end.

        Raises:
            StoreError: whatever went wrong with it, in our words.
        """
        connection = self._blocking.fresh()
        try:
            yield connection
        except (redis.RedisError, OSError) as error:
            raise self._told(error) from error
        finally:
            connection.disconnect()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._quick.close()
        self._blocking.close()

    def _checked(
        self,
        connections: _Connections,
        command: tuple[Any, ...],
        patience: float = 0.0,
    ) -> Any:
        try:
            return connections.call(command, patience)
        except (redis.RedisError, OSError) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> StoreError:
        where = f"Redis at {self._quick.address}"
        if not isinstance(error, _REPLIES):
            return StoreUnavailable(
                f"{where} cannot be reached ({type(error).__name__}): start it, or "
                "correct REDIS_URL"
            )
        # redis-py takes the code off where it has a class for it.
        codes = (code for kind, code in _CODES.items() if isinstance(error, kind))
        text = f"{next(codes, '')} {error}".lstrip()
        return explain(text, where, self._prefix.decode())


def _kept_alive(url: str) -> dict[str, Any]:
    """Return what redis-py needs to know; a unix socket has no such thing."""
    if url.startswith("unix:"):
        return {}
    known = {
        name: value for name, value in _KEEP_ALIVE.items() if hasattr(socket, name)
    }
    options = {getattr(socket, name): value for name, value in known.items()}
    return {"socket_keepalive": True, "socket_keepalive_options": options}


class _Connections:
    """A free list of redis-py connections; forgets those made before a fork."""

    def __init__(self, url: str, answer_timeout: float) -> None:
        try:
            self._pool = redis.ConnectionPool.from_url(
                url,
                socket_connect_timeout=CONNECT_TIMEOUT,
                socket_timeout=answer_timeout,
                retry=RedisRetry(NoBackoff(), 0),
                protocol=2,
                **_kept_alive(url),
            )
        except ValueError:  # whose text may show the password
            raise ConfigError(
                "REDIS_URL cannot be read: write redis://user:password@host:port/0, "
                "with %-escapes for special characters of the password"
            ) from None
        self.reached = False
        self._free: deque[Any] = deque()
        self._pid = os.getpid()
        known = self._pool.connection_kwargs
        self.address: str = (
            known.get("path")
            or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"
        )

    def fresh(self) -> Any:
        """Return a connection that nobody else has, and that is not given back."""
        connection: Any = self._pool.connection_class(**self._pool.connection_kwargs)
        # It would introduce itself in two commands, which are billed and waited for.
        connection.driver_info = connection.lib_name = connection.lib_version = None
        return connection

    def call(self, command: tuple[Any, ...], patience: float = 0.0) -> Any:
        connection = self._take()
        # redis-py's own packing takes longer than all the rest of a call.
        connection.send_packed_command([pack(command)])
        if patience and not connection.can_read(patience):
            connection.disconnect()
            raise redis.TimeoutError("no answer in time")
        try:
            reply = connection.read_response()
        except redis.ResponseError:
            self._free.append(connection)
            raise
        self._free.append(connection)
        self.reached = True
        return reply

    def close(self) -> None:
        while self._free:
            self._free.pop().disconnect()

    def _take(self) -> Any:
        if self._pid != os.getpid():
            self._free.clear()
            self._pid = os.getpid()
        while True:
            try:
                connection = self._free.pop()
            except IndexError:
                return self.fresh()
            if _is_sound(connection):
                return connection
            connection.disconnect()


def _ask_for_life(connection: Any, *, asked: bool) -> None:
    if asked:
        raise redis.TimeoutError("no answer to a subscriber")
    connection.send_command("PING")


def _is_sound(connection: Any) -> bool:
    """Say whether an idle connection is open; data that nobody asked for is its end."""
    try:
        return not connection.can_read()
    except (redis.RedisError, OSError):
        return False


def _whole(script: Script, command: tuple[Any, ...]) -> tuple[Any, ...]:
    return (b"EVAL", script.source, *command[2:])
