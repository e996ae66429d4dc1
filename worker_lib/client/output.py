"""What a job has printed, verified and put together for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.client.outcomes import open_output
from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    numbers = {str(one.fence): one.number for one in info.attempts}
    chosen = [one for one in output if attempt in {None, numbers.get(one[0])}]
    texts = open_output(codec_, info.id, chosen)
    if attempt is not None or len(info.attempts) == 1:
        return "".join(texts)
    return "".join(
        f"--- attempt {numbers.get(fence, '?')} ---\n{_ended(text)}"
        for (fence, _), text in zip(chosen, texts, strict=True)
    )


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
