"""One sweep: what is overdue is launched, given more time, or given up.

It acts on positive evidence only: a lease that expired by Redis's clock for the job,
the machine's own record at Fly for the machine; never on a list it is not in. Redis
decides, in one script, that a machine is lost; only then is it destroyed.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_lib import hooks
from worker_lib.calls import codec, pickling
from worker_lib.causes import boot_cause, cause_of
from worker_lib.errors import (
    MachineError,
    MachineNotFound,
    PayloadError,
    StoreError,
)
from worker_lib.fly.images import supersedes
from worker_lib.fly.states import PARKED
from worker_lib.logs import get_logger
from worker_lib.own_machines import OwnMachines, created_at
from worker_lib.steps import Step
from worker_lib.store.replies import FailedBoot
from worker_lib.trouble import ANYBODY, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.causes import Cause
    from worker_lib.launcher import Launcher
    from worker_lib.machines.types import Machine
    from worker_lib.own_machines import Ownership
    from worker_lib.settings import Settings
    from worker_lib.steps import Event
    from worker_lib.store.replies import Check, Stray
    from worker_lib.store.store import Store

__all__ = ["Sweep", "SweepReport"]

log = get_logger("sweeper")

# A machine that is just renewing its lease gets this much longer.
_GRACE = 0.25
# Seconds until the next look at what could not be settled now.
_LOOK_AGAIN_IN = 2.0
# Far beyond what the clocks of Fly's hosts and of Redis may differ by.
_ORPHAN_AFTER = 600.0
# How long the pool of a machine that never took a job waits for the next one, doubled
# each time; and after how many in a row there is no next one until a new call.
_FIRST_HOLD = 5.0
_MOST_FAILED_BOOTS = 5
# A launcher tries for less than that, and replaces the machine then.
_STARTS_WITHIN = 15.0
# Of a parked machine: Redis knows how long that lasts; of one that is just doing so.
_UNTIL_IT_ENDS, _PARKS_WITHIN = 1e9, 30.0
_PARKS_SOON = frozenset({"stopping", "suspending"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What one sweep did.

    Attributes:
        steps: In the order in which they were done.
        next_in: Seconds to the next deadline of any job; None if there is none.
    """

    steps: tuple[Step, ...] = ()
    next_in: float | None = None

    @property
    def counts(self) -> Mapping[Event, int]:
        """How many steps there were of each kind."""
        return Counter(step.event for step in self.steps)


