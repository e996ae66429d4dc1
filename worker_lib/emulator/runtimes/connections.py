"""Ends the connections of processes that stand still, as if they had slept for long.

While a machine is suspended, those at the other end may have gone. On resume it still
has its sockets, and learns at their next use that they lead nowhere.

Source: "Machine Suspend and Resume", "Handling Network Connections After Resume".
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["sever"]

# The same number on every architecture. Source: pidfd_getfd(2), Linux 5.6.
_PIDFD_GETFD: Final = 438
_libc = ctypes.CDLL(None, use_errno=True)


def sever(pids: Iterable[int], *, spare: str) -> None:
    """End every connection from these processes to others.

    Those between the processes stay. Where the kernel does not let us reach their
    sockets (Linux before 5.6, hardened ptrace), all stay.

    Args:
        pids: Of processes that stand still.
        spare: Path of a socket; what is connected to it stays.
    """
    with ExitStack() as stack:
        found = [stack.enter_context(closing(one)) for one in _sockets(pids)]
        own = {name for name in map(_local_name, found) if name}
        for one in found:
            peer = _peer_name(one)
            if peer and peer not in own and peer != spare:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def _sockets(pids: Iterable[int]) -> Iterator[socket.socket]:
    for pid in pids:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                yield from _sockets_of(pid, handle)
            finally:
                os.close(handle)


def _sockets_of(pid: int, handle: int) -> Iterator[socket.socket]:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            if os.readlink(f"{folder}/{name}").startswith("socket:"):
                yield _duplicate(handle, int(name))


def _duplicate(handle: int, descriptor: int) -> socket.socket:
    copied: int = _libc.syscall(_PIDFD_GETFD, handle, descriptor, 0)
    if copied < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return socket.socket(fileno=copied)


def _local_name(one: socket.socket) -> Any:
    try:
        return _place(one.getsockname())
    except OSError:
        return ""


def _peer_name(one: socket.socket) -> Any:
    """Return the other end; "" of one that is not connected, or has no name."""
    try:
        return _place(one.getpeername())
    except OSError:
        return ""


def _place(name: Any) -> Any:
    """Return a path, or host and port; an IPv6 address has more."""
    return name[:2] if isinstance(name, tuple) else name
