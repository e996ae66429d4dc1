"""What people look at: the command line and the pages read through this, and only so.

Everything is a tuple with names, and `as_document` makes JSON of it, so that both
show the same. Nothing here changes a job, and nothing is unpickled.

`overview` is one moment; `history` and `costs` are what the scripts counted;
`jobs_page`, `machines`, `exits` and `failures` are lists; `timeline`, `job_cost`,
`explain` is of one job, `machine_at_fly` of a machine as Fly has it;
`batch_progress` of a batch, `audits` of what people did.
"""

from __future__ import annotations

from worker_lib.client.inspection import JobsPage, jobs_page
from worker_lib.inspection.arguments import PlainArguments, plain_arguments
from worker_lib.inspection.at_fly import FlyEvent, FlyMachine, machine_at_fly
from worker_lib.inspection.audit import AuditEntry, audit, audits
from worker_lib.inspection.costs import Costs, Day, costs
from worker_lib.inspection.counting import Percentiles, Tally
from worker_lib.inspection.documents import as_document, moment
from worker_lib.inspection.explaining import Explanation, explain
from worker_lib.inspection.failures import FailureGroup, failure_group, failures
from worker_lib.inspection.history import (
    WINDOWS,
    History,
    Point,
    TaskSeen,
    counted,
    history,
)
from worker_lib.inspection.machines import MachineExit, MachineSeen, exits, machines
from worker_lib.inspection.overview import (
    Alert,
    Overview,
    PoolSeen,
    QueueState,
    ServerSeen,
    overview,
)
from worker_lib.inspection.previews import Preview, previews
from worker_lib.inspection.progress import BatchProgress, batch_progress
from worker_lib.inspection.timeline import Phase, attempt_cost, job_cost, timeline

__all__ = [
    "WINDOWS",
    "Alert",
    "AuditEntry",
    "BatchProgress",
    "Costs",
    "Day",
    "Explanation",
    "FailureGroup",
    "FlyEvent",
    "FlyMachine",
    "History",
    "JobsPage",
    "MachineExit",
    "MachineSeen",
    "Overview",
    "Percentiles",
    "Phase",
    "PlainArguments",
    "Point",
    "PoolSeen",
    "Preview",
    "QueueState",
    "ServerSeen",
    "Tally",
    "TaskSeen",
    "as_document",
    "attempt_cost",
    "audit",
    "audits",
    "batch_progress",
    "costs",
    "counted",
    "exits",
    "explain",
    "failure_group",
    "failures",
    "history",
    "job_cost",
    "jobs_page",
    "machine_at_fly",
    "machines",
    "moment",
    "overview",
    "plain_arguments",
    "previews",
    "timeline",
]
