"""One machine per call, out of machines that stand by: what people build by hand.

So many machines are suspended. For each call one of them is resumed, runs the call and
suspends itself again. Fly's limits are the emulator's; nothing else is in the way: no
Redis, no launcher, and a client that knows at once when a machine is free.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from worker_lib.errors import MachinesApiError

from .timeline import PARKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.emulator.runtimes import LaunchSpec

    from .machine import Steps, Times
    from .parts import Fly
    from .timeline import Timeline

__all__ = ["Standby"]

_CONFIG = {"image": "burst", "restart": {"policy": "no"}}


class Standby:
    """Machines that stand by, and a thread for each that gives it calls.

    Attributes:
        done: Calls that were run.
        ready: Machines that stand by.
    """

    def __init__(self, timeline: Timeline, times: Times) -> None:
        self.done = self.ready = 0
        self.fly: Fly
        self._calls = 0
        self._times = times
        self._asleep: set[str] = set()
        self._sleep = timeline.sleep
        modules: Any = timeline.modules()["threading"]
        self._thread = modules.Thread
        self._news = modules.Condition()

    def life(self, spec: LaunchSpec) -> Steps:
        """Yield the seconds of each step of a machine: asleep, but for calls."""
        yield self._times.begin
        while True:
            while (wait := self.fly.suspend(spec)) > 0:
                yield wait
            yield PARKED
            yield self._times.run
            self.done += 1

    def suspended(self, machine_id: str) -> None:
        """Note that a machine stands by."""
        self._asleep.add(machine_id)
        self.ready += 1
        self._news.notify()

    def create(self, machines: int) -> None:
        """Create machines, in a thread."""
        self._start(partial(self._create, machines))

    def call(self, calls: int) -> None:
        """Have so many calls run, in threads."""
        self._calls = calls
        for machine_id in list(self._asleep):
            self._start(partial(self._work, machine_id))

    def _start(self, target: Callable[[], None]) -> None:
        self._thread(target=target).start()

    def _create(self, machines: int) -> None:
        create = self.fly.api.create_machine
        for number in range(machines):
            name = f"standby-{number}"
            self._patiently(partial(create, name=name, region=None, config=_CONFIG))

    def _work(self, machine_id: str) -> None:
        while self._calls:
            self._calls -= 1
            self._asleep.discard(machine_id)
            self._patiently(partial(self.fly.api.start_machine, machine_id))
            with self._news:
                self._news.wait_for(partial(self._asleep.__contains__, machine_id))

    def _patiently(self, ask: Callable[[], Any]) -> None:
        while True:
            try:
                ask()
            except MachinesApiError as error:
                if error.refusal != "retry":
                    raise
                self._sleep(error.retry_after or 0.5)
            else:
                return
