"""Puts right what was lost: slots nobody launched, machines nobody hears of.

Nobody runs while nothing runs, so the sweep belongs to whoever is awake: a process
that has jobs under way looks when the next deadline passes, or when a machine calls
for a launcher, and stops looking as soon as no deadline is left. It acts on positive
evidence only: a lease that expired by Redis's clock for the job, the machine's own
record at Fly for the machine; never on a list it is not in.
"""

from __future__ import annotations

import json
import random
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

from worker_lib.calls import codec, pickling
from worker_lib.causes import boot_cause, cause_of
from worker_lib.errors import MachineError, MachineNotFound, StoreError
from worker_lib.fly.naming import (
    METADATA_NAMESPACE,
    METADATA_OWNER,
    METADATA_SLOT,
    machine_name,
    owners,
)
from worker_lib.launcher import ANYBODY
from worker_lib.logs import get_logger
from worker_lib.store.changes import Bell
from worker_lib.store.replies import FailedBoot, Stray

if TYPE_CHECKING:
    from worker_lib.launcher import Launcher
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings
    from worker_lib.store.calls import Calls
    from worker_lib.store.replies import Check
    from worker_lib.store.store import Store

__all__ = ["Sweeper"]

log = get_logger("sweeper")

# Look this long after a deadline, so that who is just renewing gets the chance.
_GRACE = 0.25
_NEVER = float("inf")
# poll() takes no longer wait than some weeks.
_LONGEST_WAIT = 86400.0
# Far beyond what the clocks of Fly's hosts and of Redis may differ by.
_ORPHAN_AFTER = 600.0
_PATIENCE = 2.0
# How long the pool of a machine that never took a job waits for the next one, doubled
# each time; and after how many in a row there is no next one until a new call.
_FIRST_HOLD = 5.0
_MOST_FAILED_BOOTS = 5


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
        self._owners = owners(settings.namespace, settings.secret, settings.old_secret)
        self._lock = threading.Lock()
        self._bell: Bell | None = None  # there while the thread runs
        self._look_at = _NEVER
        self._looked = -_NEVER
        self._stopped = False

    def arm(self, next_in: float) -> None:
        """Sweep from now on until no deadline is left; returns at once.

        Args:
            next_in: Seconds to the next deadline, as far as the caller knows.
        """
        if self._launcher is None:
            # It would take up what somebody with a token could have launched.
            return
        now = time.monotonic()
        at = now + next_in + _GRACE if next_in > 0 else now
        with self._lock:
            at = max(at, self._looked + _PATIENCE)
            if self._stopped or at > self._look_at - _GRACE:
                return
            self._look_at = at
            if self._bell is not None:
                self._bell.ring()
                return
            self._bell = Bell()
        threading.Thread(
            target=self._watch,
            args=(self._bell,),
            name="worker_lib-sweeper",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Sweep no more: a look that has begun is the last."""
        with self._lock:
            self._stopped = True
            if self._bell is not None:
                self._bell.ring()

    def sweep(self) -> float | None:
        """Take up what is overdue; return seconds to the next deadline, or None.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        found = self._store.sweep()
        for stray in found.strays:
            self._look_for(stray)
        waits = [self._check(check) for check in found.checks]
        is_any_lost = None in waits
        if self._launcher is not None:
            for slot in found.launches:
                self._launcher.launch(slot)
            if is_any_lost:  # where one machine went astray, look for others
                self.reap()
        if found.next_in is None:
            return None
        # What was done just now has set new deadlines.
        soon = [_PATIENCE if wait is None else wait for wait in waits]
        soon += [self._settings.lease_ttl] if found.launches else []
        return min(found.next_in, *soon) if soon else found.next_in

    def _watch(self, bell: Bell) -> None:
        # Most jobs are over so soon that they cost no command at all.
        bell.wait(min(_PATIENCE, self._time_left()))
        while not self._is_over(bell):
            try:
                with self._store.calls() as calls:
                    self._look_in_time(calls, bell)
                    while not self._is_over(bell, begun=True):
                        self._look_in_time(calls, bell)
            except Exception as error:  # the thread must outlive any one sweep
                log.warning("sweep_failed", exc_info=not isinstance(error, StoreError))
                bell.wait(random.uniform(1, 3))
                self._plan(0.0)

    def _time_left(self) -> float:
        with self._lock:
            return max(0.0, self._look_at - time.monotonic())

    def _is_over(self, bell: Bell, *, begun: bool = False) -> bool:
        """Say whether there is nothing to look after; the thread must then end."""
        with self._lock:
            is_due = self._look_at <= time.monotonic()
            wanted = is_due or begun or bool(self._open_jobs)
            if wanted and self._look_at < _NEVER and not self._stopped:
                return False
            self._bell, self._look_at = None, _NEVER
        bell.close()
        return True

    def _look_in_time(self, calls: Calls, bell: Bell) -> None:
        """Sweep when the next deadline has passed, or when called."""
        called = calls.wait(bell, min(self._time_left(), _LONGEST_WAIT))
        if self._stopped or not (called or self._time_left() <= 0):
            return
        with self._lock:
            self._looked, self._look_at = time.monotonic(), _NEVER
        known = frozenset(self._open_jobs)
        next_in = self.sweep()
        if next_in is None:
            self._open_jobs.difference_update(known)
        else:
            self._plan(next_in)

    def _plan(self, next_in: float) -> None:
        """Look again after so many seconds, if not sooner."""
        at = time.monotonic() + max(next_in, _GRACE) + _GRACE
        with self._lock:
            self._look_at = min(self._look_at, at)

    def _check(self, check: Check) -> float | None:
        """Decide on a slot that is silent: its machine is late, or lost.

        Returns:
            Seconds until it is looked at again; None if it was lost.
        """
        machine = None
        try:
            machine = self._find(check)
        except MachineError as error:
            log.warning("check_failed", extra={"error": str(error)})
            if check.state != "busy":
                return _PATIENCE
        if machine is not None and not check.machine_id:
            self._store.created(check.slot, machine.id)
            check = check._replace(machine_id=machine.id)
        patience = self._patience_with(check, machine)
        if patience > 0:
            self._store.extend(check, patience)
            return patience
        return None if self._lose(check, machine) else _PATIENCE

    def _find(self, check: Check) -> Machine | None:
        if self._launcher is None:
            return None
        if not check.machine_id:
            return self._search(check.slot)
        try:
            machine = self._launcher.api.get_machine(check.machine_id)
        except MachineNotFound:
            return None
        return machine if self._is_of(check.slot, machine) else None

    def _is_of(self, slot: str, machine: Machine) -> bool | None:
        """Say whether this library made a machine for that slot; None if unknown.

        Its id stands in Redis, where others may write: it must not lead to a machine
        of somebody else's. While its host does not answer, Fly may not know.
        """
        data = machine.metadata
        if not data and machine.host_status != "ok":
            return None
        if data.get(METADATA_SLOT) == slot and data.get(METADATA_OWNER) in self._owners:
            return True
        log.warning("machine_not_ours", extra={"slot": slot, "machine_id": machine.id})
        return False

    def _search(self, slot: str) -> Machine | None:
        """Return the machine of a slot by its name; one that is gone if need be."""
        if self._launcher is None:
            return None
        name, found = machine_name(slot), None
        for machine in self._launcher.api.list_machines(
            metadata={METADATA_SLOT: slot}, include_deleted=True
        ):
            if machine.name == name and (found is None or not machine.is_gone):
                found = machine
        return found

    def _patience_with(self, check: Check, machine: Machine | None) -> float:
        """Return the seconds until it is looked at again; 0 if it is given up."""
        boot, age = self._settings.boot_timeout, check.age
        has_ended = machine is not None and machine.has_ended
        if check.state == "launching" and age < boot and not has_ended:
            # A lease that begins meanwhile must not end long before the next look.
            return min(max(_GRACE, boot - age), self._settings.lease_ttl)
        if machine is None or has_ended:
            return 0.0
        if check.state == "launching" and age <= 2 * boot:
            return min(boot / 2, self._settings.lease_ttl)
        if check.state == "idle" and age <= self._settings.max_lifetime:
            return self._settings.lease_ttl
        return 0.0

    def _lose(self, check: Check, machine: Machine | None) -> bool:
        """Have Redis decide that a machine is lost, and only then destroy it."""
        kind, error = cause_of(check, machine)
        body = pickling.dump_failure(pickling.Failure(kind=kind, message=error))
        envelope = self._codec.seal(
            body, kind=codec.OUTCOME, job_id=check.job_id, fence=check.fence
        )
        gone = machine is not None and machine.is_gone
        loss = self._store.lose(
            check,
            envelope=envelope,
            error=error,
            kind=kind,
            gone=gone,
            failed_boot=_failed_boot(check, machine),
        )
        if not loss.is_lost:  # it was heard of while Fly was asked about it
            log.info("machine_kept", extra={"slot": check.slot})
            return False
        log.warning(
            "machine_lost",
            extra={"slot": check.slot, "job_id": check.job_id, "reason": error},
        )
        if machine is not None and not gone:
            self._destroy(Stray(check.slot, machine.id))
        if loss.slot and self._launcher is not None:
            self._launcher.launch(loss.slot)
        return True

    def _look_for(self, stray: Stray) -> None:
        """Destroy what an earlier sweep could not."""
        if self._launcher is None:
            return
        if stray.machine_id:
            try:
                machine = self._launcher.api.get_machine(stray.machine_id)
            except MachineNotFound:  # a list or its host may be behind
                pass
            except MachineError as error:
                log.warning("check_failed", extra={"error": str(error)})
                return
            else:
                is_ours = self._is_of(stray.slot, machine)
                if is_ours is False:
                    self._store.forget_stray(stray.slot)
                if not is_ours:
                    return
        self._destroy(stray)

    def _destroy(self, stray: Stray) -> None:
        """Destroy a machine whose slot is free; if that fails, a later sweep does."""
        if self._launcher is None:
            return
        machine_id = stray.machine_id
        try:
            if not machine_id:
                found = self._search(stray.slot)
                if found is None:  # no list shows it yet, or it never came
                    return
                machine_id = found.id
            self._launcher.api.destroy_machine(machine_id, force=True)
        except MachineError as error:
            log.warning(
                "destroy_failed", extra={"machine_id": machine_id, "error": str(error)}
            )
            return
        self._store.forget_stray(stray.slot)

    def reap(self) -> None:
        """Destroy machines whose slot nobody knows, once they are old enough.

        Does nothing in a process without a token.
        """
        if self._launcher is None:
            return
        try:
            slots = self._machines_by_slot(self._launcher)
        except MachineError as error:
            log.warning("reap_failed", extra={"error": str(error)})
            return
        now, unknown = self._store.orphans([*slots])
        for slot in unknown:
            machine = slots[slot]
            if now - _born(machine) > _ORPHAN_AFTER + self._settings.boot_timeout:
                log.warning("orphan_destroyed", extra={"machine_id": machine.id})
                self._store.remember_stray(slot, machine.id)
                self._destroy(Stray(slot, machine.id))

    def _machines_by_slot(self, launcher: Launcher) -> dict[str, Machine]:
        """Return our machines, those made under the old secret among them."""
        listed = launcher.api.list_machines(
            metadata={METADATA_NAMESPACE: self._settings.namespace}
        )
        return {
            machine.metadata.get(METADATA_SLOT, ""): machine
            for machine in listed
            if machine.metadata.get(METADATA_OWNER) in self._owners
        }


def _failed_boot(check: Check, machine: Machine | None) -> FailedBoot | None:
    boot = boot_cause(check, machine)
    if boot is None:
        return None
    told = {
        "error": "MachineError",
        "message": boot.error,
        "status": 0,
        "who": ANYBODY,
    }
    return FailedBoot(
        json.dumps(told), boot.is_permanent, _FIRST_HOLD, _MOST_FAILED_BOOTS
    )


def _born(machine: Machine) -> float:
    """Return when the machine was created, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(machine.created_at).timestamp()
    except ValueError:  # unknown, so never old enough
        return float("inf")
