"""Latencies as people write them."""

from __future__ import annotations

import pytest

from worker_lib.errors import ConfigError
from worker_lib.fly.latencies import FLY, Latencies


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fly", FLY),
        ("start=0.5", Latencies(start=0.5)),
        ("pull=1m, boot=300ms", Latencies(pull=60.0, boot=0.3)),
        ("create=9,fly", FLY),
    ],
)
def test_latencies_are_read(text: str, expected: Latencies) -> None:
    """Fly's, single ones, or both: the later wins."""
    assert expected == Latencies.parse(text)


def test_a_single_latency_changes_fly_s() -> None:
    """All others stay as they are."""
    changed = Latencies.parse("fly,pull=90")

    assert (90.0, FLY.resume) == (changed.pull, changed.resume)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "unknown latency ''"),
        ("resum=1", "did you mean 'resume'?"),
        ("pull", "write pull=2s"),
        ("pull=soon", "pull='soon' is not a duration"),
        ("pull=-1", "pull='-1' is not a duration"),
    ],
)
def test_a_wrong_latency_is_refused(text: str, told: str) -> None:
    """The error names it, and the remedy."""
    with pytest.raises(ConfigError) as caught:
        Latencies.parse(text)

    assert told in str(caught.value)
