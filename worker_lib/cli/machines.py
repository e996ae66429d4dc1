"""`worker-lib machines`: those that are there and those that were; ends some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.checks import whole
from worker_lib.cli import exits
from worker_lib.cli.auditing import note
from worker_lib.cli.confirming import confirm
from worker_lib.cli.output import print_json, say, tell
from worker_lib.cli.parsers import noun, verb
from worker_lib.cli.tables import age, dollars, print_table, show_list, since

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.inspection import MachineExit, MachineSeen
    from worker_lib.job import JobInfo
    from worker_lib.machines.types import Machine

__all__ = ["add_parser"]

_HEADER = ("MACHINE", "STATE", "REGION", "SIZE", "AGE", "COST", "POOL", "JOBS")
_EXITS = ("MACHINE", "ENDED", "REASON", "REGION", "SIZE", "SECONDS", "COST", "POOL")
_EVENTS = ("EVENT", "STATE", "AT")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    verbs = noun(
        subparsers,
        "machines",
        "list, show, stop, destroy and reap machines",
        "Look at machines, or end some; their jobs run elsewhere. Exit code: 0 done, 1 "
        "refused, 2 wrong call or setting, 3 no such machine, 5 Redis or Fly cannot be "
        "reached.",
    )
    listing = verb(verbs, "list", "list machines that are there or on their way", _list)
    listing.add_argument(
        "--ended", metavar="N", nargs="?", const="50", help="the last N that ended (50)"
    )
    show = verb(verbs, "show", "print what Redis and Fly have of a machine", _show)
    stop = verb(verbs, "stop", "stop a machine, which hands its jobs back", _stop)
    destroy = verb(verbs, "destroy", "destroy a machine at once", _destroy)
    for one in (show, stop, destroy):
        one.add_argument("machine_id", metavar="ID", help="Fly's id of a machine")
    stop.add_argument("--yes", action="store_true", help="also one that is not ours")
    destroy.add_argument(
        "--yes", action="store_true", help="do not ask; also one that is not ours"
    )
    reap = verb(verbs, "reap", "destroy machines of ours that Redis forgot", _reap)
    reap.add_argument("--dry-run", action="store_true", help="only say which those are")


def _list(args: argparse.Namespace) -> int:
    if args.ended is not None:
        return _list_ended(args)
    from worker_lib.inspection import machines  # noqa: PLC0415 - not for --help

    nothing = "there are no machines"
    return show_list(args, "machines", machines(), (_HEADER, _row), nothing)


def _row(seen: MachineSeen) -> tuple[str, ...]:
    return (
        seen.machine_id,
        seen.state,
        seen.region,
        seen.size,
        age(seen.age),
        dollars(seen.cost_usd),
        seen.pool,
        " ".join(seen.job_ids),
    )


def _list_ended(args: argparse.Namespace) -> int:
    from worker_lib import inspection  # noqa: PLC0415 - not for --help

    found = inspection.exits(whole(1, from_text=True)(args.ended, "--ended"))
    nothing = "no machine has ended of late"
    return show_list(args, "machines", found, (_EXITS, _exit_row), nothing)


def _exit_row(ended: MachineExit) -> tuple[str, ...]:
    return (
        ended.machine_id,
        since(ended.ended_at),
        ended.reason,
        ended.region,
        ended.size,
        f"{ended.seconds:.1f}",
        dollars(ended.cost_usd),
        ended.pool,
    )


def _show(args: argparse.Namespace) -> int:
    from worker_lib.errors import MachineNotFound  # noqa: PLC0415 - as above
    from worker_lib.inspection import (  # noqa: PLC0415 - as above
        as_document,
        machine_at_fly,
        machines,
    )

    wanted = args.machine_id
    seen = next((one for one in machines() if one.machine_id == wanted), None)
    machine = machine_at_fly(wanted)
    if seen is None and machine is None:
        raise MachineNotFound(
            f"neither Redis nor Fly has a machine {wanted}: it was never there, or "
            "ended long ago (worker-lib machines list --ended)"
        )
    told = None if seen is None else as_document(seen)
    if args.json:
        print_json({"redis": told, "fly": machine and as_document(machine)})
        return exits.OK
    for name, value in (told or {}).items():
        if value not in (None, "", []):
            say(_line(name, value))
    if machine is not None:
        _show_fly(as_document(machine))
    return exits.OK


def _line(name: str, value: Any) -> str:
    if name == "age":
        return f"age: {age(value)}"
    if name == "cost_usd":
        return f"cost: {dollars(value)}"
    return f"{name}: {' '.join(value) if isinstance(value, list) else value}"


def _show_fly(told: dict[str, Any]) -> None:
    for name, value in told.items():
        if name != "events" and value:
            say(f"fly {name}: {value}")
    rows = [
        (event["type"], event["state"], event["at"] or "") for event in told["events"]
    ]
    if rows:
        print()
        print_table(_EVENTS, rows)


def _stop(args: argparse.Namespace) -> int:
    from worker_lib.client.machine_acts import stop_machine  # noqa: PLC0415 - as above

    tell(f"stopping {args.machine_id}; what runs on it is handed back")
    jobs = stop_machine(args.machine_id, foreign=args.yes)
    note("stop-machine", [args.machine_id])
    return _report(args, "stopped", jobs)


def _destroy(args: argparse.Namespace) -> int:
    from worker_lib.client.machine_acts import (  # noqa: PLC0415 - not for --help
        destroy_machine,
    )

    confirm(f"destroy machine {args.machine_id} and what runs on it", sure=args.yes)
    jobs = destroy_machine(args.machine_id, foreign=args.yes)
    note("destroy-machine", [args.machine_id])
    return _report(args, "destroyed", jobs)


def _report(args: argparse.Namespace, what: str, jobs: Sequence[JobInfo]) -> int:
    """Tell what became of the machine's jobs; 1 if one still counts as its own."""
    statuses = {info.id: info.status for info in jobs}
    if args.json:
        print_json({"machine_id": args.machine_id, "act": what, "jobs": statuses})
    else:
        say(f"{args.machine_id}\t{what}")
        for job_id, status in statuses.items():
            say(f"{job_id}\t{status}")
    kept = [one.id for one in jobs if _is_still_there(one, args.machine_id)]
    if kept:
        tell(f"it has not let go of {', '.join(kept)} yet; a sweep will see to that")
    return exits.FAILED if kept else exits.OK


