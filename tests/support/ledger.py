"""Who ran what and when, noted by the tasks themselves, outside Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Entry(NamedTuple):
    """One line: a run began or ended. `at` is monotonic, the same in all processes."""

    what: str
    job: str
    attempt: int
    machine: str
    pid: int
    supervisor: int
    at: float


class Ledger:
    """Reads what `jobs.works` and its like have noted in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def entries(self, what: str) -> list[Entry]:
        """Return the lines of one kind, `start` or `end`, in order."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines()
        found = [Entry(*json.loads(line)) for line in lines]
        return [entry for entry in found if entry.what == what]

    def newest(self, count: int) -> list[Entry]:
        """Return so many of the latest lines, of both kinds; reads little more."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - 200 * count))
            lines = file.read().splitlines()[1:]
        return [Entry(*json.loads(line)) for line in lines[-count:]]

    @property
    def starts(self) -> list[Entry]:
        """Every run that began."""
        return self.entries("start")

    @property
    def ends(self) -> list[Entry]:
        """Every run that came to its end."""
        return self.entries("end")

    def most_at_once(self) -> int:
        """Return how many runs there were at the same time, at most."""
        moments = [(entry.at, 1) for entry in self.starts]
        moments += [(entry.at, -1) for entry in self.ends]
        running = most = 0
        for _, change in sorted(moments):
            running += change
            most = max(most, running)
        return most
