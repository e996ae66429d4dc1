"""Writes the reference of docs/cli.md, from the parsers: `python -m tools.cli_page`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib.cli import whole_parser
from worker_lib.cli.parsers import commands_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEADING = "## Reference\n"
# Every command has these: the page tells of them once.
_EVERYWHERE = {"--help", "--quiet"}


def page(before: str) -> str:
    """Return the text of the page with the reference made anew."""
    return before.partition(HEADING)[0] + HEADING + "".join(_reference())


def _reference() -> Iterator[str]:
    for path, parser in commands_of(whole_parser()):
        yield f"\n### worker-lib {' '.join(path)}\n\n"
        yield f"{_plain(parser.description)}\n"
        yield from _arguments(parser)


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    shown = [
        action
        for action in parser._actions  # noqa: SLF001 - there is no other list of them
        if not _EVERYWHERE.intersection(action.option_strings)
    ]
    if shown:
        yield "\n| Argument | Meaning |\n|---|---|\n"
    for action in shown:
        about = (action.help or "").replace("%(default)s", str(action.default))
        yield f"| `{_words(action)}` | {_plain(about)} |\n"


def _words(action: argparse.Action) -> str:
    """Return how an argument is written."""
    value = _value(action)
    if not action.option_strings:
        return value
    names = ", ".join(action.option_strings)
    return f"{names} {value}" if value else names


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    choices = "\\|".join(map(str, action.choices or ()))
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    name = metavar or choices or (action.dest.upper())
    many = {"+": f"{name} [{name} …]", "*": f"[{name} …]", "?": f"[{name}]"}
    return many.get(str(action.nargs), name)


def _plain(text: str | None) -> str:
    """Return a help text as Markdown shows it."""
    return " ".join((text or "").split()).replace("<", "&lt;").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
