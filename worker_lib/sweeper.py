"""Puts right what was lost: slots nobody launched, machines nobody hears of.

Nobody runs while nothing runs, so the sweep belongs to whoever is awake: a process
that has jobs under way looks when the next deadline passes, or when a machine calls
for a launcher, and stops looking as soon as no deadline is left. It acts on positive
evidence only: a lease that expired by Redis's clock for the job, the machine's own
record at Fly for the machine; never on a list it is not in.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from worker_lib import codec, pickling
from worker_lib.errors import MachineError, MachineNotFound, StoreError
from worker_lib.keys import METADATA_OWNER, METADATA_SLOT, machine_name, owner
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from worker_lib.launcher import Launcher
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings
    from worker_lib.store.store import Check, Store

__all__ = ["Cause", "Sweeper", "cause_of"]

log = get_logger("sweeper")

# Look this long after a deadline, so that who is just renewing gets the chance.
_GRACE = 0.25
_MAX_WAIT = 20.0
# Far beyond what the clocks of Fly's hosts and of Redis may differ by.
_ORPHAN_AFTER = 600.0
_PATIENCE = 2.0
_ALIVE = frozenset({"created", "starting", "started", "restarting", "updating"})


class Cause(NamedTuple):
    """Why a machine is gone.

    Attributes:
        kind: As `JobFailed.kind`.
        error: One sentence.
    """

    kind: str
    error: str


class Sweeper:
    """Sweeps while jobs are under way; one background thread, none when idle.

    Args:
        store: Of this namespace.
        launcher: Launches what is owed; None in a process without a token.
        codec: Signs the failure of a job that may not run again.
        settings: Deadlines.
        open_jobs: Jobs that this process has stored and not seen the end of; emptied
            here when no deadline is left.
    """

    def __init__(
        self,
        store: Store,
        launcher: Launcher | None,
        codec_: codec.Codec,
        settings: Settings,
        open_jobs: set[str],
    ) -> None:
        self._open_jobs = open_jobs
        self._store = store
        self._launcher = launcher
        self._codec = codec_
        self._settings = settings
        self._change = threading.Condition()
        self._look_at = 0.0
        self._overdue = False
        self._watching = False
        self._stopped = False
        self._doomed: set[str] = set()  # to be destroyed, which has not worked yet

    def arm(self, next_in: float) -> None:
        """Sweep from now on until no deadline is left; returns at once.

        Args:
            next_in: Seconds to the next deadline, as far as the caller knows.
        """
        if self._launcher is None:
            # It would take up what somebody with a token could have launched.
            return
        with self._change:
            self._overdue = self._overdue or next_in <= 0
            # Most jobs are over so soon that they cost no look at all.
            at = time.monotonic() + (0.0 if self._overdue else _PATIENCE)
            if not self._look_at or at < self._look_at:
                self._look_at = at
                self._change.notify()
            if self._watching:
                return
            self._watching = True
        threading.Thread(
            target=self._watch, name="worker_lib-sweeper", daemon=True
        ).start()

    def stop(self) -> None:
        """Sweep no more: a look that has begun is the last."""
        self._stopped = True

    def sweep(self) -> float | None:
        """Take up what is overdue; return seconds to the next deadline, or None.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        for machine_id in tuple(self._doomed):
            self._destroy(machine_id)
        found = self._store.sweep()
        for check in found.checks:
            self._check(check)
        if self._launcher is not None:
            for slot in found.launches:
                self._launcher.launch(slot)
            if found.checks:  # where one machine went astray, look for others
                self.reap()
        if self._doomed:
            return min(_PATIENCE, _MAX_WAIT if found.next_in is None else found.next_in)
        return found.next_in

    def _watch(self) -> None:
        while self._wanted():
            wait: float | None = 0.0
            while wait is not None and not self._stopped:
                wait = self._look_after(wait)

    def _wanted(self) -> bool:
        """Wait for the moment to look; False if there is nothing to look after."""
        with self._change:
            while self._look_at > time.monotonic():
                self._change.wait(self._look_at - time.monotonic())
            self._watching = not self._stopped and (
                self._overdue or (self._look_at > 0 and bool(self._open_jobs))
            )
            self._overdue = False
            self._look_at = 0.0
            return self._watching

    def _look_after(self, wait: float) -> float | None:
        """Sweep after `wait` seconds, or when called; return the next wait, or None."""
        try:
            if wait > 0:
                # A lease that begins meanwhile may end before any deadline known now.
                longest = min(_MAX_WAIT, self._settings.lease_ttl)
                self._store.await_call(min(wait + _GRACE, longest))
            known = frozenset(self._open_jobs)
            next_in = self.sweep()
        except Exception as error:  # the thread must outlive any one sweep
            log.warning("sweep_failed", exc_info=not isinstance(error, StoreError))
            time.sleep(random.uniform(1, 3))
            return _GRACE
        if next_in is None:
            self._open_jobs.difference_update(known)
            return None
        return max(next_in, _GRACE)

    def _check(self, check: Check) -> None:
        """Decide on a slot that is silent: its machine is late, or gone."""
        machine = None
        if self._launcher is not None:
            try:
                machine = self._find(self._launcher, check)
            except MachineError as error:
                log.warning("check_failed", extra={"error": str(error)})
                if check.state != "busy":
                    return
        if self._still_booting(check, machine) or self._merely_idle(check, machine):
            return
        if machine is not None and machine.state in _ALIVE:
            self._destroy(machine.id)
        self._lose(check, machine)

    def _find(self, launcher: Launcher, check: Check) -> Machine | None:
        if check.machine_id:
            try:
                return launcher.api.get_machine(check.machine_id)
            except MachineNotFound:
                return None
        name = machine_name(check.slot)
        return launcher.api.find_machine(name, metadata={METADATA_SLOT: check.slot})

    def _still_booting(self, check: Check, machine: Machine | None) -> bool:
        if check.state != "launching" or machine is None:
            return False
        if machine.state not in _ALIVE or check.age > 2 * self._settings.boot_timeout:
            return False
        self._store.extend(check, self._settings.boot_timeout / 2)
        return True

    def _merely_idle(self, check: Check, machine: Machine | None) -> bool:
        if check.state != "idle" or machine is None or machine.state not in _ALIVE:
            return False
        if check.age > self._settings.max_lifetime:
            return False
        self._store.extend(check, self._settings.lease_ttl)
        return True

    def _destroy(self, machine_id: str) -> None:
        """Destroy a machine; where that may work later, it is tried at each sweep."""
        if self._launcher is None:
            return
        self._doomed.add(machine_id)
        try:
            self._launcher.api.destroy_machine(machine_id, force=True)
        except MachineError as error:
            log.warning(
                "destroy_failed", extra={"machine_id": machine_id, "error": str(error)}
            )
            if getattr(error, "refusal", "person") != "person":
                return
        self._doomed.discard(machine_id)

    def reap(self) -> None:
        """Destroy machines whose slot nobody knows, once they are old enough.

        Does nothing in a process without a token.
        """
        launcher = self._launcher
        if launcher is None:
            return
        tag = owner(self._settings.namespace, self._settings.secret)
        ours = {METADATA_OWNER: tag}
        try:
            machines = launcher.api.list_machines(metadata=ours)
        except MachineError as error:
            log.warning("reap_failed", extra={"error": str(error)})
            return
        slots = {
            machine.metadata.get(METADATA_SLOT, ""): machine for machine in machines
        }
        now, unknown = self._store.orphans([*slots])
        for slot in unknown:
            machine = slots[slot]
            if now - _born(machine) > _ORPHAN_AFTER + self._settings.boot_timeout:
                log.warning("orphan_destroyed", extra={"machine_id": machine.id})
                self._destroy(machine.id)

    def _lose(self, check: Check, machine: Machine | None) -> None:
        kind, error = cause_of(check, machine)
        body = pickling.dump_failure(pickling.Failure(kind=kind, message=error))
        envelope = self._codec.seal(
            body, kind=codec.OUTCOME, job_id=check.job_id, fence=check.fence
        )
        slot = self._store.lose(check, envelope=envelope, error=error, kind=kind)
        log.warning(
            "machine_lost",
            extra={"slot": check.slot, "job_id": check.job_id, "reason": error},
        )
        if slot and self._launcher is not None:
            self._launcher.launch(slot)


def _born(machine: Machine) -> float:
    """Return when the machine was created, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(machine.created_at).timestamp()
    except ValueError:  # unknown, so never old enough
        return float("inf")


def cause_of(check: Check, machine: Machine | None) -> Cause:
    """Return why the machine is gone, from its own exit event if Fly still has it.

    Source: Machines API, "Get a Machine", `events[].request.exit_event`.
    """
    who = f"machine {check.machine_id or machine_name(check.slot)}"
    event = machine.exit_event if machine is not None else None
    if event is not None and event.oom_killed:
        return Cause("out_of_memory", f"{who} ran out of memory")
    if event is not None and not event.requested_stop:
        return Cause("lost", f"{who} ended with exit code {event.exit_code}")
    return Cause("lost", f"{who} was not heard of for longer than its lease")
