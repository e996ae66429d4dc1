"""What a task can ask while it runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from worker_lib import context
from worker_lib.context import CurrentJob, current_job

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def reports() -> Iterator[list[str]]:
    """Enter a job; return what it reports."""
    told: list[str] = []
    context.enter(CurrentJob("j1", 2, "mod:fn", told.append))
    yield told
    context.enter(None)


def test_a_plain_call_gets_a_stand_in_that_keeps_quiet() -> None:
    """A task can be called and tested as a function."""
    job = current_job()
    job.progress(1, 2, "halfway")

    assert ("", 1, "") == (job.id, job.attempt, job.task)


def test_a_running_job_knows_its_id_and_attempt(reports: list[str]) -> None:
    """The id is the same for all attempts: fit for an idempotency key."""
    assert ("j1", 2, "mod:fn") == (
        current_job().id,
        current_job().attempt,
        current_job().task,
    )
    assert "<CurrentJob j1 attempt 2>" == repr(current_job())


def test_progress_travels_as_json_that_any_bytes_survive(reports: list[str]) -> None:
    """Even half a surrogate pair in a message reaches Redis."""
    current_job().progress(1, None, "caf\u00e9 \ud800")

    assert reports[0].isascii()
    assert {"done": 1, "total": None, "message": "caf\u00e9 \ud800"} == json.loads(
        reports[0]
    )


def test_a_long_message_is_cut(reports: list[str]) -> None:
    """A progress line is a line."""
    current_job().progress(1, message="x" * 10_000)

    assert 500 == len(json.loads(reports[0])["message"])


@pytest.mark.parametrize(
    ("done", "total"),
    [(float("nan"), None), (1.0, float("inf")), (float("-inf"), 2.0)],
)
def test_numbers_that_json_has_no_word_for_are_refused(
    done: float, total: float | None, reports: list[str]
) -> None:
    """The sentence shows both numbers, and nothing is reported."""
    with pytest.raises(ValueError, match="numbers must be finite"):
        current_job().progress(done, total)

    assert [] == reports
