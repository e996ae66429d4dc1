"""How an attempt ended: as the child tells it, or as the child's own end does."""

from __future__ import annotations

from worker_lib.runtime.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NamedTuple, TypeAlias

    from worker_lib.errors import FailureKind
    from worker_lib.runtime.output import Kept
    from worker_lib.runtime.process import Death

    Status: TypeAlias = Literal[
        "succeeded", "failed", "forgotten", "dropped", "released"
    ]
else:
    from worker_lib.records import NamedTuple

__all__ = ["Ended", "died", "told"]


class Ended(NamedTuple):
    """How an attempt ended.

    Attributes:
        status: `succeeded` or `failed`; `forgotten` if the child lacks the code, and
            has run nothing; `dropped` if the job is no longer ours, `released` if the
            machine must stop.
        kind: As `JobFailed.kind`; None if it did not fail.
        error: One line.
        retry: Whether the task's policy retries after this exception.
        envelope: Signed outcome; b"" if the child could not make it.
        code_kept: Whether the child keeps the code of this job's function.
        exit_code: Of the child, if it ended: below zero the number of a signal.
        usage: What it used.
        printed: What it printed; None if nothing ran.
        trace: Traceback of what it raised, or "".
    """

    status: Status
    kind: FailureKind | None = None
    error: str = ""
    retry: bool = False
    envelope: bytes = b""
    code_kept: bool = False
    exit_code: int | None = None
    usage: Usage = Usage()
    printed: Kept | None = None
    trace: str = ""


def told(frame: list[bytes], printed: Kept) -> Ended:
    """Return the end of an attempt that the child told of."""
    status, kind, error, retry, envelope, usage, kept = frame
    how: Any = status.decode()
    why: Any = kind.decode() or None
    used = Usage.unpacked(usage)
    line, _, trace = error.decode().partition("\n")
    # In order, since names would cost as much again as all the rest.
    return Ended(
        *(how, why, line, bool(retry), envelope, bool(kept), None, used, printed, trace)
    )


def died(death: Death, printed: Kept | None = None) -> Ended:
    """Return the end of an attempt whose process has ended."""
    return Ended(
        "failed",
        death.kind,
        death.error,
        exit_code=death.exit_code,
        usage=death.usage,
        printed=printed,
    )