class Sweep:
    """One sweep, by a process that may create and destroy machines.

    Args:
        store: Of this namespace.
        launcher: Launches what is owed; its API client looks up and destroys.
        codec_: Signs the failure of a job that may not run again.
        settings: Deadlines, namespace and secrets.
    """

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        codec_: codec.Codec,
        settings: Settings,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._codec = codec_
        self._settings = settings
        self._own = OwnMachines(lambda: launcher.api, settings)
        self._steps: list[Step] = []
        self._launching: list[str] = []
        self._next_in: float | None = None

    def take_up_overdue(self, *, parking: int = 0) -> None:
        """Launch, look up and destroy what is due by Redis's clock.

        Args:
            parking: Of so many pools that have parked machines, destroy these if their
                image is no longer in use.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        found = self._store.sweep(parking=parking)
        for pool, sealed in found.parking:
            self._retire_outdated(pool, sealed)
        for stray in found.strays:
            self._destroy_stray(stray)
        waits = [self._check(check) for check in found.checks]
        for slot in found.launches:
            self._launch(slot)
        if found.next_in is not None:
            # These deadlines were set after Redis was asked for the next one.
            new = [*waits, self._settings.lease_ttl] if found.launches else waits
            self._next_in = min(found.next_in, *new) if new else found.next_in

    def _retire_outdated(self, pool: str, sealed: bytes) -> None:
        """Destroy a pool's parked machines if our own image is a later deployment."""
        try:
            spec = self._codec.open(sealed, kind=codec.SPEC, job_id=pool)
        except PayloadError:
            return
        if supersedes(self._settings.image, json.loads(spec)["image"]):
            for stray in self._store.retire(pool):
                self._destroy_stray(stray)

    def reap(self) -> None:
        """Destroy machines whose slot Redis does not know, once they are old enough."""
        try:
            orphans = self.orphans()
        except MachineError as error:
            self._note(Step("check_failed", reason=str(error)))
            return
        for slot, machine in orphans.items():
            self._note(Step("orphan_found", slot, machine.id))
            self._store.strays.remember(slot, machine.id)
            self._destroy(slot, machine.id)

    def orphans(self) -> dict[str, Machine]:
        """Return the machines that `reap` would destroy, by their slots.

        Raises:
            MachineError: Fly does not say what machines there are.
        """
        machines = self._own.by_slot()
        now, unknown = self._store.strays.unknown([*machines])
        old = _ORPHAN_AFTER + self._settings.boot_timeout
        found = {slot: machines[slot] for slot in sorted(unknown)}
        return {
            slot: machine
            for slot, machine in found.items()
            if now - created_at(machine) > old
        }

    def has_lost_any(self) -> bool:
        """Say whether a machine was given up."""
        return any(step.event == "machine_lost" for step in self._steps)

    def report(self) -> SweepReport:
        """Return what was done up to now."""
        ended = {step.slot for step in self._steps}
        pending = [
            Step("launch_pending", slot)
            for slot in self._launching
            if slot not in ended
        ]
        return SweepReport(steps=(*self._steps, *pending), next_in=self._next_in)

    def _note(self, step: Step, level: int = logging.WARNING) -> None:
        self._steps.append(step)
        log.log(level, step.event, extra=step.facts)

    def _launch(self, slot: str) -> None:
        self._launching.append(slot)
        self._launcher.launch(slot, self._steps.append)

    def _check(self, check: Check) -> float:
        """Settle a slot whose machine is silent; return seconds to the next look."""
        try:
            machine = self._find(check)
        except MachineError as error:
            self._note(Step("check_failed", check.slot, reason=str(error)))
            if check.state != "busy":  # a lease that is over is evidence enough
                return _LOOK_AGAIN_IN
            machine = None
        if machine is not None and not check.machine_id:
            self._store.created(check.slot, machine.id)
            check = check._replace(machine_id=machine.id)
        more_time = _more_time(check, machine, self._settings)
        if more_time > 0:
            self._store.extend(check, more_time)
            self._note(Step("machine_late", check.slot, check.machine_id), logging.INFO)
            return more_time
        self._give_up(check, machine)
        return _LOOK_AGAIN_IN

    def _find(self, check: Check) -> Machine | None:
        if not check.machine_id:
            return self._own.of_slot(check.slot)
        try:
            machine = self._own.get(check.machine_id)
        except MachineNotFound:
            return None
        return machine if self._ownership(check.slot, machine) == "ours" else None

    def _ownership(self, slot: str, machine: Machine) -> Ownership:
        ownership = self._own.ownership(slot, machine)
        if ownership == "foreign":
            self._note(Step("machine_not_ours", slot, machine.id))
        return ownership

    def _give_up(self, check: Check, machine: Machine | None) -> None:
        """Have Redis decide that a machine is lost, and only then destroy it."""
        cause = cause_of(check, machine)
        is_gone = machine is not None and machine.is_gone
        loss = self._store.lose(
            check,
            envelope=self._sealed(check, cause),
            error=cause.error,
            kind=cause.kind,
            exit_code=cause.exit_code,
            gone=is_gone,
            failed_boot=_failed_boot(check, machine),
        )
        facts = (check.slot, check.machine_id, check.job_id)
        if not loss.is_lost:  # it was heard of while Fly was asked about it
            self._note(Step("machine_kept", *facts), logging.INFO)
            return
        self._note(Step("machine_lost", *facts, reason=cause.error))
        if machine is not None and not is_gone:
            self._destroy(check.slot, machine.id)
        if loss.slot:
            self._launch(loss.slot)
        if check.job_id and hooks.on_lost:
            self._tell_hooks(check, cause.kind)

    def _sealed(self, check: Check, cause: Cause) -> bytes:
        """Return the outcome of the job, in case it may not run again."""
        failure = pickling.Failure(kind=cause.kind, message=cause.error)
        body = pickling.dump_failure(failure)
        return self._codec.seal(
            body, kind=codec.OUTCOME, job_id=check.job_id, fence=check.fence
        )

    def _tell_hooks(self, check: Check, kind: str) -> None:
        """Call the hooks of `on_lost`, unless the job was over before its machine."""
        try:
            (seen,) = self._store.look(check.job_id)
        except StoreError:
            event = hooks.Event("caller", check.job_id)
        else:
            where, attempts = (
                (check.machine_id, kind),
                seen.info.attempts if seen else (),
            )
            lost = [one for one in attempts if (one.machine_id, one.outcome) == where]
            if seen is None or not lost:
                return
            event = hooks.Event.of_job(seen.info, lost[-1])
        event.kind = kind
        # Whatever a hook raises, the sweep goes on with the next machine.
        hooks.on_lost.fire(event, catch=BaseException)

    def _destroy_stray(self, stray: Stray) -> None:
        """Destroy what an earlier sweep could not."""
        machine_id = stray.machine_id
        try:
            if not machine_id:
                found = self._own.of_slot(stray.slot)
                if found is None:  # no list shows it yet, or it was never created
                    return
                machine_id = found.id
            elif not self._may_destroy(stray):
                return
        except MachineError as error:
            self._note(Step("check_failed", stray.slot, machine_id, reason=str(error)))
            return
        self._destroy(stray.slot, machine_id)

    def _may_destroy(self, stray: Stray) -> bool:
        """Say whether it is ours; if it certainly is not, never look again."""
        try:
            machine = self._own.get(stray.machine_id)
        except MachineNotFound:  # what Fly shows may be stale
            return True
        ownership = self._ownership(stray.slot, machine)
        if ownership == "foreign":
            self._store.strays.forget(stray.slot)
        return ownership == "ours"

    def _destroy(self, slot: str, machine_id: str) -> None:
        """Destroy a machine whose slot is free; if that fails, a later sweep does."""
        try:
            self._own.destroy(machine_id)
        except MachineError as error:
            self._note(Step("destroy_failed", slot, machine_id, reason=str(error)))
            return
        self._store.strays.forget(slot)
        self._note(Step("machine_destroyed", slot, machine_id), logging.INFO)


