"""`python -m tests.bench`: measure, and print the tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import Figure, Note
from .imports import imports
from .libraries import PEERS, install
from .report import as_dict, comparison, header, markdown, table, written_into
from .rig import Rig, start_valkey
from .rounds import QUICK, Measured, Size, measure
from .server import server

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> int:
    """Measure, print, return the exit code."""
    arguments = _arguments()
    with start_valkey() as path:
        about = header(str(path))
        found = Measured()
        if not arguments.server:
            with Rig.on(path) as rig:
                libraries = list(install(arguments.peers))
                rounds = arguments.rounds
                size = QUICK if arguments.quick else Size.of(rounds)
                found = measure(rig, libraries, size)
    figures: list[Figure | Note] = [*found.figures]
    if not arguments.markdown:
        figures += _own(arguments)
    if arguments.json:
        print(_as_json(about, found, figures))
    else:
        _print(about, found, figures)
    if arguments.markdown:
        text = markdown(about, found)
        page = arguments.markdown.read_text(encoding="utf-8")
        arguments.markdown.write_text(written_into(page, text), encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--peers",
        type=_peers,
        default=(),
        help=f"measure these libraries, too: {','.join(PEERS)}",
    )
    parser.add_argument("--quick", action="store_true", help="little of each, to try")
    parser.add_argument(
        "--rounds", type=int, default=7, help="of all libraries (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--server", action="store_true", help="only what a job costs the Redis server"
    )
    parser.add_argument(
        "--markdown",
        type=_page,
        metavar="PAGE",
        help="write the comparison into this page, between its marks",
    )
    return parser.parse_args()


def _peers(text: str) -> tuple[str, ...]:
    wanted = tuple(filter(None, text.split(",")))
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        message = f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}"
        raise argparse.ArgumentTypeError(message)
    return wanted


def _page(text: str) -> Path:
    page = Path(text)
    try:
        written_into(page.read_text(encoding="utf-8"), "")
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return page


def _own(arguments: argparse.Namespace) -> Iterator[Figure | Note]:
    """Yield what concerns this library alone."""
    quick = arguments.quick
    if not arguments.server:
        yield from imports(runs=2 if quick else 12)
    with start_valkey() as path:
        rounds, jobs = (2, 200) if quick else (7, 2000)
        yield from server(str(path), rounds=rounds, jobs=jobs)


def _print(
    about: dict[str, str], found: Measured, figures: list[Figure | Note]
) -> None:
    print(*(f"{name}: {value}" for name, value in about.items()), sep=" | ")
    if found.about:
        print("", comparison(found), "", sep="\n")
        for name, one in found.about.items():
            bulk = f"; in bulk: {one['bulk']}" if one["bulk"] else "; no bulk"
            print(f"{name} {one['version']}: {one['note']}{bulk}")
    if figures:
        print("", table(figures), sep="\n")


def _as_json(
    about: dict[str, str], found: Measured, figures: list[Figure | Note]
) -> str:
    return json.dumps(
        {
            **about,
            **as_dict(found),
            "figures": [one.as_dict() for one in figures if isinstance(one, Figure)],
            "notes": [one.as_dict() for one in figures if isinstance(one, Note)],
        },
        indent=2,
    )


if __name__ == "__main__":
    sys.exit(main())
