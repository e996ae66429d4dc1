"""Loggers of a job: its id and attempt in every record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from worker_lib import context, current_job
from worker_lib.job_logs import JobFilter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _in_a_job() -> Iterator[None]:
    context.enter(context.CurrentJob("j1", 2, "shop.orders:pay", lambda _text: None))
    yield
    context.enter(None)


@pytest.mark.usefixtures("_in_a_job")
def test_the_logger_of_a_job_tells_which_job_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With what the call adds; a plain call has the id ""."""
    current_job().log.warning("refused", extra={"order": 7})
    context.enter(None)
    current_job().log.warning("in a plain call")

    first, second = caplog.records
    assert ("shop.orders", "refused") == (first.name, first.getMessage())
    assert {"job_id": "j1", "attempt": 2, "order": 7}.items() <= vars(first).items()
    assert {"job_id": "", "attempt": 1}.items() <= vars(second).items()


@pytest.mark.usefixtures("_in_a_job")
def test_a_filter_adds_it_to_records_of_all_loggers() -> None:
    """But for what they carry themselves."""
    record = logging.makeLogRecord({"attempt": 9})

    assert JobFilter().filter(record)
    assert {"job_id": "j1", "attempt": 9}.items() <= vars(record).items()
