"""Why a machine is gone, told from Fly's own record of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker_lib.fly import exits
from worker_lib.fly.naming import machine_name

if TYPE_CHECKING:
    from worker_lib.errors import FailureKind
    from worker_lib.machines.types import ExitEvent, Machine
    from worker_lib.store.replies import Check

__all__ = ["BootCause", "Cause", "boot_cause", "cause_of", "failed_boot"]

_MAX_WORDS = 200


class Cause(NamedTuple):
    """Why a machine is gone.

    Attributes:
        kind: As `JobFailed.kind`.
        error: One sentence.
        exit_code: Of its exit event; None if Fly has none.
    """

    kind: FailureKind
    error: str
    exit_code: int | None = None


class BootCause(NamedTuple):
    """A machine that was launched and never took a job, and why.

    Attributes:
        error: One sentence, with the remedy where one is known.
        is_permanent: The next machine will fail in the same way.
    """

    error: str
    is_permanent: bool = False


def cause_of(check: Check, machine: Machine | None) -> Cause:
    """Return why the machine is gone, from its own exit event if Fly still has it.

    Source: Machines API, "Get a Machine", `events[].request.exit_event`.
    """
    who = f"machine {check.machine_id or machine_name(check.slot)}"
    if check.state == "parked":
        state = machine.state if machine is not None else "unknown"
        return Cause("lost", f"{who} did not stay parked: its state is {state}")
    event = machine.exit_event if machine is not None else None
    if event is not None and event.oom_killed:
        return Cause("out_of_memory", f"{who} ran out of memory", event.exit_code)
    if event is not None and not event.requested_stop:
        text = f"{who} ended with exit code {event.exit_code}"
        return Cause("lost", text, event.exit_code)
    return Cause("lost", f"{who} was not heard of for longer than its lease")


def boot_cause(check: Check, machine: Machine | None) -> BootCause | None:
    """Return why a machine never took a job; None if that tells nothing of the next.

    That is so where it was stopped by request, and where none was made at all, as the
    process that launched it has died.
    """
    if check.state != "launching" or not check.machine_id:
        return None
    who = f"machine {check.machine_id}"
    event = machine.exit_event if machine is not None else None
    if machine is None or not (machine.has_ended or event):
        state = f" (its state is {machine.state})" if machine is not None else ""
        return BootCause(
            f"{who} took no job within {check.age:.0f} s of its launch{state}"
        )
    if event is None:
        image = machine.config.get("image", "")
        return BootCause(
            f"{who} could not be started: check that the image {image} exists and "
            "that the tasks app may pull it"
        )
    if event.requested_stop:
        return None
    is_known = bool(exits.meaning(event.exit_code)) and not event.oom_killed
    return BootCause(
        failed_boot(machine, event),
        is_permanent=is_known and event.exit_code != exits.REDIS_UNREACHABLE,
    )


def failed_boot(machine: Machine, event: ExitEvent) -> str:
    """Return how a machine ended that took no job: what it means, what it said."""
    if event.oom_killed:
        why = "ran out of memory before it took a job: raise memory_mb"
        return f"machine {machine.id} {why}"
    meaning, said = exits.meaning(event.exit_code), _last_words(machine)
    return (
        f"machine {machine.id} ended with exit code {event.exit_code} before it took "
        "a job"
        + (f": {meaning}" if meaning else "")
        + (f"; it said: {said}" if said else "")
    )


def _last_words(machine: Machine) -> str:
    """Return the line that the machine left in its metadata; any machine may lie."""
    said = machine.metadata.get(exits.METADATA_EXIT_MESSAGE, "")
    return "".join(filter(str.isprintable, str(said)))[:_MAX_WORDS]
