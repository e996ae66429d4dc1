"""How many jobs a machine holds at once: as many as end within a small budget of time.

No other machine can take a job that is held, so a machine holds few long jobs and many
short ones. It knows only what it measured: the first job comes alone, and from then on
it asks for more step by step.
"""

from __future__ import annotations

__all__ = ["BUDGET", "MOST_REPORTS", "Pace"]

# Seconds in which the jobs that a machine holds should end.
BUDGET = 0.05
# In one command: no script may keep Redis busy for long.
MOST_REPORTS = 32
# Twice what one command reports, and what it claims: so the child has jobs enough until
# the next ones come.
_MOST_HELD = 96
_STEP = 4
# Of the last job in the mean.
_WEIGHT = 0.2
# Reports of shorter jobs wait for each other, as long as more jobs wait behind them.
_SHORT = 0.01
_GATHER = 0.01
# The shortest that poll(2) waits.
_PATIENCE = 0.001


class Pace:
    """What a machine measured of its jobs, and what follows from it.

    Attributes:
        depth: How many jobs it may hold at once, with the one that runs and those that
            have ended and are not reported yet.
    """

    __slots__ = ("_mean", "_measured", "_tried", "depth")

    def __init__(self) -> None:
        self._mean = 0.0
        self._measured = 0
        self._tried = 1
        self.depth = 1

    def note(self, ran: float) -> None:
        """Note how many seconds a job took."""
        if ran > BUDGET or not self._mean:
            self._mean = max(self._mean, ran, 1e-6)
        else:
            self._mean += (ran - self._mean) * _WEIGHT
        self._measured += 1
        if ran > BUDGET:
            self._tried, self._measured = 1, 0
        elif self._measured >= self._tried:
            self._tried, self._measured = min(self._tried * _STEP, _MOST_HELD), 0
        self.depth = max(1, min(self._tried, int(BUDGET / self._mean)))

    def want(self, held: int) -> int:
        """Return how many jobs to ask for, beside so many that it goes on to hold."""
        return max(0, self.depth - held)

    def is_low(self, unfinished: int) -> bool:
        """Whether more jobs should be fetched now, before the last one has ended."""
        return unfinished <= self.depth // 2

    def gather(self) -> float:
        """Return for how many seconds a report may wait for others."""
        return _GATHER if 0 < self._mean < _SHORT else 0.0

    def patience(self, unfinished: int) -> float:
        """Return for how many seconds what the child says may wait.

        Each time it is heard costs as much as a third of a short job, so several ends
        are heard at once as long as the child has jobs enough meanwhile.
        """
        return _PATIENCE if unfinished * self._mean >= _PATIENCE else 0.0

    def is_due(self, reports: int, waited: float, unfinished: int, want: int) -> bool:
        """Whether to report now what has ended.

        Args:
            reports: How many outcomes there are to report, at least one.
            waited: Seconds since the first of them.
            unfinished: Jobs that have not ended.
            want: How many more this machine asks for.
        """
        if not unfinished or reports >= MOST_REPORTS or waited >= self.gather():
            return True
        return want > 0 and self.is_low(unfinished)
