"""The command line, run in this process, and how a command ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import jobs

from worker_lib.cli import main

if TYPE_CHECKING:
    import pytest

    from worker_lib import Job

__all__ = ["LATER", "Ran", "failed_job", "run_command"]

LATER: Any = {"delay": "1h"}


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The lines of stdout, split at tabs."""
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        """What stdout holds."""
        return json.loads(self.out)


def run_command(capsys: pytest.CaptureFixture[str], *words: str) -> Ran:
    """Run a command; a wrong call ends it as it would end the process."""
    try:
        code = main(words)
    except SystemExit as end:
        code = int(str(end.code))
    return Ran(code, *capsys.readouterr())


def failed_job() -> Job[Any]:
    """Return a job that has failed."""
    job = jobs.boom.options(tags={"tenant": "x"}).delay("no\x1b good")
    assert job.exception(timeout=20)
    return job
