"""`worker-lib queues`: what waits in which queue; pause and resume them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.calls import catch_up
from worker_lib.cli.output import print_json, tell
from worker_lib.cli.tables import print_table, since
from worker_lib.inspection.documents import as_document

if TYPE_CHECKING:
    import argparse

    from worker_lib.store.replies import QueueSeen

__all__ = ["add_parser"]

_HEADER = ("QUEUE", "WAITING", "PAUSED", "NEXT")


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its actions."""
    parser = subparsers.add_parser(
        "queues",
        help="list, pause and resume queues",
        description="List queues with what waits in them; pause or resume some. Jobs "
        "of a paused queue wait, those that run go on. Exit code: 0 done, 2 wrong "
        "call or setting, 5 Redis cannot be reached.",
    )
    add = parser.add_argument
    add("action", nargs="?", choices=("list", "pause", "resume"), default="list")
    add("names", nargs="*", metavar="NAME", help="of queues to pause or resume")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=lambda args: _run(parser, args))


def _run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    if (args.action == "list") == bool(args.names):
        parser.error(f"{args.action} takes {'no' if args.names else 'some'} queues")
    from worker_lib.client.queues import Queue  # noqa: PLC0415 - not for --help

    for queue in [Queue(name) for name in args.names]:
        getattr(queue, args.action)()
        tell(f"{queue.name}: {args.action}d")
    if args.action == "resume":
        catch_up()
    _list(as_json=args.json)
    return exits.OK


def _list(*, as_json: bool) -> None:
    from worker_lib.client.queues import queues  # noqa: PLC0415 - not for --help

    seen = queues()
    if as_json:
        print_json({"queues": [as_document(one) for one in seen]})
        return
    print_table(_HEADER, [_row(one) for one in seen])
    if not seen:
        tell("nothing waits, and no queue is paused")


def _row(seen: QueueSeen) -> tuple[str, ...]:
    return (
        seen.name,
        str(seen.waiting),
        "" if seen.paused_at is None else since(seen.paused_at),
        "" if seen.next_created_at is None else since(seen.next_created_at),
    )
