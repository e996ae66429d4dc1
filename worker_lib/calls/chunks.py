"""Chunks: calls of one task that travel and run as one job, an outcome for each.

`Call.items` says how many; `Call.args` is then a list of their argument tuples. The
value of such a job is a list: (True, value) or (False, the parts of a `Failure`) for
each call, in the same order.
"""

from __future__ import annotations

from worker_lib.calls import pickling
from worker_lib.errors import PayloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    from worker_lib.calls.pickling import Body, Call

    Outcomes: TypeAlias = list[tuple[bool, Any]]

__all__ = ["dump_value", "load_value", "run"]


def run(
    call: Call,
    run_one: Callable[..., Any],
    has_retry: Callable[[Exception], bool],
) -> Outcomes:
    """Run each call of a chunk, also after one that failed; return their outcomes.

    What is no `Exception`, as when the attempt must end, ends them all.

    Args:
        call: The chunk.
        run_one: Takes the arguments of one call.
        has_retry: Says whether another attempt follows after this exception.

    Raises:
        Exception: the first that has one; the whole chunk runs again.
    """
    outcomes: Outcomes = []
    again: Exception | None = None
    for args in call.args:
        try:
            outcomes.append((True, run_one(*args)))
        except Exception as error:  # noqa: BLE001 - whatever the task raised
            outcomes.append((False, tuple(pickling.describe(error))))
            if again is None and has_retry(error):
                again = error
    if again is not None:
        raise again
    return outcomes


def dump_value(outcomes: Outcomes, task: str) -> Body:
    """Return a chunk's outcomes as bytes; a value that cannot be pickled is a failure.

    Args:
        outcomes: As `run` returned them.
        task: Its name, for such a failure.
    """
    try:
        return pickling.dump_value(outcomes, task)
    except PayloadError:
        return pickling.dump_value([_storable(one, task) for one in outcomes], task)


def load_value(outcomes: Sequence[tuple[bool, Any]], job_id: str) -> Outcomes:
    """Return (True, value) or (False, exception to raise) for each call of a chunk."""
    return [
        (good, told if good else pickling.rebuild(pickling.Failure(*told), job_id))
        for good, told in outcomes
    ]


def _storable(outcome: tuple[bool, Any], task: str) -> tuple[bool, Any]:
    good, value = outcome
    if good:
        try:
            pickling.dump_value(value, task)
        except PayloadError as error:
            return False, tuple(pickling.describe(error))
    return outcome
