"""What jobs were called with and what they returned, as text that was signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker_lib.calls.codec import CALL, OUTCOME, Codec, call_place
from worker_lib.client.client import default_client
from worker_lib.errors import SignatureMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.store.views import SealedCall

__all__ = ["Preview", "previews"]

# To verify a preview, all that is signed with it is read.
_MOST_BYTES = 1 << 16
_FORGED = "[not signed with our secret]"


class Preview(NamedTuple):
    """A job's arguments and result as text, without what looked like a secret.

    Attributes:
        args: None if there are none to show: the task's `preview=False`, a call of an
            earlier release, one of more than 64 KB, or Redis no longer has it.
        result: None likewise, or before the job has succeeded.
    """

    args: str | None = None
    result: str | None = None


def previews(job_ids: Sequence[str]) -> list[Preview]:
    """Return the previews of some jobs, in one command; nothing is unpickled.

    What is not signed with our secret is not shown, but told.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    if not job_ids:
        return []
    client = default_client()
    calls = client.store.views.calls(job_ids, _MOST_BYTES)
    return [
        _preview(client.codec, job_id, call) if call else Preview()
        for job_id, call in zip(job_ids, calls, strict=True)
    ]


def _preview(codec: Codec, job_id: str, call: SealedCall) -> Preview:
    outcome = call.outcome
    if call.status == "succeeded" and outcome and outcome.envelope:
        text = _text(codec, OUTCOME, job_id, outcome.fence, outcome.envelope)
        args, found, result = (text or "").partition("\0")
        return Preview(args, result) if found else Preview(text, None)
    if not call.call:
        return Preview()
    place = call_place(
        call.code or call.task,
        pool=call.pool,
        timeout=call.timeout,
        policy=call.policy,
    )
    return Preview(_text(codec, CALL, job_id, place, call.call))


def _text(
    codec: Codec, kind: bytes, job_id: str, fence: str, envelope: bytes
) -> str | None:
    try:
        text = codec.preview(envelope, kind=kind, job_id=job_id, fence=fence)
    except SignatureMismatch:
        return _FORGED
    return None if text is None else text.decode("utf-8", "replace")
