"""The first call of a fresh process: what a script or a web worker's start pays."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

from .figures import Figure, Note
from .limits import run_python
from .rig import ROOT

if TYPE_CHECKING:
    from .rig import Rig

__all__ = ["first_call"]

_CODE = """
import os, time
began = time.perf_counter()
from tests.bench.tasks import noop
loaded = time.perf_counter()
job = noop.delay(1)
stored = time.perf_counter()
job.result(30)
print(loaded - began, stored - loaded, time.perf_counter() - stored, flush=True)
os._exit(0)
"""


def first_call(rig: Rig, *, runs: int) -> list[Figure | Note]:
    """Import, call and wait in a new process, with no machine up."""
    spans, bare = [], []
    for _ in range(runs):
        bare.append(run_python("pass"))
        spans.append(_run(rig))
    figure = Figure(
        name="import to result, first call of a process",
        unit="ms",
        samples=[sum(one) for one in spans],
        limit="python -c pass",
        limits=bare,
    )
    middle = [sorted(column)[runs // 2] for column in zip(*spans, strict=True)]
    text = "import {:.1f} + delay {:.1f} + result {:.1f}".format(*middle)
    return [figure, Note(name="first call of a process, ms", text=text)]


def _run(rig: Rig) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", _CODE],
        env={**rig.variables(f"first-{secrets.token_hex(4)}"), **_path()},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(word) * 1000 for word in done.stdout.split()]


def _path() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
