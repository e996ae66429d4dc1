"""How many calls of a map make a job: as many as run for a moment together.

A call that runs for a millisecond costs more to store, claim and report than to run; a
job of many such calls costs that once. How long they run is not known beforehand: the
first jobs are of one call each, and what they took decides on the next ones.
"""

from __future__ import annotations

__all__ = ["LARGEST", "ChunkSize"]

# What a job is to run for, in seconds; less where the timeout is near.
_AIM = 0.5
_PART_OF_TIMEOUT = 10
# How many times as many calls as the largest job that was measured has.
_GROWTH = 8
# Calls of a job at most.
LARGEST = 10_000
# Of a chunk's calls, or of its outcomes, as they are sealed: far from what is refused.
_MOST_BYTES = 256 * 1024
_FOLLOW = 0.4


class ChunkSize:
    """Follows what the calls of a task take.

    Args:
        fixed: So many, always; None: by what is measured.
        timeout: Seconds that a job may run.
        most: Never more, where nothing is fixed.
        seconds: What a call took when it was measured before; None if it never was.
    """

    def __init__(
        self,
        fixed: int | None,
        *,
        timeout: float = 300.0,
        most: int = LARGEST,
        seconds: float | None = None,
    ) -> None:
        self._fixed = fixed
        self._aim = min(_AIM, timeout / _PART_OF_TIMEOUT)
        self._most = max(1, min(most, LARGEST))
        self.seconds = seconds
        self._bytes = 1.0
        self._measured = self._most if seconds else 1

    @property
    def is_known(self) -> bool:
        """Whether there is anything to decide by."""
        return self._fixed is not None or self.seconds is not None

    @property
    def is_automatic(self) -> bool:
        """Whether it follows what is measured."""
        return self._fixed is None

    @property
    def size(self) -> int:
        """How many calls the next job is to have."""
        if self._fixed is not None:
            return self._fixed
        if self.seconds is None:
            return 1
        by_time = self._aim / max(self.seconds, 1e-9)
        by_bytes = _MOST_BYTES / self._bytes
        most = min(self._most, _GROWTH * self._measured)
        return max(1, int(min(by_time, by_bytes, most)))

    def sealed(self, calls: int, size_bytes: int) -> None:
        """Note how large a job became when it was sealed."""
        self._bytes = max(self._bytes, size_bytes / calls)

    def ended(self, calls: int, ran: float | None, size_bytes: int) -> None:
        """Note what a job took.

        Args:
            calls: How many it has.
            ran: Seconds; None if that is not known.
            size_bytes: Of its sealed outcome.
        """
        self._bytes = max(self._bytes, size_bytes / calls)
        if ran is None:
            return
        each = ran / calls
        # What a job costs besides weighs less the more calls it has.
        follow = 1.0 if self.seconds is None or calls > self._measured else _FOLLOW
        before = each if self.seconds is None else self.seconds
        self.seconds = before + follow * (each - before)
        self._measured = max(self._measured, calls)

    def is_slow(self) -> None:
        """Note that one call runs for longer than a whole job is to."""
        if self.seconds is None:
            self.seconds = self._aim
