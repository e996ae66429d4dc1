"""Which of the jobs that a child was sent it may begin.

The supervisor sends jobs ahead, so that the child need not wait for the next one. Each
comes with a permit, a byte on a pair of sockets, and the child takes one before it
begins a job. The supervisor has the child's end of that pair as well: what it takes
out of it, the child can no longer take. So a job either has begun, or never will, and
both know which. For each permit that was taken back the child then gets the word to
skip a job.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
else:
    import _socket as socket  # see `process`

__all__ = ["GO", "SKIP", "Permits"]

GO = b"g"
SKIP = b"s"
# More than there are at any time.
_MOST = 4096


class Permits:
    """The supervisor's side.

    Attributes:
        child: The end of which the child takes permits.
    """

    __slots__ = ("_ours", "child")

    def __init__(self) -> None:
        self._ours, self.child = socket.socketpair()

    def give(self, jobs: int) -> None:
        """Let the child begin so many jobs more.

        Raises:
            ConnectionError: the child has closed its end, or has ended.
        """
        self._ours.sendall(GO * jobs)

    def take_back(self, *, keep_one_of: int = 0) -> int:
        """Return how many of the jobs last sent have not begun, and now never will.

        Args:
            keep_one_of: How many jobs have not ended: if none of them has begun, the
                first one still may. 0 takes back all.
        """
        try:
            taken = self.child.recv(_MOST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        jobs, kept = taken.count(GO), 0
        if jobs and jobs == keep_one_of:
            jobs, kept = jobs - 1, taken.index(GO) + 1
        self._ours.sendall(taken[:kept] + SKIP * (len(taken) - kept))
        return jobs

    def close_ours(self) -> None:
        """Close what the child must not have."""
        self._ours.close()

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self.child.close()
