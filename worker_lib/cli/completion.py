"""`worker-lib completion`: a script that completes commands and options in a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.cli import exits

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_SHELLS = ("bash", "zsh", "fish")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its argument."""
    parser = subparsers.add_parser(
        "completion",
        help="print a completion script for bash, zsh or fish",
        description="Print a script that completes commands, options and values. "
        'bash: eval "$(worker-lib completion bash)" in ~/.bashrc; zsh: eval '
        '"$(worker-lib completion zsh)" in ~/.zshrc, after compinit; fish: worker-lib '
        "completion fish > ~/.config/fish/completions/worker-lib.fish",
    )
    parser.add_argument("shell", choices=_SHELLS, help="the shell it is for")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from worker_lib.cli import whole_parser  # noqa: PLC0415 - it imports us
    from worker_lib.cli.completion_scripts import script  # noqa: PLC0415 - as above

    print(script(args.shell, whole_parser()), end="")
    return exits.OK
