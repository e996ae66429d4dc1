"""The sentence that refuses a name."""

from __future__ import annotations

from worker_lib.suggestions import unknown_name

KNOWN = {"queue", "timeout", "retry"}


def test_a_typing_error_is_answered_with_the_nearest_name() -> None:
    """Who mistyped a name is told which one was meant."""
    assert (
        unknown_name("option", "timout", KNOWN)
        == "unknown option 'timout': did you mean 'timeout'?"
    )


def test_a_name_like_no_other_is_answered_with_all_names() -> None:
    """Where nothing is near, all that is known is listed in order."""
    assert (
        unknown_name("option", "xyz", KNOWN)
        == "unknown option 'xyz': known are queue, retry, timeout"
    )
