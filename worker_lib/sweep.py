"""One look at what is overdue: what is put right, and what is left alone.

It acts on positive evidence only: a lease that expired by Redis's clock for the job,
the machine's own record at Fly for the machine; never on a list it is not in. Redis
decides, in one script, that a machine is lost; only then is it destroyed.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from worker_lib import hooks
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
from worker_lib.logs import get_logger
from worker_lib.steps import Step
from worker_lib.store.replies import FailedBoot, Stray
from worker_lib.trouble import ANYBODY, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.launcher import Launcher
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings
    from worker_lib.steps import Event
    from worker_lib.store.replies import Check
    from worker_lib.store.store import Store

__all__ = ["Sweep", "SweepReport"]

log = get_logger("sweeper")

# Who is just renewing its lease gets the chance.
_GRACE = 0.25
# Seconds until the next look at what could not be settled now.
_LOOK_AGAIN_IN = 2.0
# Far beyond what the clocks of Fly's hosts and of Redis may differ by.
_ORPHAN_AFTER = 600.0
# How long the pool of a machine that never took a job waits for the next one, doubled
# each time; and after how many in a row there is no next one until a new call.
_FIRST_HOLD = 5.0
_MOST_FAILED_BOOTS = 5


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
        launcher: Launches what is owed; its API client looks and destroys.
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
        self._owners = owners(settings.namespace, settings.secret, settings.old_secret)
        self._steps: list[Step] = []
        self._handed_on: list[str] = []
        self._next_in: float | None = None

    def take_up_overdue(self) -> None:
        """Launch, look at and destroy what is due by Redis's clock.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        found = self._store.sweep()
        for stray in found.strays:
            self._look_for(stray)
        waits = [self._check(check) for check in found.checks]
        for slot in found.launches:
            self._launch(slot)
        # What was done just now has set new deadlines.
        soon = [_LOOK_AGAIN_IN if wait is None else wait for wait in waits]
        soon += [self._settings.lease_ttl] if found.launches else []
        if found.next_in is not None:
            self._next_in = min(found.next_in, *soon) if soon else found.next_in

    def has_lost_any(self) -> bool:
        """Say whether a machine was given up."""
        return any(step.event == "machine_lost" for step in self._steps)

    def report(self) -> SweepReport:
        """Return what was done up to now."""
        ended = {step.slot for step in self._steps}
        pending = [
            Step("launch_pending", slot)
            for slot in self._handed_on
            if slot not in ended
        ]
        return SweepReport(steps=(*self._steps, *pending), next_in=self._next_in)

    def _note(self, step: Step, level: int = logging.WARNING) -> None:
        self._steps.append(step)
        log.log(level, step.event, extra=step.facts)

    def _launch(self, slot: str) -> None:
        self._handed_on.append(slot)
        self._launcher.launch(slot, self._steps.append)

    def _check(self, check: Check) -> float | None:
        """Decide on a slot that is silent: its machine is late, or lost.

        Returns:
            Seconds until it is looked at again; None if it was lost.
        """
        machine = None
        try:
            machine = self._find(check)
        except MachineError as error:
            self._note(Step("check_failed", check.slot, reason=str(error)))
            if check.state != "busy":
                return _LOOK_AGAIN_IN
        if machine is not None and not check.machine_id:
            self._store.created(check.slot, machine.id)
            check = check._replace(machine_id=machine.id)
        patience = self._patience_with(check, machine)
        if patience > 0:
            self._store.extend(check, patience)
            self._steps.append(Step("machine_late", check.slot, check.machine_id))
            return patience
        return None if self._lose(check, machine) else _LOOK_AGAIN_IN

    def _find(self, check: Check) -> Machine | None:
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
        self._note(Step("machine_not_ours", slot, machine.id))
        return False

    def _search(self, slot: str) -> Machine | None:
        """Return the machine of a slot by its name; one that is gone if need be."""
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
            self._note(Step("machine_kept", check.slot), logging.INFO)
            return False
        self._note(
            Step(
                "machine_lost",
                check.slot,
                check.machine_id,
                job_id=check.job_id,
                reason=error,
            )
        )
        if machine is not None and not gone:
            self._destroy(Stray(check.slot, machine.id))
        if loss.slot:
            self._launch(loss.slot)
        if check.job_id and hooks.on_lost:
            self._tell_hooks(check, kind)
        return True

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

    def _look_for(self, stray: Stray) -> None:
        """Destroy what an earlier sweep could not."""
        if stray.machine_id:
            try:
                machine = self._launcher.api.get_machine(stray.machine_id)
            except MachineNotFound:  # a list or its host may be behind
                pass
            except MachineError as error:
                step = Step("check_failed", stray.slot, stray.machine_id)
                self._note(step._replace(reason=str(error)))
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
        machine_id = stray.machine_id
        try:
            if not machine_id:
                found = self._search(stray.slot)
                if found is None:  # no list shows it yet, or it never came
                    return
                machine_id = found.id
            self._launcher.api.destroy_machine(machine_id)
        except MachineError as error:
            step = Step("destroy_failed", stray.slot, machine_id, reason=str(error))
            self._note(step)
            return
        self._store.forget_stray(stray.slot)
        self._note(Step("machine_destroyed", stray.slot, machine_id), logging.INFO)

    def reap(self) -> None:
        """Destroy machines whose slot nobody knows, once they are old enough."""
        try:
            slots = self._machines_by_slot()
        except MachineError as error:
            self._note(Step("check_failed", reason=str(error)))
            return
        now, unknown = self._store.orphans([*slots])
        for slot in unknown:
            machine = slots[slot]
            if now - _born(machine) > _ORPHAN_AFTER + self._settings.boot_timeout:
                self._note(Step("orphan_found", slot, machine.id))
                self._store.remember_stray(slot, machine.id)
                self._destroy(Stray(slot, machine.id))

    def _machines_by_slot(self) -> dict[str, Machine]:
        """Return our machines, those made under the old secret among them."""
        listed = self._launcher.api.list_machines(
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
    reason = describe(MachineError(boot.error), ANYBODY)
    return FailedBoot(reason, boot.is_permanent, _FIRST_HOLD, _MOST_FAILED_BOOTS)


def _born(machine: Machine) -> float:
    """Return when the machine was created, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(machine.created_at).timestamp()
    except ValueError:  # unknown, so never old enough
        return float("inf")
