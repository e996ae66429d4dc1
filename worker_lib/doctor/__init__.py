"""Checks each setting against the real Redis and the real Machines API.

`checks` runs all checks in order and yields a finding for each: `configuration` loads
the settings; `local_stack` checks whether a local stack can run here; `server` and
`rights` ask Redis; `fly_facts` asks the Machines API and `fly` judges the replies;
`clocks` compares the time; `probe`, if wanted, boots a machine; `signing` compares
secrets. Last, `redaction` removes secrets from every finding.

It does not promise that a job will succeed: it checks what jobs depend on. What it
cannot check has the verdict `unknown`.
"""

from __future__ import annotations

from worker_lib.doctor.checks import examine, examine_in_use
from worker_lib.doctor.findings import Finding, Verdict, passed

__all__ = ["Finding", "Verdict", "examine", "examine_in_use", "passed"]
