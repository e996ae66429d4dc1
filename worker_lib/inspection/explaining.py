"""How an attempt ended, in plain words, and what a person may do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from worker_lib.job import Attempt

__all__ = ["Explanation", "explain"]

_SIGNALS = {
    4: "an illegal instruction: code built for another kind of processor",
    6: "an abort, as C code does when a check of its own fails",
    7: "a bus error, as by a file that became shorter while it was mapped",
    8: "an arithmetic error in C code",
    9: "SIGKILL, from outside or from the kernel, mostly for want of memory",
    11: "a segmentation fault: C code used memory that is not its own",
    15: "SIGTERM from within the job, or from a process beside it",
}


class Explanation(NamedTuple):
    """How an attempt ended.

    Attributes:
        title: Some words.
        text: What that means, a sentence.
        remedy: What to do, a sentence or two; "" if nothing has to be done.
    """

    title: str
    text: str
    remedy: str = ""


_PLAIN = {
    "running": Explanation("Running", "It runs."),
    "succeeded": Explanation("Succeeded", "The task returned."),
    "cancelled": Explanation("Cancelled", "Somebody cancelled it while it ran."),
    "released": Explanation(
        "Handed back",
        "Its machine had to stop and gave the job back; it waits for another one, "
        "and no attempt is charged.",
    ),
    "error": Explanation(
        "Raised an error",
        "The task raised an exception.",
        "The traceback shows where. Correct the code or the arguments, then run it "
        "again.",
    ),
    "timeout": Explanation(
        "Timed out",
        "The attempt ran longer than the task's timeout and was ended.",
        "Raise timeout=, or see in the log what took so long: a call to another "
        "service without a time limit is the usual reason.",
    ),
    "lost": Explanation(
        "Machine lost",
        "Its machine vanished, or was stopped from outside, before the task was done.",
        "Nothing is known to be wrong with the task. If it happens often to this one, "
        "it may use up the machine's memory; see the machine's last exits.",
    ),
    "exit": Explanation(
        "Process ended",
        "The task ended its own process instead of returning.",
        "Look for sys.exit() or os._exit() in the task, or in a library that it uses; "
        "raise an exception instead.",
    ),
    "not_started": Explanation(
        "Not started",
        "The machine could not start a process for the task; it did not run.",
        "The image may lack something, or memory_mb= is too small for Python itself. "
        "worker-lib doctor examines the setup.",
    ),
    "refused": Explanation(
        "Could not be loaded",
        "The machine could not load the function or its arguments; it did not run.",
        "Deploy the image that has this code, or check that the app and its machines "
        "have the same Python and WORKER_LIB_SECRET.",
    ),
}
_REMEDY = "Its error and its log may say more."


def explain(attempt: Attempt, size: str = "") -> Explanation:
    """Return how an attempt ended, in plain words.

    Args:
        attempt: Of any job.
        size: Of its machine, as `JobInfo.size`.
    """
    if attempt.outcome == "out_of_memory":
        return _out_of_memory(attempt, size)
    if attempt.outcome == "signal":
        return _signal(-(attempt.exit_code or 0))
    unknown = Explanation(attempt.outcome or "Ended", "It ended.", _REMEDY)
    return _PLAIN.get(attempt.outcome, unknown)


def _out_of_memory(attempt: Attempt, size: str) -> Explanation:
    used = f", {attempt.peak_mb:,.0f} MB at most" if attempt.peak_mb else ""
    machine = f" of {size}" if size else ""
    return Explanation(
        "Out of memory",
        f"The task needed more memory than its machine{machine} has{used}.",
        "Raise memory_mb=, or read and write the data in parts.",
    )


def _signal(number: int) -> Explanation:
    known = _SIGNALS.get(number)
    return Explanation(
        "Crashed",
        "The task's process was ended by a signal"
        + (f", {number}" if number else "")
        + (f": {known}." if known else "."),
        "The last lines of its log may show where, as Python prints a traceback at a "
        "crash. Update the library with C code that the task was in, or change what "
        "it is given.",
    )
