"""`worker-lib queues`: what waits in which queue; pause, resume and empty them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.auditing import note
from worker_lib.cli.calls import catch_up
from worker_lib.cli.confirming import confirm
from worker_lib.cli.output import print_json, say
from worker_lib.cli.parsers import noun, verb
from worker_lib.cli.tables import show_list, since

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.client.queues import Queue
    from worker_lib.store.replies import QueueSeen

__all__ = ["add_parser"]

_HEADER = ("QUEUE", "WAITING", "PAUSED", "NEXT")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    verbs = noun(
        subparsers,
        "queues",
        "list, pause, resume and empty queues",
        "Look at queues, or change some. Jobs of a paused queue wait, those that run "
        "go on. Exit code: 0 done, 2 wrong call or setting, 5 Redis cannot be reached.",
    )
    verb(verbs, "list", "list queues that have jobs waiting or are paused", _list)
    pause = verb(verbs, "pause", "have machines take no job of these queues", _pause)
    resume = verb(verbs, "resume", "let jobs of these queues run again", _resume)
    purge = verb(verbs, "purge", "cancel all jobs that wait in these queues", _purge)
    for one in (pause, resume, purge):
        one.add_argument("names", nargs="+", metavar="NAME", help="of queues")
    purge.add_argument("--yes", action="store_true", help="do not ask")


def _list(args: argparse.Namespace) -> int:
    from worker_lib.client.queues import queues  # noqa: PLC0415 - not for --help

    nothing = "nothing waits, and no queue is paused"
    return show_list(args, "queues", queues(), (_HEADER, _row), nothing)


def _row(seen: QueueSeen) -> tuple[str, ...]:
    return (
        seen.name,
        str(seen.waiting),
        "" if seen.paused_at is None else since(seen.paused_at),
        "" if seen.next_created_at is None else since(seen.next_created_at),
    )


def _pause(args: argparse.Namespace) -> int:
    wanted = _named(args)
    for queue in wanted:
        queue.pause()
    _note("pause-queue", wanted)
    return _report(args, dict.fromkeys((one.name for one in wanted), "paused"))


def _resume(args: argparse.Namespace) -> int:
    wanted = _named(args)
    for queue in wanted:
        queue.resume()
    _note("resume-queue", wanted)
    catch_up()
    return _report(args, dict.fromkeys((one.name for one in wanted), "resumed"))


def _note(what: str, wanted: list[Queue]) -> None:
    note(what, [one.name for one in wanted], total=sum(one.waiting for one in wanted))


def _purge(args: argparse.Namespace) -> int:
    wanted = _named(args)
    waiting = sum(one.waiting for one in wanted)
    names = ", ".join(one.name for one in wanted)
    confirm(f"cancel what waits in {names} ({waiting:,} jobs now)", sure=args.yes)
    counts = {one.name: one.purge() for one in wanted}
    note("purge-queue", list(counts), total=sum(counts.values()))
    if args.json:
        print_json({"cancelled": counts})
        return exits.OK
    return _report(args, {name: f"{count} cancelled" for name, count in counts.items()})


def _named(args: argparse.Namespace) -> list[Queue]:
    from worker_lib.client.queues import Queue  # noqa: PLC0415 - not for --help

    return [Queue(name) for name in dict.fromkeys(args.names)]


def _report(args: argparse.Namespace, told: dict[str, str]) -> int:
    if args.json:
        print_json({"queues": told})
        return exits.OK
    for name, what in told.items():
        say(f"{name}\t{what}")
    return exits.OK
