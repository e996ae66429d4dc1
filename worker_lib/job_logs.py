"""Records of `logging` that say which job they are of.

`current_job().log` is a logger whose records carry the job's id and attempt; with
`JobFilter` on a handler, the records of all loggers do, for a formatter of one's own:

    handler.addFilter(JobFilter())
    handler.setFormatter(Formatter("%(job_id)s#%(attempt)s %(message)s"))
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from worker_lib.context import current_job

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["JobFilter", "JobLogger"]


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger of one run of a job; what a call gives as `extra` is kept.

    Args:
        name: Of the logger.
        job_id: Carried by each record, as is the next.
        attempt: From 1.
    """

    def __init__(self, name: str, job_id: str, attempt: int) -> None:
        facts = {"job_id": job_id, "attempt": attempt}
        super().__init__(logging.getLogger(name), facts)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the job's facts to a record."""
        given = kwargs.get("extra") or {}
        return msg, {**kwargs, "extra": {**(self.extra or {}), **given}}


class JobFilter(logging.Filter):
    """Lets every record pass, and gives it the `job_id` and `attempt` of the job.

    Outside of jobs they are "" and 1.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what the record does not carry itself."""
        job = current_job()
        for name, value in (("job_id", job.id), ("attempt", job.attempt)):
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
