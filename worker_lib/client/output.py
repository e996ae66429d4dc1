"""What a job has printed, verified and put together for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.calls import codec
from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker_lib.calls.codec import Codec
    from worker_lib.job import JobInfo

__all__ = ["printed"]


def printed(
    codec_: Codec,
    info: JobInfo,
    output: Sequence[tuple[str, bytes]],
    attempt: int | None,
) -> str:
    """Return what the attempts of a job have printed, or one of them.

    Args:
        codec_: Verifies what machines have signed.
        info: The job.
        output: Fence and sealed output of each attempt that printed something.
        attempt: Its number, from 1; None for all, each under a line that names it if
            there were several.

    Raises:
        ConfigError: it has had no such attempt.
        SignatureMismatch: a machine of ours did not print that.
    """
    if attempt is not None and all(one.number != attempt for one in info.attempts):
        remedy = f"it has had {len(info.attempts)}, counted from 1"
        problem = f"job {info.id} has had no attempt {attempt!r}"
        raise ConfigError(Problem(problem, remedy, "attempt"))
    texts = [
        (number, codec_.open(sealed, kind=codec.OUTPUT, job_id=info.id, fence=fence))
        for number, fence, sealed in _numbered(info, output)
        if attempt in {None, number}
    ]
    if attempt is not None or len(info.attempts) == 1:
        return "".join(_text(text) for _, text in texts)
    return "".join(f"--- attempt {number} ---\n{_line(text)}" for number, text in texts)


def _numbered(
    info: JobInfo, output: Sequence[tuple[str, bytes]]
) -> Iterator[tuple[int, str, bytes]]:
    """Yield the number of its attempt with each output."""
    numbers = {str(one.fence): one.number for one in info.attempts}
    for fence, sealed in output:
        yield numbers.get(fence, 0), fence, sealed


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")


def _line(body: bytes) -> str:
    text = _text(body)
    return text if text.endswith("\n") else f"{text}\n"
