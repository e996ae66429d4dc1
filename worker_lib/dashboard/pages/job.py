"""One job: where its time went, why it failed, what it printed, what it cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.client.client import default_client
from worker_lib.client.output import printed
from worker_lib.dashboard.registry import Download, File, Page, Query
from worker_lib.errors import BatchNotFound, ConfigError, PayloadError
from worker_lib.inspection import as_document
from worker_lib.job import FINAL, WAITING
from worker_lib.store.keys import batch_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.job import Attempt, JobInfo

__all__ = ["LOG", "PAGE"]

# What a page shows of a log; the file has all of it.
_MOST_CHARACTERS = 100_000


def load(query: Query) -> dict[str, Any]:
    """Read the page: three commands, and one for its batch.

    Raises:
        JobNotFound: Redis has no such job.
    """
    job_id = query["id"]
    info = default_client().look(job_id).info
    now = max(time.time(), info.created_at)
    phases = inspection.timeline(info, now)
    preview = inspection.previews([job_id])[0]
    plain = inspection.plain_arguments(preview.args)
    return {
        "job": as_document(info),
        "is_final": info.final,
        "can_retry": info.status in FINAL - {"succeeded"},
        "can_edit": info.status in WAITING,
        "attempts": [_attempt(one, info) for one in reversed(info.attempts)],
        "phases": as_document(phases),
        "whole_s": sum(phase.seconds for phase in phases),
        "cost_usd": inspection.job_cost(info, now),
        "preview": as_document(preview),
        "plain_arguments": plain and plain.as_json(),
        "batch": _batch(job_id),
        "log": _log(info, query.get("attempt", "")),
    }


def _attempt(attempt: Attempt, info: JobInfo) -> dict[str, Any]:
    end = attempt.ended_at
    return {
        **as_document(attempt),
        "ran_s": None if end is None else max(0.0, end - attempt.started_at),
        "cost_usd": inspection.attempt_cost(attempt, info.size, time.time()),
        "why": as_document(inspection.explain(attempt, info.size)),
    }


def _batch(job_id: str) -> dict[str, Any] | None:
    batch_id = batch_of(job_id)
    if not batch_id:
        return None
    try:
        seen = default_client().batches.look(batch_id)
    except BatchNotFound:
        return {"id": batch_id, "is_known": False}
    return {
        "id": batch_id,
        "is_known": True,
        "total": seen.total,
        "stored": seen.stored,
        "ended": seen.ended,
        "counts": seen.counts,
    }


def _log(info: JobInfo, attempt: str) -> dict[str, Any]:
    """Return the end of what it printed, or why that is not to be shown."""
    if not info.attempts:
        return {"text": "", "attempt": None, "cut": 0, "trouble": ""}
    number = int(attempt) if attempt.isascii() and attempt.isdigit() else None
    try:
        text = _printed(info, number)
    except (PayloadError, ConfigError) as error:
        return {"text": "", "attempt": number, "cut": 0, "trouble": str(error)}
    cut = max(0, len(text) - _MOST_CHARACTERS)
    return {"text": text[cut:], "attempt": number, "cut": cut, "trouble": ""}


def _printed(info: JobInfo, attempt: int | None) -> str:
    client = default_client()
    return printed(client.codec, info, client.store.output(info.id), attempt)


def load_log(query: Query) -> File:
    """Return all that a job has printed, or one of its attempts."""
    info = default_client().look(query["id"]).info
    attempt = query.get("attempt", "")
    number = int(attempt) if attempt.isascii() and attempt.isdigit() else None
    text = _printed(info, number) if info.attempts else ""
    part = f"-{number}" if number else ""
    return File(f"{info.id}{part}.log", (text.encode(),))


def _title(document: Mapping[str, Any]) -> str:
    job = document["job"]
    return f"{job['task'].rpartition(':')[2]} {job['id']}"


PAGE = Page(
    slug="job",
    title="Job",
    load=load,
    rule="jobs/<id>",
    parent="jobs",
    title_of=_title,
)
LOG = Download(slug="job-log", rule="jobs/<id>/log.txt", load=load_log)
