"""Commands whose output nobody reads, as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "words",
    [
        *(["--help"], ["--version"], ["version"], ["version", "--json"]),
        ["run", "--help"],
        *(["doctor"], ["doctor", "--json"], ["sweep"], ["rnu"], ["run", "no:task"]),
        *(
            ["init", "--wsgi", "a:b"],
            ["dev", "--", "true"],
            ["emulator", "--port", "0"],
        ),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("stderr_too", [False, True])
def test_output_that_nobody_reads_is_no_traceback(
    words: list[str], stderr_too: bool, tmp_path: Path
) -> None:
    """`worker-lib ... | head -1` ends quietly, whatever the command."""
    reader, writer = os.pipe()
    os.close(reader)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "REDIS_URL": "unix:///nowhere",
        "WORKER_LIB_SECRET": "s" * 32,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "worker_lib", *words],
        cwd=tmp_path,
        env=environ,
        stdout=writer,
        stderr=writer if stderr_too else subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(writer)

    assert ran.returncode in {0, 1, 2, 3, 5}
    assert not {"Traceback", "BrokenPipeError", "Exception"} & set(
        (ran.stderr or "").replace(":", " ").split()
    )
