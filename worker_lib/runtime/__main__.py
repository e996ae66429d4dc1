"""`python -m worker_lib.runtime`: what a machine runs."""

from __future__ import annotations

import gc
import os
import sys

from worker_lib.errors import ConfigError, StoreError
from worker_lib.fly.exits import BAD_SETTINGS, REDIS_REFUSED, REDIS_UNREACHABLE
from worker_lib.runtime.configuration import read
from worker_lib.runtime.process import ChildProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from worker_lib.calls.codec import Codec
    from worker_lib.runtime.configuration import Configuration
    from worker_lib.runtime.frames import Channels
    from worker_lib.runtime.park import Parking
    from worker_lib.runtime.supervisor import Supervisor

# For the line on what was cut, and the signature.
_SPARE_BYTES = 1024


def main() -> int:
    """Run jobs until there is none; return the exit code.

    0 when all is done or the machine was asked to stop, else one of
    `worker_lib.fly.exits`: a setting is wrong, Redis refuses us, or cannot be reached.
    """
    gc.disable()  # until all is imported: there is nothing to collect
    try:
        program = _Program(read(os.environ))
        # Forked before the rest is imported: supervisor and child then load what each
        # of them needs side by side.
        child = program.fork()
        supervisor = program.supervisor(child)
        _collect()
        supervisor.run()
        program.end()
    except ConfigError as error:
        return _failed(BAD_SETTINGS, error)
    except StoreError as error:
        away = getattr(error, "reason", "") == "away"
        return _failed(REDIS_UNREACHABLE if away else REDIS_REFUSED, error)
    return 0


class _Program:
    """Wires the parts of one machine; each is imported where it is needed first."""

    def __init__(self, told: Configuration) -> None:
        self._told = told
        self._parking: Parking | None = None

    def fork(self, close_in_child: tuple[int, ...] = ()) -> ChildProcess:
        told = self._told
        # All that is kept must fit into one payload; it is sealed as such.
        most = min(told.max_output_bytes, told.max_payload_bytes - _SPARE_BYTES)
        return ChildProcess(self.serve, most, close_in_child)

    def supervisor(self, child: ChildProcess) -> Supervisor:
        from worker_lib.runtime.outage import Outage  # noqa: PLC0415 - see main
        from worker_lib.runtime.reports import Reports  # noqa: PLC0415
        from worker_lib.runtime.stop import Stop  # noqa: PLC0415
        from worker_lib.runtime.supervisor import Supervisor  # noqa: PLC0415
        from worker_lib.store.machine import MachineStore  # noqa: PLC0415

        told, stop = self._told, Stop()
        if told.parking:
            from worker_lib.runtime.park import Parking  # noqa: PLC0415 - few may park

            self._parking = Parking.read(told.parking)
        store = MachineStore(
            told.redis_url,
            told.namespace,
            slot=told.slot,
            machine_id=told.machine_id,
            region=told.region,
            lease_ttl=told.lease_ttl,
            parking=self._parking.limits if self._parking else (0, 0.0),
        )
        return Supervisor(
            store,
            child,
            self.fork,
            Reports(self._codec),
            stop=stop,
            outage=Outage(store, stop, longest_pause=told.lease_ttl / 3),
            lease_ttl=told.lease_ttl,
            max_lifetime=told.max_lifetime,
            parking=self._parking,
        )

    def end(self) -> None:
        """Leave nothing behind: a machine that may be parked outlives its process."""
        if self._parking is not None:
            self._parking.vanish()

    def serve(self, channels: Channels, job: list[bytes] | None = None) -> None:
        from worker_lib.runtime.child import Child  # noqa: PLC0415 - in the child only

        told = self._told
        _collect()
        Child(channels, self._codec(), told.pool, told.hooks).serve(job)

    def _codec(self) -> Codec:
        from worker_lib.calls.codec import Codec  # noqa: PLC0415 - the supervisor needs none

        return Codec(
            self._told.secret,
            self._told.namespace,
            max_bytes=self._told.max_payload_bytes,
            old_secret=self._told.old_secret,
        )


def _collect() -> None:
    """Look for garbage from now on, but not among what was imported."""
    gc.freeze()
    gc.enable()


def go_on(channels: Channels, job: list[bytes]) -> None:
    """Serve as a child that has started anew, and has a job already."""
    _Program(read(os.environ)).serve(channels, job)


def _failed(exit_code: int, error: Exception) -> int:
    from worker_lib.runtime.last_words import tell  # noqa: PLC0415 - only then

    tell(str(error))
    return exit_code


def start() -> NoReturn:
    """Run jobs until there is none, and end this process."""
    if not sys.path[0]:  # the present folder, as of `python -c`; a task may leave it
        sys.path[0] = os.getcwd()
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A normal exit would only tidy up what the machine's end does away with.
    os._exit(status)


if __name__ == "__main__":
    start()
