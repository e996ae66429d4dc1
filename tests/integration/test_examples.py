"""Examples that people copy, run as the programs they are."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from scripts import ROOT, environment_of

if TYPE_CHECKING:
    from worker_lib.client.client import Client

LAST_LINES = {
    "batch": "run again, 1 of 1 failed",
    "executor": "an error comes back: TypeError(",
    "fan_out": "errors in their places: ['True', 'TypeError', 'False']",
}


@pytest.mark.processes_only("containers do not see the examples")
@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_runs_to_its_end(client: Client, name: str) -> None:
    """It prints what it is for, and no warning or traceback."""
    run = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")],
        env=environment_of(client),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert (0, "") == (run.returncode, run.stderr)
    assert run.stdout.splitlines()[-1].startswith(LAST_LINES[name])
