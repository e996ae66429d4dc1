"""A proxy between the library and Valkey that loses what it is told to lose.

It reads every command and every reply, so it can let a script commit and then keep
the answer to itself: the fault that random kills do not find.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

from worker_lib.store.resp import PENDING, Reader
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ChaosProxy:
    """Listens on one unix socket and forwards to another.

    Attributes:
        seen: How often each verb passed, lost or not.
        lost: How often something of each verb was lost.
        killed: How many machines were killed at such a moment.
    """

    def __init__(self, listen: Path, target: Path) -> None:
        self.url = f"unix://{listen}"
        self._target = str(target)
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._rules: dict[tuple[str, str], Iterator[bool]] = {}
        self._deadly: set[tuple[str, str]] = set()
        self._links: set[_Link] = set()
        self.seen: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.killed = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(listen))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_replies(self, verb: str, times: int = 1, *, every: int = 1) -> None:
        """Let the next scripts of this verb commit, then cut instead of answering.

        Args:
            verb: Which scripts.
            times: How many replies are lost.
            every: Lose one of so many, and let the others through.
        """
        with self._lock:
            self._rules["reply", verb] = _pattern(times, every)
            self._deadly.discard(("reply", verb))

    def lose_requests(self, verb: str, times: int = 1) -> None:
        """Cut instead of passing on the next scripts of this verb."""
        with self._lock:
            self._rules["request", verb] = _pattern(times, 1)
            self._deadly.discard(("request", verb))

    def kill_machines(self, part: str, verb: str, *, times: int, every: int) -> None:
        """Kill who sends the next scripts of this verb, at once.

        Args:
            part: `request`, before the script is passed on, or `reply`, when it has
                committed and its answer is on the way.
            verb: Which scripts.
            times: How many are killed.
            every: Kill one of so many, and let the others through.
        """
        with self._lock:
            self._rules[part, verb] = _pattern(times, every)
            self._deadly.add((part, verb))

    def cut(self) -> None:
        """Close every connection there is; new ones are taken."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def swallow(self) -> None:
        """Leave every connection there is open and pass nothing on, as a lost route."""
        with self._lock:
            for link in self._links:
                link.dead = True

    def hold(self) -> None:
        """Pass nothing on, either way, until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Pass on what was held, and all that follows."""
        self._open.set()

    def close(self) -> None:
        """Take no more connections and close those there are."""
        self._listener.close()
        self.release()
        self.cut()

    def strikes(self, part: str, verb: str, sender: int) -> bool:
        """Say whether this part of a script is to be lost; counts it.

        Args:
            sender: Process id of who sent it.
        """
        self._open.wait()
        with self._lock:
            lost = next(self._rules.get((part, verb), iter(())), False)
            self.lost[verb] += lost
            deadly = lost and (part, verb) in self._deadly
            self.killed += deadly
        if deadly:
            with contextlib.suppress(ProcessLookupError):
                os.kill(sender, signal.SIGKILL)
        return lost

    def forget(self, link: _Link) -> None:
        """Drop a connection that was cut."""
        with self._lock:
            self._links.discard(link)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    server.connect(self._target)
                except OSError:
                    client.close()
                    server.close()
                    continue
                link = _Link(self, client, server)
                with self._lock:
                    self._links.add(link)
                link.start()


def _pattern(times: int, every: int) -> Iterator[bool]:
    return iter([n % every == 0 for n in range(times * every)])


class _Link:
    """One client's connection; replies come in the order of their commands."""

    def __init__(
        self, proxy: ChaosProxy, client: socket.socket, server: socket.socket
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._asked: deque[str] = deque()
        self._sender = _peer(client)
        self.dead = False

    def start(self) -> None:
        for work in (self._pass_commands, self._pass_replies):
            threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def cut(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._proxy.forget(self)

    def _run(self, work: object) -> None:
        assert callable(work)
        with contextlib.suppress(OSError):
            work()
        self.cut()

    def _pass_commands(self) -> None:
        for raw, command in _messages(self._client):
            if self.dead:
                continue
            verb = _verb(command)
            self._proxy.seen[verb] += 1
            if self._proxy.strikes("request", verb, self._sender):
                return
            self._asked.append(verb)
            self._server.sendall(raw)

    def _pass_replies(self) -> None:
        for raw, _ in _messages(self._server):
            if self.dead:
                continue
            verb = self._asked.popleft() if self._asked else ""
            if not raw.startswith(b"-NOSCRIPT") and self._proxy.strikes(
                "reply", verb, self._sender
            ):
                return
            self._client.sendall(raw)


def _peer(connection: socket.socket) -> int:
    """Return the process id of who connected."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", told)[0])


def _messages(source: socket.socket) -> Iterator[tuple[bytes, object]]:
    reader, raw = Reader(), b""
    while data := source.recv(1 << 18 if reader.room is None else len(reader.room)):
        raw += data
        if reader.room is None:
            reader.feed(data)
        else:
            reader.room[: len(data)] = data
            reader.fill(len(data))
        while (message := reader.next()) is not PENDING:
            used = len(raw) - (len(reader._data) - reader._at)
            yield raw[:used], message
            raw = raw[used:]


_VERBS = (
    *("enqueue", "launch", "claim", "heartbeat", "finish", "release", "cancel"),
    *("batch", "outcomes", "cancel_waiting", "replace"),
)


def _verb(command: object) -> str:
    """Return the verb of a script, or the command's own name."""
    assert isinstance(command, list)
    for name in _VERBS:
        if command[1:2] in ([script(name).sha], [script(name).source]):
            return name
    return bytes(command[0]).decode().lower()
