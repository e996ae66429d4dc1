"""Verbs that look at everything there is: a part of it in each command.

Redis runs one script at a time, so none may take long, however much there is. What
changes meanwhile is seen as it was or as it is.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from worker_lib.store.replies import SHOWN, QueueSeen, Unfinished, queue_of, seen_of
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker_lib.store.connection import Connection
    from worker_lib.store.replies import Seen

__all__ = ["all_parts", "count_unfinished", "list_queues", "look_at", "set_paused"]

_FIRST = b"0"
_LOOK_AT_ONCE = 50


def look_at(
    connection: Connection,
    job_ids: Sequence[str],
    patience: float = 0.0,
    *,
    with_outcome: bool = True,
    names: Sequence[str] = SHOWN,
) -> Iterator[Seen | None]:
    """Yield what is known of each job; None where there is none.

    Args:
        connection: Runs the scripts.
        job_ids: The jobs.
        patience: Seconds to wait for the answer; 0 as long as usual.
        with_outcome: Whether to return their outcomes, too.
        names: Fields of their records: `SHOWN` or `LISTED`.
    """
    for start in range(0, len(job_ids), _LOOK_AT_ONCE):
        part = job_ids[start : start + _LOOK_AT_ONCE]
        replies = connection.run(
            script("look"),
            *part,
            patience=patience,
            fields=",".join(names),
            with_outcome=int(with_outcome),
        )
        for job_id, reply in zip(part, replies, strict=True):
            yield seen_of(job_id, reply, names) if reply else None


def set_paused(connection: Connection, queue: str, *, paused: bool) -> bool:
    """Have a queue paused or not, in all pools; False if it was so already."""
    cursor, changed = _FIRST, False
    while cursor:
        did, cursor = connection.run(
            script("pause"), queue=queue, pause=int(paused), cursor=cursor
        )
        changed |= bool(did)
        cursor = _next(cursor)
    return changed


def list_queues(connection: Connection) -> list[QueueSeen]:
    """Return all queues that have jobs or are paused, by name."""
    found: dict[str, QueueSeen] = {}
    for part in all_parts(connection, "queues"):
        for seen in map(queue_of, part):
            known = found.get(seen.name)
            found[seen.name] = _together(known, seen) if known else seen
    return sorted(found.values())


def count_unfinished(
    connection: Connection, soon: float, *, with_life: bool
) -> Unfinished:
    """Count jobs that are not final; see `Store.unfinished`."""
    parts = list(all_parts(connection, "unfinished", soon=soon))
    running, near, later = map(sum, zip(*parts, strict=True))
    lives = [0]
    if with_life:
        lives += itertools.chain.from_iterable(all_parts(connection, "kept"))
    return Unfinished(running, near, later, max(lives) / 1000)


def all_parts(connection: Connection, verb: str, **words: Any) -> Iterator[list[Any]]:
    """Run a script that returns a cursor and a part, until there are no more."""
    cursor = _FIRST
    while cursor:
        further, *part = connection.run(script(verb), cursor=cursor, **words)
        yield part
        cursor = _next(further)


def _next(cursor: bytes) -> bytes:
    return b"" if cursor == _FIRST else cursor


def _together(one: QueueSeen, other: QueueSeen) -> QueueSeen:
    """Return what two parts say of one queue."""
    moments = (one.next_created_at, other.next_created_at)
    return one._replace(
        waiting=one.waiting + other.waiting,
        next_created_at=min(filter(None, moments), default=None),
    )
