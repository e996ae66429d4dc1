"""What importing costs, in a fresh interpreter, beside one that imports nothing."""

from __future__ import annotations

import statistics

from .bare import run_python
from .figures import Figure, Note

__all__ = ["imports"]

_BARE = "pass"
_MODULES = (
    "worker_lib",
    "worker_lib.runtime.__main__",
    "worker_lib.client.client",
    "requests",
)


def imports(*, runs: int) -> list[Figure | Note]:
    """Take turns: a bare interpreter, then one for each module."""
    codes = {_BARE: _BARE, **{name: f"import {name}" for name in _MODULES}}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for code in codes.values():
        run_python(code)
    for _ in range(runs):
        for name, code in codes.items():
            times[name].append(run_python(code))
    bare = times[_BARE]
    figures: list[Figure | Note] = [
        Figure(
            name=f"python -c 'import {name}'",
            unit="ms",
            samples=times[name],
            limit="python -c pass",
            limits=bare,
        )
        for name in _MODULES
    ]
    return [*figures, Note(name="the import alone, ms", text=_added(times))]


def _added(times: dict[str, list[float]]) -> str:
    return ", ".join(
        f"{name} {statistics.median(_differences(times, name)):+.1f}"
        for name in _MODULES
    )


def _differences(times: dict[str, list[float]], name: str) -> list[float]:
    pairs = zip(times[name], times[_BARE], strict=True)
    return [mine - bare for mine, bare in pairs]