def _more_time(check: Check, machine: Machine | None, settings: Settings) -> float:
    """Return the seconds that a silent machine is given; 0 if it is given up.

    Only a state that is known as an end is evidence of an end: in any other the
    machine may still take a job.
    """
    if check.state in {"parked", "starting"}:
        return _time_of_parked(check, machine, settings)
    boot, age = settings.boot_timeout, check.age
    has_ended = machine is not None and machine.has_ended
    if check.state == "launching" and age < boot and not has_ended:
        # A lease that begins meanwhile must not end long before the next look.
        return min(max(_GRACE, boot - age), settings.lease_ttl)
    if machine is None or has_ended:
        return 0.0
    if check.state == "launching" and age <= 2 * boot:
        return min(boot / 2, settings.lease_ttl)
    if check.state == "idle" and age <= settings.max_lifetime:
        return settings.lease_ttl
    return 0.0


def _time_of_parked(check: Check, machine: Machine | None, settings: Settings) -> float:
    """Return the seconds until a look at a machine that is parked, or to be started.

    0 if it is given up. One that runs though it should stand still is paid for, and
    nobody would end it. A start may be refused for a while, with the machine shown as
    it was.
    """
    if machine is None or machine.is_gone:
        return 0.0
    state = machine.state
    if check.state == "starting":
        most = _STARTS_WITHIN if state in PARKED else settings.boot_timeout
        return max(0.0, min(most - check.age, settings.lease_ttl))
    if state in PARKED:
        return _UNTIL_IT_ENDS
    return _PARKS_WITHIN if state in _PARKS_SOON else 0.0


def _failed_boot(check: Check, machine: Machine | None) -> FailedBoot | None:
    """Return what follows for the pool from a machine that never took a job."""
    boot = boot_cause(check, machine)
    if boot is None:
        return None
    reason = describe(MachineError(boot.error), ANYBODY)
    return FailedBoot(reason, boot.is_permanent, _FIRST_HOLD, _MOST_FAILED_BOOTS)
