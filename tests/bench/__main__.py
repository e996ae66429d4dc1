"""`python -m tests.bench`: measure everything and print the table."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from .calls import accepted, warm
from .cold import cold
from .commands import commands
from .drain import drained
from .figures import Figure, Note
from .first import first_call
from .imports import imports
from .memory import memory
from .report import header, table
from .rig import Rig, start_valkey
from .server import server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def main() -> int:
    """Measure, print, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--server", action="store_true", help="only what a job costs the Redis server"
    )
    arguments = parser.parse_args()
    if arguments.server:
        with start_valkey() as path:
            found = _server(path, quick=arguments.quick)
            _print(header(str(path)), found, as_json=arguments.json)
    else:
        with Rig.start() as rig:
            found = _measure(rig, quick=arguments.quick)
            _print(header(rig.socket_path), found, as_json=arguments.json)
    return 0


def _print(
    about: dict[str, str], figures: Iterable[Figure | Note], *, as_json: bool
) -> None:
    began = time.monotonic()
    if not as_json:
        print(*(f"{name}: {value}" for name, value in about.items()), sep=" | ")
        print(flush=True)
    found = list(figures)
    took = time.monotonic() - began
    if as_json:
        print(_as_json(about, found, took))
    else:
        print(table(found), f"\n{took:.0f} s in all")


def _measure(rig: Rig, *, quick: bool) -> Iterator[Figure | Note]:
    yield from accepted(rig, rounds=3 if quick else 7, calls=500 if quick else 1500)
    yield from warm(rig, calls=400 if quick else 1000)
    yield from drained(rig, rounds=2 if quick else 3, jobs=1000 if quick else 3000)
    yield from cold(rig, runs=12 if quick else 20)
    yield from first_call(rig, runs=4 if quick else 10)
    yield from commands(rig, jobs=300 if quick else 1000)
    yield from imports(runs=5 if quick else 12)
    yield from memory(rig)
    with start_valkey() as path:
        yield from _server(path, quick=quick)


def _server(path: Path, *, quick: bool) -> Iterator[Figure | Note]:
    rounds, jobs = (3, 1000) if quick else (7, 2000)
    yield from server(str(path), rounds=rounds, jobs=jobs)


def _as_json(about: dict[str, str], found: list[Figure | Note], seconds: float) -> str:
    return json.dumps(
        {
            **about,
            "seconds": round(seconds, 1),
            "figures": [one.as_dict() for one in found if isinstance(one, Figure)],
            "notes": [one.as_dict() for one in found if isinstance(one, Note)],
        },
        indent=2,
    )


if __name__ == "__main__":
    sys.exit(main())
