"""Which jobs: filters that several commands take, and the jobs that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.checks import whole
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_filters", "add_selection", "chosen", "filters"]

_MOST_AT_ONCE = 1000
_NAMES = ("status", "queue", "task", "tag", "since")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that narrow down which jobs are meant; all have to fit."""
    add = parser.add_argument
    add("--status", help="scheduled, queued, running, retrying, succeeded, failed, ...")
    add("--queue", metavar="NAME", help="name of a queue")
    add("--task", metavar="MODULE:TASK", help="name of a task")
    add("--tag", metavar="NAME=VALUE", help="a tag that they have")
    add("--since", help="made no longer ago than this, as 30m or 2d")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add ids, or `--all` with filters instead."""
    add = parser.add_argument
    add("job_ids", metavar="ID", nargs="*", help="of jobs")
    add("--all", action="store_true", help="all that fit these options instead")
    add_filters(parser)
    add("--limit", metavar="N", help=f"with --all: at most so many ({_MOST_AT_ONCE})")
    add("--yes", action="store_true", help="do not ask")


def filters(args: argparse.Namespace) -> dict[str, Any]:
    """Return the filters as `jobs()` takes them."""
    return {name: getattr(args, name) for name in _NAMES}


def chosen(args: argparse.Namespace, act: str) -> tuple[list[str], bool]:
    """Return the ids that are meant, and whether there are more than the limit.

    Args:
        args: Of a command with a selection.
        act: What is done with them, by its name in `ACTS`; `--all` means only jobs
            that it can be done with, while who names another job is told so.

    Raises:
        ConfigError: neither ids nor `--all`, both, or filters without `--all`.
    """
    given = [name for name in (*_NAMES, "limit") if getattr(args, name) is not None]
    if args.all == bool(args.job_ids):
        raise ConfigError("name the jobs by their ids, or all that fit with --all")
    if not args.all:
        if given:
            raise ConfigError(f"--{given[0]} is for --all; ids name the jobs already")
        return list(dict.fromkeys(args.job_ids)), False
    most = _MOST_AT_ONCE if args.limit is None else args.limit
    limit = whole(1, _MOST_AT_ONCE, from_text=True)(most, "--limit")
    from worker_lib.client.job_acts import ACTS, matching  # noqa: PLC0415 - not for --help

    return matching(ACTS[act], filters(args), limit=limit)
