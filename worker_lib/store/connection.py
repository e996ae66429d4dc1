"""The calling side's connections to Redis, for any number of threads.

A script whose reply was lost is sent once more, since each may run twice; nothing else
is.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store import address
from worker_lib.store.wire import Broken, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from worker_lib.store.resp import Packed
    from worker_lib.store.scripts import Script, Word

__all__ = ["ANSWER_TIMEOUT", "LONGEST_BLOCK", "MAX_BLOCK", "Connection"]

CONNECT_TIMEOUT = 1.5
ANSWER_TIMEOUT = 2.5
BLOCK_MARGIN = 0.7
# Blocking commands are cut into slices, so that a dead connection is noticed, and what
# Redis may have lost. Each slice of a wait is twice as long as the one before.
MAX_BLOCK = 20.0
LONGEST_BLOCK = 300.0
# Whoever was in time before is sent a script again; a server that hangs is not.
_RESEND_WITHIN = 1.0


class _Tally(threading.local):
    sent = 0


class Connection:
    """Runs scripts and blocking commands; safe for threads and after a fork.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: First key of every script: the namespace.

    Attributes:
        reached: Whether Redis has ever answered: if so, its silence is likely to pass.

    Raises:
        ConfigError: the URL cannot be read.
        StoreUnavailable: Redis cannot be reached, refuses us, or is full; known
            within three seconds.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self._place = address.parse(url).place
        self._known: set[str] = set()
        self._pid = os.getpid()
        self._free: deque[Wire] = deque()
        self._tally = _Tally()
        self.reached = False

    @property
    def sent_by_thread(self) -> int:
        """How many commands this thread has sent so far."""
        return self._tally.sent

    def __repr__(self) -> str:
        """Name the server, never the password."""
        return f"Connection({self._place!r})"

    def run(
        self, script: Script, *rest: Word | Packed, patience: float = 0.0, **named: Word
    ) -> Any:
        """Run a script and return its reply; sent again once if the reply was lost.

        Args:
            script: Takes these arguments, by its own names, then the rest.
            patience: Seconds to wait for the reply; 0 as long as usual.
        """
        return self._run(script, script.words(rest, named), patience or ANSWER_TIMEOUT)

    def begin(
        self, script: Script, *rest: Word | Packed, **named: Word
    ) -> Callable[[], Any]:
        """Send a script; return a function that waits for its reply, as `run` does.

        Meanwhile nobody else uses the connection that it was sent over.
        """
        words = script.words(rest, named)
        try:
            wire = self._taken()
            wire.begin_with(script, words, ANSWER_TIMEOUT)
        except StoreUnavailable:
            return partial(self._run, script, words, ANSWER_TIMEOUT)
        return partial(self._end, os.getpid(), wire, script, words)

    def _run(
        self, script: Script, words: Sequence[Word | Packed], patience: float
    ) -> Any:
        began = time.monotonic()
        try:
            return self._through(self._taken(), Wire.evaluate, script, words, patience)
        except Broken as error:
            self._check_time(began, error)
        return self._run_again(script, words, patience)

    def _end(
        self, pid: int, wire: Wire, script: Script, words: Sequence[Word | Packed]
    ) -> Any:
        began = time.monotonic()
        if pid == os.getpid():  # else the reply is our parent's
            try:
                return self._through(wire, Wire.end, ANSWER_TIMEOUT)
            except Broken as error:
                self._check_time(began, error)
        return self._run_again(script, words, ANSWER_TIMEOUT)

    def _check_time(self, began: float, error: Broken) -> None:
        """Raise the error if it took long to come.

        A connection that idled may just have been closed by the server meanwhile.
        """
        if time.monotonic() - began > _RESEND_WITHIN:
            raise self._told(error) from error

    def _run_again(
        self, script: Script, words: Sequence[Word | Packed], patience: float
    ) -> Any:
        with self._in_our_words():
            fresh = self._connected()
            return self._through(fresh, Wire.evaluate_whole, script, words, patience)

    def block(self, *command: Any) -> Any:
        """Run a blocking command whose last word is its time-out, in seconds.

        Raises:
            StoreUnavailable: no answer came, `BLOCK_MARGIN` seconds after that.
        """
        patience = float(command[-1]) + BLOCK_MARGIN
        try:
            return self._through(self._taken(), Wire.ask, command, patience)
        except Broken as error:
            raise self._told(error) from error

    def listen(self, channel: str, timeout: float) -> Iterator[None]:
        """Yield once when subscribed to `channel`, then at each message.

        Ends after `timeout` seconds. Where nothing comes for long, the server is asked
        whether it is still there.
        """
        deadline = time.monotonic() + timeout
        with self.own() as wire:
            wire.send("SUBSCRIBE", channel)
            awaited = True
            while (left := deadline - time.monotonic()) > 0:
                patience = ANSWER_TIMEOUT if awaited else MAX_BLOCK
                if wire.wait(min(left, patience)):
                    awaited = False
                    if _kind(wire) != b"pong":
                        yield
                elif left > patience:
                    _ask_for_life(wire, asked=awaited)
                    awaited = True

    @contextlib.contextmanager
    def own(self) -> Iterator[Wire]:
        """Yield a connection that nobody else uses; closed at the end.

        Raises:
            StoreError: whatever went wrong with it, in our words.
        """
        wire = self._made()
        try:
            with self._in_our_words():
                wire.connect(CONNECT_TIMEOUT)
                yield wire
        finally:
            wire.close()

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._free:
            self._free.pop().close()

    def _through(self, wire: Wire, ask: Callable[..., Any], *question: Any) -> Any:
        """Return what comes of a question over a connection, and keep that."""
        self._tally.sent += 1
        try:
            reply = ask(wire, *question)
        except StoreError:
            if wire.fileno() >= 0:  # after a refusal it is as good as before
                self._free.append(wire)
            raise
        except BaseException:
            wire.close()  # the reply may be yet to come
            raise
        self.reached = True
        self._free.append(wire)
        return reply

    def _taken(self) -> Wire:
        if self._pid != os.getpid():
            self.close()  # the parent's are still open for the parent
            self._pid = os.getpid()
        while True:
            try:
                wire = self._free.pop()
            except IndexError:
                return self._connected()
            if wire.is_sound():
                return wire
            wire.close()

    def _connected(self) -> Wire:
        wire = self._made()
        wire.connect(CONNECT_TIMEOUT)
        return wire

    def _made(self) -> Wire:
        who = f"Redis at {self._place}"
        wire = Wire(self._url, self._prefix, who=who, known=self._known)
        wire.longest = float("inf")
        return wire

    @contextlib.contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except Broken as error:
            raise self._told(error) from error

    def _told(self, error: Broken) -> StoreUnavailable:
        return StoreUnavailable(
            f"Redis at {self._place} cannot be reached ({error.why}): start it, or "
            "correct REDIS_URL"
        )


def _kind(wire: Wire) -> Any:
    message: Any = wire.receive()
    return message[0]


def _ask_for_life(wire: Wire, *, asked: bool) -> None:
    if asked:
        raise Broken("the connection to Redis broke", "no answer to a subscriber")
    wire.send("PING")
