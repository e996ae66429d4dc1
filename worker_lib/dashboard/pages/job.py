"""One job: where its time went, why it failed, what it printed, what it cost."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.client.client import default_client
from worker_lib.client.cloning import task_at_hand
from worker_lib.client.output import Position
from worker_lib.dashboard.kept import kept
from worker_lib.dashboard.registry import Download, Event, Feed, File, Page, Query
from worker_lib.errors import BatchNotFound, ConfigError, JobNotFound, PayloadError
from worker_lib.inspection import as_document
from worker_lib.job import FINAL, WAITING
from worker_lib.printable import printable
from worker_lib.store.keys import batch_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_lib.job import Attempt, JobInfo

__all__ = ["FEED", "LOG", "PAGE"]

# What a page shows of a log; the file has all of it.
_MOST_CHARACTERS = 100_000
# Without news, to a look whether the browser is still there.
_LOOK_SECONDS = 0.5
_STATE_SECONDS = 10.0
_LINE_ENDS = re.compile(r"\r\n?")


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
        "can_clone": info.status in WAITING
        or (plain is not None and task_at_hand(info.task) is not None),
        "attempts": [_attempt(one, info) for one in reversed(info.attempts)],
        "phases": as_document(phases),
        "whole_s": sum(phase.seconds for phase in phases),
        "cost_usd": inspection.job_cost(info, now),
        "preview": as_document(preview),
        "plain_arguments": plain and plain.as_json(),
        "batch": _batch(job_id),
        "paused_at": inspection.moment(_paused_at(info)),
        "log": _log(info, _number(query)),
    }


def _paused_at(info: JobInfo) -> float | None:
    """Return since when its queue is paused, if it waits there for that."""
    if info.status != "queued":
        return None
    now = kept("overview", _STATE_SECONDS, inspection.overview)
    return next((one.paused_at for one in now.queues if one.name == info.queue), None)


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


def _log(info: JobInfo, number: int | None) -> dict[str, Any]:
    """Return the end of what it printed so far, or why that is not to be shown."""
    log = {"text": "", "attempt": number, "cut": 0, "trouble": "", "position": ""}
    log["is_over"] = info.final
    if not info.attempts:
        return log
    try:
        news = default_client().logs.look(info.id, attempt=number)
    except (PayloadError, ConfigError) as error:
        return {**log, "trouble": str(error), "is_over": True}
    text = readable(news.text)
    cut = max(0, len(text) - _MOST_CHARACTERS)
    log |= {"text": text[cut:], "cut": cut, "position": str(news.position)}
    return {**log, "is_over": news.is_over}


def readable(text: str) -> str:
    """Return what was printed without control characters, each line on its own."""
    return printable(_LINE_ENDS.sub("\n", text))


def follow_log(query: Query) -> Iterator[Event | None]:
    """Yield what a job prints from a position on, until it has ended."""
    position = Position.parse(query["last_event_id"] or query.get("position", ""))
    logs, number = default_client().shared_logs, _number(query)
    words: Any = {"attempt": number, "patience": _LOOK_SECONDS}
    with suppress(JobNotFound):  # it was deleted meanwhile
        for news in logs.follow(query["id"], position, **words):
            if news is None:
                yield None
                continue
            position = news.position
            if news.texts:
                yield Event("log", readable(news.text), str(position))
    yield Event("end", "", str(position))


def load_log(query: Query) -> File:
    """Return all that a job has printed, or one of its attempts."""
    number = _number(query)
    text = default_client().logs.read(query["id"], number)
    part = f"-{number}" if number else ""
    return File(f"{query['id']}{part}.log", (text.encode(),))


def _number(query: Query) -> int | None:
    """Return the attempt that is wanted; None for all."""
    text = query.get("attempt", "")
    return int(text) if text.isascii() and text.isdigit() else None


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
FEED = Feed(slug="job-log-live", rule="jobs/<id>/log/live", follow=follow_log)
