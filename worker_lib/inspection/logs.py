"""What a job prints, for a page that shows it while it grows."""

from __future__ import annotations

from typing import NamedTuple

from worker_lib.client.client import default_client
from worker_lib.client.following import HOLD
from worker_lib.client.output import Position

__all__ = ["LogChunk", "log_chunk"]


class LogChunk(NamedTuple):
    """What a job printed since a position.

    Attributes:
        text: As it was printed, with a line before each attempt if there are several;
            it may end within a line. `worker_lib.log_lines` reads its lines.
        position: To go on from.
        is_over: Nothing more will come.
        status: Of the job.
        attempt: Number of its latest attempt; 0 before the first.
    """

    text: str
    position: str
    is_over: bool
    status: str
    attempt: int


def log_chunk(
    job_id: str, position: str = "", *, attempt: int | None = None, follow: bool = True
) -> LogChunk:
    """Return what a job has printed since a position; one command to Redis.

    Args:
        job_id: The job.
        position: Of the chunk before; "" is the beginning.
        attempt: Only this one.
        follow: Have its machine send what it prints for the next twenty seconds, about
            once a second at most. Without it there is only what is there.

    Raises:
        ConfigError: this is no position, or the job ended without this attempt.
        JobNotFound: Redis has no such job, or no longer has it.
        SignatureMismatch: a machine of ours did not print that.
        StoreUnavailable: Redis cannot be reached.
    """
    since = Position.parse(position)
    hold = HOLD if follow else 0.0
    logs = default_client().logs
    news = logs.look(job_id, since, attempt=attempt, hold=hold)
    text = "".join(one.name + one.text for one in news.texts)
    place = str(news.position)
    return LogChunk(text, place, news.is_over, news.status, news.attempt)
