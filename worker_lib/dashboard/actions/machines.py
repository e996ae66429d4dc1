"""What people do with machines: stop or destroy one, and sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.client.client import default_client
from worker_lib.client.machine_acts import destroy_machine, stop_machine
from worker_lib.dashboard.filters import counted
from worker_lib.dashboard.registry import Action, Confirm, Done, Form, Line
from worker_lib.inspection import machines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.dashboard.registry import Kind
    from worker_lib.job import JobInfo
    from worker_lib.steps import Event, Step

__all__ = ["DESTROY", "STOP", "SWEEP"]

# What a person waits for; what is not launched by then goes on in the background.
_LAUNCH_WITHIN = 5.0
_OUTCOMES: Mapping[str, str] = {
    "queued": "waits for another machine",
    "running": "runs on another machine",
    "retrying": "is tried again later",
    "scheduled": "is due later",
    "succeeded": "had just succeeded",
    "cancelled": "is cancelled",
    "failed": "failed: it may not run twice",
}
_STEPS: Mapping[Event, str] = {
    "machine_created": "was created",
    "machine_started": "was started, it was parked",
    "machine_replaced": "could not be started; another takes its place",
    "machine_refused": "was refused by Fly",
    "launch_pending": "is being launched",
    "launch_delayed": "has to wait; a later sweep takes it up",
    "launch_unneeded": "is no longer needed",
    "launch_failed": "could not be launched",
    "machine_late": "is late, and was given more time",
    "machine_kept": "was heard of meanwhile",
    "machine_lost": "is lost; its jobs run again, or fail if they may not",
    "orphan_found": "is not known to Redis",
    "machine_destroyed": "was destroyed",
    "destroy_failed": "could not be destroyed; a later sweep tries again",
    "machine_not_ours": "is not ours, and was left alone",
    "check_failed": "could not be looked up; a later sweep tries again",
}
_BAD = frozenset({"launch_failed", "destroy_failed", "check_failed", "machine_refused"})


def _stop(form: Form) -> Done:
    return _done(form.target, "is stopped", stop_machine(form.target))


def _destroy(form: Form) -> Done:
    return _done(form.target, "is destroyed", destroy_machine(form.target))


def _done(machine_id: str, what: str, jobs: list[JobInfo]) -> Done:
    had = f"it had {counted(len(jobs), 'job')}" if jobs else "it had no job"
    lines = tuple(_outcome(info, machine_id) for info in jobs)
    return Done(f"Machine {machine_id} {what}; {had}.", lines=lines)


def _outcome(info: JobInfo, machine_id: str) -> Line:
    if info.status == "running" and info.machine_id == machine_id:
        text = "has not been let go of yet; a sweep will see to that"
        return Line("warn", info.task, text, job_id=info.id)
    kind: Kind = "bad" if info.status == "failed" else "good"
    text = _OUTCOMES.get(info.status, f"is {info.status}")
    return Line(kind, info.task, text, job_id=info.id)


def _before_stop(form: Form) -> Confirm:
    text = (
        f"Machine {form.target} is asked to end. It has {_jobs_on(form.target)} now: "
        "what it has is handed back and runs elsewhere, without an attempt being "
        "charged; what may not run twice fails."
    )
    return Confirm(text, "Stop machine")


def _before_destroy(form: Form) -> Confirm:
    text = (
        f"Machine {form.target} ends at once. It has {_jobs_on(form.target)} now: what "
        "it has is lost with it, and runs again from the beginning; what may not run "
        "twice fails. To have it handed back, stop the machine instead."
    )
    return Confirm(text, "Destroy machine")


def _jobs_on(machine_id: str) -> str:
    held = [len(one.job_ids) for one in machines() if one.machine_id == machine_id]
    return counted(sum(held), "job") if sum(held) else "no job"


def _sweep(_form: Form) -> Done:
    report = default_client().sweeper.sweep_and_reap(_LAUNCH_WITHIN)
    after = ""
    if report.next_in is not None and report.next_in >= 1.0:
        after = f" The next deadline is in {report.next_in:.0f} s."
    count = len(report.steps)
    text = f"Swept: {counted(count, 'thing')} done." if count else "Nothing was lost."
    return Done(text + after, "all pools", count, lines=tuple(map(_line, report.steps)))


def _line(step: Step) -> Line:
    name = f"Machine {step.machine_id}" if step.machine_id else f"Slot {step.slot}"
    kind: Kind = "bad" if step.event in _BAD else "good"
    return Line(kind, name, _STEPS.get(step.event, step.event), step.reason)


STOP = Action(name="stop-machine", run=_stop, confirm=_before_stop)
DESTROY = Action(name="destroy-machine", run=_destroy, confirm=_before_destroy)
SWEEP = Action(name="sweep", run=_sweep)
