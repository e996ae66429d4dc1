"""What holds for any bytes, any values and any policy."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.calls import pickling
from worker_lib.calls.codec import CALL, CODE, OUTCOME, Codec
from worker_lib.errors import SignatureMismatch
from worker_lib.retry import Retry

CODEC = Codec("s" * 32, "shop", max_bytes=1 << 20)
KINDS = st.sampled_from([CALL, CODE, OUTCOME])
IDS = st.text("0123456789abcdef", max_size=20)
BODIES = st.binary(max_size=300) | st.builds(
    lambda piece, times: piece * times, st.binary(max_size=40), st.integers(0, 2_000)
)
PLACES = st.tuples(KINDS, IDS, IDS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=10,
)


@given(BODIES, PLACES)
def test_any_body_comes_back_from_its_place(
    body: bytes, place: tuple[bytes, str, str]
) -> None:
    """Sealed and opened with the same words, it is unchanged."""
    kind, job, fence = place
    envelope = CODEC.seal(body, kind=kind, job_id=job, fence=fence)

    assert body == CODEC.open(envelope, kind=kind, job_id=job, fence=fence)


@given(st.binary(max_size=50), PLACES, PLACES)
def test_no_body_comes_back_from_another_place(
    body: bytes, place: tuple[bytes, str, str], other: tuple[bytes, str, str]
) -> None:
    """Kind, job and fence are told apart, wherever one ends and the next begins."""
    kind, job, fence = place
    envelope = CODEC.seal(body, kind=kind, job_id=job, fence=fence)
    if place != other:
        with pytest.raises(SignatureMismatch):
            CODEC.open(envelope, kind=other[0], job_id=other[1], fence=other[2])


@given(st.binary(max_size=200))
def test_no_bytes_of_a_stranger_are_opened(envelope: bytes) -> None:
    """Whatever was planted, it is refused as what it is."""
    with pytest.raises(SignatureMismatch):
        CODEC.open(envelope, kind=CALL, job_id="j1")


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.text(max_size=5), VALUES))
def test_any_arguments_and_values_come_back(
    args: list[Any], kwargs: dict[str, Any]
) -> None:
    """Plain data survives the way there and the way back."""
    call = pickling.Call(tuple(args), kwargs, None)

    assert call == pickling.load_call(pickling.whole(pickling.dump_call("m:f", call)))
    body = pickling.whole(pickling.dump_value(args))
    assert (True, args) == pickling.load_outcome(body, "j1")


@given(st.text(), st.text(), st.binary(max_size=50))
def test_any_failure_can_be_told(message: str, trace: str, pickled: bytes) -> None:
    """Surrogates, length and broken pickles never keep a failure from the caller."""
    failure = pickling.Failure("error", message, "shop.Gone", trace)
    good, error = pickling.load_outcome(pickling.dump_failure(failure), "j1")

    assert not good
    assert isinstance(error, Exception)
    str(error).encode()


@given(
    attempt=st.integers(1, 10**6),
    backoff=st.floats(0, 1e6),
    factor=st.floats(1, 1e300),
    longest=st.floats(0, 1e6),
    seed=st.integers(0, 2**32),
)
def test_any_wait_is_within_its_bounds(
    attempt: int, backoff: float, factor: float, longest: float, seed: int
) -> None:
    """Never longer than the longest, never under half of what it would be."""
    words = {"backoff": backoff, "factor": factor, "max_backoff": longest}
    plain = Retry(**words, jitter=False)  # type: ignore[arg-type]  # all are floats
    whole = plain.delay(attempt)
    drawn = Retry(**words).delay(attempt, random.Random(seed))  # type: ignore[arg-type]

    assert 0 <= whole <= longest
    assert whole / 2 <= drawn <= whole * (1 + sys.float_info.epsilon)
    assert whole <= plain.delay(attempt + 1)
