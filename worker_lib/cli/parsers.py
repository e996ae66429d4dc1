"""What parsers of commands have in common: nouns with verbs, the same options."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    Subparsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no public name
    Run: TypeAlias = Callable[[argparse.Namespace], int]

__all__ = ["add_quiet", "commands_of", "noun", "verb"]


def noun(subparsers: Subparsers, name: str, about: str, description: str) -> Subparsers:
    """Add a command that is followed by a verb; return where its verbs are added."""
    parser = subparsers.add_parser(name, help=about, description=description)
    return parser.add_subparsers(title="verbs", metavar="VERB", required=True)


def verb(
    subparsers: Subparsers, name: str, about: str, run: Run, *, description: str = ""
) -> argparse.ArgumentParser:
    """Add a command that does something; return its parser, which has `--json`.

    Args:
        subparsers: Of the command line, or of a noun.
        name: Of the command, or of the verb.
        about: What it does, in a line.
        run: Does it, and returns the exit code.
        description: For its own help; "": `about`.
    """
    text = description or f"{about[:1].upper()}{about[1:]}."
    parser = subparsers.add_parser(name, help=about, description=text)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run)
    return parser


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Let every command below this parser be told to be quiet."""
    for _, command in commands_of(parser):
        command.add_argument(
            "-q", "--quiet", action="store_true", help="print nothing but data, errors"
        )


def commands_of(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield each command below a parser with its words, as `jobs list`."""
    inner = subparsers_of(parser)
    if inner is None:
        yield words, parser
        return
    for name, one in inner.choices.items():
        yield from commands_of(one, (*words, name))


def subparsers_of(parser: argparse.ArgumentParser) -> Subparsers | None:
    """Return what has a parser's commands; None if it has none."""
    for action in parser._actions:  # noqa: SLF001 - there is no other list of them
        if isinstance(action.choices, dict):
            return action  # type: ignore[return-value]  # nothing else has such choices
    return None
