"""The command line, `worker-lib`. Each command has a module of its own.

Only the module of the command in use is imported: `--help` should be fast, and most
modules import an HTTP library or a client of Redis.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from worker_lib import __version__
from worker_lib.checks import unknown_name
from worker_lib.cli import exits
from worker_lib.cli.output import be_quiet, complain
from worker_lib.cli.parsers import add_quiet
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.cli.parsers import Subparsers

__all__ = ["main", "whole_parser"]

# Every command with its help; `cli/<command>.py` has an `add_parser`.
_COMMANDS = {
    "dev": "run a program with a local Redis and a local Fly",
    "run": "run one task on a machine and print its result",
    "enqueue": "store one call of a task and print the job's id",
    "jobs": "list, show, retry, clone, edit, move, cancel, delete or await jobs",
    "logs": "print what a job has printed",
    "queues": "list, pause, resume and empty queues",
    "machines": "list, show, stop, destroy and reap machines",
    "stats": "count jobs, machines, times and costs, once",
    "top": "watch jobs, machines and queues, live",
    "replay": "run the call of a job that failed here, in this process",
    "doctor": "check the settings against the real Redis and the real Fly",
    "dashboard": "serve the dashboard alone",
    "sweep": "put right what was lost, once",
    "init": "write the files that a deploy on Fly needs",
    "deploy": "build, try and promote one image with fly",
    "keys": "make a signing key, or change the one in use",
    "config": "show the settings, and where each comes from",
    "emulator": "serve Fly's Machines API here, with machines of this computer",
    "completion": "print a completion script for bash, zsh or fish",
    "version": "print the versions of what is installed",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    0 for success, 1 if a job or a check failed, 2 for a wrong call or setting, 3 if
    something does not exist, 4 if time ran out, 5 if Redis or Fly cannot be reached,
    130 after Ctrl-C. An error of this library is printed as one sentence.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _print_what_can_be()
    try:
        try:
            return _status(words)
        finally:  # argparse exits by itself
            sys.stdout.flush()
            sys.stderr.flush()
    except BrokenPipeError:
        _discard_output()
        return exits.FAILED


def _print_what_can_be() -> None:
    """Print what the encoding of the terminal has no letter for as an escape."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _status(words: Sequence[str]) -> int:
    args = _arguments(words)
    be_quiet(args.quiet)
    if os.environ.get("WORKER_LIB_HOOKS"):  # a module of the project's
        sys.path.append(os.getcwd())
    try:
        status: int = args.run(args)
    except WorkerLibError as error:
        complain(f"worker-lib: {error}")
        return exits.exit_code(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    finally:
        client = sys.modules.get("worker_lib.client.client")  # there, if it was needed
        if args.quiet and client is not None:
            client.be_quiet()
    return status


def _discard_output() -> None:
    """Print no more: the reader has gone, and the interpreter flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return the parsed words; for a wrong one, exit with 2 and name the nearest."""
    parser, known = _parser(words)
    args, strange = parser.parse_known_args(words)
    if strange:
        word = strange[0]
        is_option = word.startswith("-")
        refusal = f"unexpected argument {word!r}"
        parser.error(str(unknown_name("option", word, known)) if is_option else refusal)
    if not _wanted(words):
        parser.error(f"name a command: {', '.join(_COMMANDS)}")
    return args


def _wanted(words: Sequence[str]) -> str:
    return next((word for word in words if not word.startswith("-")), "")


def whole_parser() -> argparse.ArgumentParser:
    """Return a parser that has every command; slow, as it imports them all."""
    parser, commands = _empty_parser()
    for name in _COMMANDS:
        _add_command(commands, name)
    return parser


def _parser(words: Sequence[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """Return a parser for the command in `words` alone, and the options it knows."""
    parser, commands = _empty_parser()
    wanted = _wanted(words)
    if wanted and wanted not in _COMMANDS:
        parser.error(str(unknown_name("command", wanted, _COMMANDS)))
    for name, about in _COMMANDS.items():
        if name == wanted:
            _add_command(commands, name)
        else:
            commands.add_parser(name, help=about)
    return parser, _options(commands.choices.get(wanted, parser))


def _empty_parser() -> tuple[argparse.ArgumentParser, Subparsers]:
    parser = argparse.ArgumentParser(
        prog="worker-lib",
        description="Background jobs on short-lived Fly Machines.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser, parser.add_subparsers(title="commands", metavar="COMMAND")


def _add_command(commands: Subparsers, name: str) -> None:
    importlib.import_module(f"worker_lib.cli.{name}").add_parser(commands)
    add_quiet(commands.choices[name])


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the options of a command and of its actions."""
    found: list[str] = []
    for action in parser._actions:  # noqa: SLF001 - there is no other list of them
        found += action.option_strings
        inner = action.choices if isinstance(action.choices, dict) else {}
        for one in inner.values():
            found += _options(one) if hasattr(one, "_actions") else []
    return found
