"""How a machine gives back its slot together with the jobs that did not end."""

from __future__ import annotations

from worker_lib.errors import StoreUnavailable
from worker_lib.runtime.ended import Ended
from worker_lib.runtime.outage import GRACE_FOR_JOBS
from worker_lib.store.claims import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.runtime.outage import Outage
    from worker_lib.runtime.reports import Reports
    from worker_lib.store.claims import ClaimedJob
    from worker_lib.store.machine import MachineStore

__all__ = ["Release"]


class Release:
    """Hands jobs back, each to be run again elsewhere if it may be.

    Args:
        store: The verbs of this machine.
        outage: Says how long to go on trying while Redis is away.
        reports: Makes what is reported of attempts.
    """

    def __init__(self, store: MachineStore, outage: Outage, reports: Reports) -> None:
        self._store = store
        self._outage = outage
        self._reports = reports
        self._stopped: tuple[ClaimedJob, Report] | None = None

    @property
    def job(self) -> ClaimedJob | None:
        """What ran when the machine was asked to stop, and must be handed back."""
        return self._stopped[0] if self._stopped else None

    def stopped(self, job: ClaimedJob, ended: Ended) -> None:
        """Note a job that was ended because the machine must stop."""
        text = "the machine was stopped while the task ran"
        report = self._reports.released(job, ended._replace(kind="lost", error=text))
        self._stopped = job, report

    def all(self, back: Sequence[ClaimedJob]) -> bool:
        """Give back that job, and those that did not begin; False if there is none."""
        job, report = self._stopped or (None, Report("failed"))
        if job is None and not back:
            return False
        self._send(job, report, back)
        return True

    def interrupted(self, jobs: Sequence[ClaimedJob]) -> None:
        """Give back what this machine held when it was restarted; the first one ran."""
        text = "the machine was restarted while the task ran"
        first, *others = jobs
        report = self._reports.released(first, Ended("failed", "lost", text))
        self._send(first, report, others, charge=True)

    def _send(
        self,
        job: ClaimedJob | None,
        report: Report,
        back: Sequence[ClaimedJob],
        *,
        charge: bool = False,
    ) -> None:
        step = lambda: self._store.release(job, report, charge=charge, back=back)  # noqa: E731 - typed
        try:
            self._outage.retry(step, grace=GRACE_FOR_JOBS)
        except StoreUnavailable as error:
            if error.reason != "full" or not report.output:
                raise
            self._send(job, report._replace(output=b""), back, charge=charge)
