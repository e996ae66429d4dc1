"""The emulator process that owns a container, unique among all processes ever.

It is a label of the container, so that the next emulator finds orphans.
"""

from __future__ import annotations

import os
import socket
from dataclasses import astuple, dataclass
from typing import Self

from worker_lib.emulator.runtimes import procfs

_SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: host, boot of the host, PID namespace, PID and start time.

    Source: proc_sys_kernel(5), `boot_id`; pid_namespaces(7).
    """

    host: str
    boot: str
    namespace: str
    pid: int
    start_ticks: int

    @classmethod
    def current(cls) -> Self:
        """This process."""
        host, boot, namespace = _here()
        found = procfs.stat(os.getpid())
        return cls(
            host, boot, namespace, os.getpid(), found.start_ticks if found else 0
        )

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The reverse of `str`; None if the text is not an owner."""
        try:
            host, boot, namespace, pid, start_ticks = text.split(_SEPARATOR)
            return cls(host, boot, namespace, int(pid), int(start_ticks))
        except ValueError:
            return None

    def __str__(self) -> str:
        return _SEPARATOR.join(map(str, astuple(self)))

    def is_dead(self) -> bool:
        """Whether the process has certainly ended; False for other hosts."""
        host, boot, namespace = _here()
        if self.host != host:
            return False
        if self.boot != boot:
            return True
        if self.namespace != namespace:
            return False
        found = procfs.stat(self.pid)
        return found is None or found.is_dead or found.start_ticks != self.start_ticks


def _here() -> tuple[str, str, str]:
    boot = procfs.read("/proc/sys/kernel/random/boot_id").decode().strip()
    try:
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        namespace = ""
    return socket.gethostname(), boot, namespace
