"""The tables, for people, for the documentation and for programs."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
from typing import TYPE_CHECKING

import redis

from .figures import Figure, Note
from .rows import BARE, ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .rounds import Measured
    from .rows import Row

__all__ = ["as_dict", "comparison", "header", "markdown", "table", "written_into"]

_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"

_FIGURES = (
    "",
    "median",
    "min … max",
    "runs",
    "beside it: median of",
    "ratio",
    "budget",
)
_TEXT = frozenset({0, 4})


def header(socket_path: str) -> dict[str, str]:
    """Return what the figures depend on, the server of this socket included."""
    with redis.Redis(unix_socket_path=socket_path) as connection:
        server = connection.info("server")
        kept = connection.config_get("appendonly", "appendfsync", "save")
    now = dt.datetime.now(dt.UTC)
    modes = [f"{name} {value or 'none'}" for name, value in kept.items()]
    return {
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "machine": f"{_cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "valkey": str(server.get("valkey_version", server["redis_version"])),
        "persistence": ", ".join(sorted(modes)),
    }


def comparison(found: Measured) -> str:
    """Return all rows as columns for a terminal."""
    return _aligned(_cells(found, brief=False), text=frozenset({0, 3}))


def markdown(about: dict[str, str], found: Measured) -> str:
    """Return a section of a page: circumstances, table, and how each was used."""
    rows = _cells(found, brief=True)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    facts = [f"- {name}: {value}" for name, value in about.items()]
    used = [
        f"- {name} {one['version']}: {one['note']}"
        + (f"; in bulk: {one['bulk']}" if one["bulk"] else "; no bulk")
        for name, one in found.about.items()
    ]
    failed = [f"- could not be measured: {one}" for one in found.failures]
    own = [f"- {_in_words(figure)}" for figure in found.figures]
    return "\n".join([*facts, "", *lines, "", *used, *own, *failed, ""])


def _in_words(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f", {figure.ratio:.2f} times {figure.limit}"
    return f"{figure.name}: {_number(figure.median)}{_spaced(figure.unit)}{ratio}"


def written_into(page: str, text: str) -> str:
    """Return a page with this text between its two marks.

    Raises:
        ValueError: it has not both marks.
    """
    before, begins, rest = page.partition(_BEGIN)
    _, ends, after = rest.partition(_END)
    if not begins or not ends:
        raise ValueError(f"the page needs the lines {_BEGIN} and {_END}")
    return f"{before}{_BEGIN}\n\n{text}\n{_END}{after}"


def as_dict(found: Measured) -> dict[str, object]:
    """Return the same for programs."""
    return {
        "rows": [
            {
                "key": row.key,
                "name": row.name,
                "unit": row.unit,
                "goal": row.goal.words() if row.goal else None,
                "goal_value": row.goal.value(found.samples, row.key)
                if row.goal
                else None,
                "met": row.is_met(found.samples),
                "samples": found.samples.get(row.key, {}),
            }
            for row in ROWS
        ],
        "libraries": found.about,
        "failures": found.failures,
    }


def table(found: Iterable[Figure | Note]) -> str:
    """Return figures as columns, without empty ones, then the notes."""
    lines = list(found)
    rows = [_FIGURES, *(_figure(one) for one in lines if isinstance(one, Figure))]
    notes = [f"{one.name}: {one.text}" for one in lines if isinstance(one, Note)]
    return "\n".join([_aligned(rows, text=_TEXT), "", *notes])


def _cells(found: Measured, *, brief: bool) -> list[Sequence[str]]:
    names = [*found.about, BARE]
    ours, *others = names
    titles = ("", ours, "goal", "met", *others)
    rows: list[Sequence[str]] = [titles]
    for row in ROWS:
        samples = found.samples.get(row.key, {})
        cells = [_sampled(samples.get(name, ()), brief=brief) for name in names]
        unit = f", {row.unit}" if row.unit else ""
        rows.append(
            (
                f"{row.name}{unit}",
                cells[0],
                _goal(row, found),
                _met(row, found),
                *cells[1:],
            )
        )
    return rows


def _goal(row: Row, found: Measured) -> str:
    if row.goal is None:
        return ""
    value = row.goal.value(found.samples, row.key)
    if value is None or not row.goal.than:
        return row.goal.words()
    return f"{row.goal.words()} = {_number(value)}"


def _met(row: Row, found: Measured) -> str:
    met = row.is_met(found.samples)
    return "" if met is None else "yes" if met else "no"


def _sampled(samples: Sequence[float], *, brief: bool) -> str:
    if not samples:
        return "-"
    middle = _number(statistics.median(samples))
    if len(samples) == 1:
        return middle
    low, high = _number(min(samples)), _number(max(samples))
    return f"{middle} <br>{low}…{high}" if brief else f"{middle} ({low}…{high})"


def _figure(figure: Figure) -> tuple[str, ...]:
    samples, unit = figure.samples, figure.unit
    limit = ""
    if figure.limits:
        middle = _number(statistics.median(figure.limits))
        limit = f"{middle}{_spaced(unit)} {figure.limit}"
    low, high = _number(min(samples)), _number(max(samples))
    return (
        figure.name,
        f"{_number(figure.median)}{_spaced(unit)}",
        f"{low} … {high}" if len(samples) > 1 else "",
        str(len(samples)),
        limit,
        f"{figure.ratio:.3g}x" if figure.ratio is not None else "",
        f"<= {_number(figure.budget)}{_spaced(unit)}" if figure.budget else "",
    )


def _aligned(rows: Sequence[Sequence[str]], *, text: frozenset[int]) -> str:
    widths = [
        max(map(len, column)) if any(column[1:]) else 0
        for column in zip(*rows, strict=True)
    ]
    return "\n".join(_line(row, widths, text) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int], text: frozenset[int]) -> str:
    cells = [
        cell.ljust(width) if place in text else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        if width
    ]
    return "  ".join(cells).rstrip()


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


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
