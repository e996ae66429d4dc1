"""The benchmark runs, so that it measures something on the day that it is wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
def test_the_benchmark_measures_every_row_of_this_library() -> None:
    """A little of everything, without peers: nothing fails, nothing is left out."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=170,
    )
    found = json.loads(done.stdout)

    assert [] == found["failures"]
    measured = {row["key"]: row["samples"].get("worker_lib") for row in found["rows"]}
    assert [] == [key for key in measured if not measured[key]]
    del measured["naps"]
    assert all(min(samples) > 0 for samples in measured.values())
