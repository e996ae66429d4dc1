"""The header and the table, for people; the same for programs."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
from typing import TYPE_CHECKING

import redis

from .figures import Figure, Note, percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["header", "table"]

_TITLES = (
    "",
    "median",
    "p99",
    "min … max",
    "runs",
    "beside it: median of",
    "ratio",
    "budget",
    "orientation, other machine",
)
_RIGHT = frozenset({1, 2, 3, 4, 6, 7})
_FEW = 100


def header(socket_path: str) -> dict[str, str]:
    """Return what the figures depend on, the server of this socket included."""
    with redis.Redis(unix_socket_path=socket_path) as server_client:
        server = server_client.info("server")
    now = dt.datetime.now(dt.UTC)
    return {
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "cpu": f"{_cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "valkey": str(server.get("valkey_version", server["redis_version"])),
        "redis-py": redis.__version__,
    }


def table(found: Iterable[Figure | Note]) -> str:
    """Return all figures as columns, without empty ones, then the notes."""
    lines = list(found)
    rows = [_TITLES, *(_row(one) for one in lines if isinstance(one, Figure))]
    widths = [
        max(map(len, column)) if any(column[1:]) else 0
        for column in zip(*rows, strict=True)
    ]
    text = [_line(row, widths) for row in rows]
    notes = [f"{one.name}: {one.text}" for one in lines if isinstance(one, Note)]
    return "\n".join([*text, "", *notes])


def _row(figure: Figure) -> tuple[str, ...]:
    samples, unit = figure.samples, figure.unit
    many = len(samples) > 1
    # Of few samples the largest is no percentile.
    p99 = _number(percentile(samples, 0.99)) if len(samples) >= _FEW else ""
    limit = ""
    if figure.limits:
        middle = _number(statistics.median(figure.limits))
        limit = f"{middle}{_spaced(unit)} {figure.limit}"
    return (
        figure.name,
        f"{_number(figure.median)}{_spaced(unit)}",
        p99,
        f"{_number(min(samples))} … {_number(max(samples))}" if many else "",
        str(len(samples)),
        limit,
        f"{figure.ratio:.3g}x" if figure.ratio is not None else "",
        _budget(figure),
        figure.orientation,
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if place in _RIGHT else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        if width or place == 0
    ]
    return "  ".join(cells).rstrip()


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _budget(figure: Figure) -> str:
    if figure.budget is None:
        return ""
    return f"<= {_number(figure.budget)}{_spaced(figure.unit)}"


def _spaced(unit: str) -> str:
    return unit if unit.startswith("/") else f" {unit}" if unit else ""


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
