"""Serves the emulator of Fly's Machines API until SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from worker_lib.emulator import DockerOptions, Emulator, EmulatorOptions, FaultPlan
from worker_lib.emulator.access import is_loopback_host
from worker_lib.errors import ConfigError
from worker_lib.fly.latencies import Latencies

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigError: An option cannot work, or the address is taken.
    """
    options = _options(args)
    secrets = _secrets(args.secrets_file)
    with _stop_signals() as stopping:
        emulator = _started(options)
        for app in options.apps:
            emulator.set_secrets(app, secrets)
        token = emulator.token if args.token is None else "<your --token>"
        print(
            f"Machines API at {emulator.url}: export FLY_API_HOSTNAME={emulator.url} "
            f"FLY_FLAPS_BASE_URL={emulator.url} FLY_API_TOKEN={token}",
            flush=True,
        )
        if not is_loopback_host(options.host):
            print(
                f"warning: whoever reaches {options.host} and has the token can run "
                "commands on this computer",
                file=sys.stderr,
            )
        stopping.get()
        emulator.stop()
    return 0


@contextmanager
def _stop_signals() -> Iterator[SimpleQueue[int]]:
    """Put SIGINT and SIGTERM in a queue, which a handler may do at any point."""
    caught: SimpleQueue[int] = SimpleQueue()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, _: caught.put(n)) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _started(options: EmulatorOptions) -> Emulator:
    try:
        return Emulator(options).start()
    except OSError as exc:
        raise ConfigError(
            f"cannot serve on {options.host}:{options.port} with files in "
            f"{options.state_dir}: {exc.strerror}"
        ) from exc


def _options(args: argparse.Namespace) -> EmulatorOptions:
    state_dir = args.state_dir or Path(".worker_lib/emulator")
    return EmulatorOptions(
        host=args.host,
        port=args.port,
        apps=tuple(args.app or ("demo",)),
        hosts=tuple(args.allow_host or ()),
        tokens=None if args.token is None else tuple(args.token),
        region=args.region,
        runtime=args.runtime,
        docker=DockerOptions(
            image=args.docker_image,
            mounts=tuple(path.resolve() for path in args.docker_mount or ()),
            user=args.docker_user,
        ),
        state_dir=state_dir,
        project_dir=args.project_dir or Path.cwd(),
        rate_limits=not args.no_rate_limits,
        latencies=Latencies.parse(args.latencies) if args.latencies else Latencies(),
        faults=FaultPlan.read(args.faults) if args.faults else FaultPlan(),
    )


def _secrets(path: Path | None) -> dict[str, str]:
    """Read `NAME=VALUE` lines; blank ones and those with a leading # are skipped."""
    if path is None:
        return {}
    try:
        lines = path.read_text().splitlines()
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc
    secrets = {}
    for number, line in enumerate(lines, start=1):
        name, equals, value = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals:
            raise ConfigError(f"{path}, line {number}: it is not NAME=VALUE")
        secrets[name.strip()] = value.strip()
    return secrets