def _is_still_there(info: JobInfo, machine_id: str) -> bool:
    return info.status == "running" and info.machine_id == machine_id


def _reap(args: argparse.Namespace) -> int:
    from worker_lib.client.client import default_client  # noqa: PLC0415 - not for --help

    sweeper = default_client().sweeper
    if args.dry_run:
        return _show_orphans(sweeper.orphans(), as_json=args.json)
    report = sweeper.reap()
    reaped = [one.machine_id for one in report.steps if one.event == "orphan_found"]
    note("reap-machine", reaped)
    failed = report.counts["check_failed"] + report.counts["destroy_failed"]
    if args.json:
        print_json(
            {"events": [{"event": one.event, **one.facts} for one in report.steps]}
        )
    else:
        for step in report.steps:
            facts = (f"{name}={value}" for name, value in step.facts.items())
            say(" ".join((step.event, *facts)))
    if not report.steps:
        tell("there is nothing to reap")
    return exits.FAILED if failed else exits.OK


def _show_orphans(orphans: dict[str, Machine], *, as_json: bool) -> int:
    if as_json:
        shown = [
            {"slot": slot, "machine_id": machine.id, "state": machine.state}
            for slot, machine in orphans.items()
        ]
        print_json({"machines": shown})
        return exits.OK
    for slot, machine in orphans.items():
        say(f"{machine.id}\t{machine.state}\t{machine.region}\tslot {slot}")
    if not orphans:
        tell("there is nothing to reap")
    return exits.OK
