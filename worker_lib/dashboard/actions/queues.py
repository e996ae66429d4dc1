"""What people do with queues: pause, resume and empty them."""

from __future__ import annotations

from worker_lib.client.queues import Queue
from worker_lib.dashboard.filters import counted
from worker_lib.dashboard.registry import Action, Confirm, Done, Form

__all__ = ["PAUSE", "PURGE", "RESUME"]

# A browser waits no longer than half a minute for an answer.
_PURGE_SECONDS = 20.0


def _pause(form: Form) -> Done:
    queue = Queue(form.target)
    queue.pause()
    text = f"Queue {queue.name} is paused: what runs goes on, what waits stays."
    return Done(text, total=queue.waiting)


def _resume(form: Form) -> Done:
    queue = Queue(form.target)
    queue.resume()
    waiting = queue.waiting
    return Done(f"Queue {queue.name} is open: {_jobs_wait(waiting)}.", total=waiting)


def _purge(form: Form) -> Done:
    queue = Queue(form.target)
    count = queue.purge(within=_PURGE_SECONDS)
    text = f"Cancelled {counted(count, 'job')} that waited in queue {queue.name}."
    left = queue.waiting
    if left:
        text += f" {_jobs_wait(left).capitalize()} still: empty it again."
    return Done(text, total=count)


def _before_purge(form: Form) -> Confirm:
    queue = Queue(form.target)
    text = (
        f"Every job that waits in queue {queue.name} is cancelled, also what is due "
        f"later or tried again: {_jobs_wait(queue.waiting)} now. What runs goes on. "
        "Cancelled jobs can be run again while they are kept."
    )
    return Confirm(text, f"Empty queue {queue.name}", queue.name)


def _jobs_wait(count: int) -> str:
    return f"{counted(count, 'job')} wait{'s' if count == 1 else ''}"


PAUSE = Action(name="pause-queue", run=_pause)
RESUME = Action(name="resume-queue", run=_resume)
PURGE = Action(name="purge-queue", run=_purge, confirm=_before_purge)
