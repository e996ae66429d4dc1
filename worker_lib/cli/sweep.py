"""`worker-lib sweep`: puts right what was lost, once; for an hourly backstop."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from worker_lib.cli import exits
from worker_lib.cli.output import print_json, tell
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["add_parser"]

_LAUNCH_WITHIN = 60.0
_AREAS = ("sweeper", "launcher")
# Of a record's facts, those that are worth a word.
_FACTS = ("machine_id", "slot", "job_id", "region", "reason", "error")


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "sweep",
        help="put right what was lost, once",
        description="Look once for jobs whose machine vanished, machines that nobody "
        "asked for and launches that are owed, put them right, and print what was "
        "done. Every process that makes calls does this while it lives; run it hourly "
        "if there may be none.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Sweep, and wait until what it found owed was launched.

    Raises:
        ConfigError: no machine could be launched: without a token a sweep would take
            up what others could launch.
    """
    from worker_lib.client.client import default_client  # noqa: PLC0415 - not for --help

    client = default_client()
    client.settings.require_machines()
    with _recorded() as events:
        next_in = client.sweeper.sweep()
        client.sweeper.reap()
        is_done = client.launcher.flush(_LAUNCH_WITHIN)
    _show(events, next_in, as_json=args.json)
    return exits.OK if is_done else exits.TIMEOUT


@contextmanager
def _recorded() -> Iterator[list[dict[str, Any]]]:
    """Yield a list of what the sweeper and the launcher say that they do."""
    recorder = _Recorder()
    loggers = [logging.getLogger(f"worker_lib.{area}") for area in _AREAS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(recorder)
        logger.setLevel(logging.INFO)
    try:
        yield recorder.events
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(recorder)
            logger.setLevel(level)


class _Recorder(logging.Handler):
    """Keeps the fixed word and the facts of each record."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.events: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        facts = {name: getattr(record, name, "") for name in _FACTS}
        known = {name: str(value) for name, value in facts.items() if value}
        self.events.append({"event": record.getMessage(), **known})


def _show(
    events: list[dict[str, Any]], next_in: float | None, *, as_json: bool
) -> None:
    if as_json:
        print_json({"events": events, "next_in": next_in})
        return
    for event in events:
        facts = (f"{name}={value}" for name, value in event.items() if name != "event")
        print(printable(" ".join((event["event"], *facts)), keep=""))
    if not events:
        print("nothing to put right")
    if next_in is not None:
        tell(f"the next deadline is in {max(0.0, next_in):.0f} s")
