"""The child as its supervisor sees it."""

from __future__ import annotations

import subprocess
import sys

KILLS = """
import os, time
from worker_lib.runtime import process
process.os.setpgid = lambda *_: None  # it has not come so far yet
child = process.ChildProcess(lambda *_: time.sleep(60), 1000)
child.kill()
print("reaped", flush=True)
os._exit(0)
"""


def test_a_child_that_leads_no_group_yet_is_killed_all_the_same() -> None:
    """A machine that is refused at once ends at once."""
    done = subprocess.run(
        [sys.executable, "-c", KILLS],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    assert "reaped\n" == done.stdout
