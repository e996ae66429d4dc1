"""Checks each setting against the real Redis and the real Machines API.

In order: `configuration` loads the settings and collects every problem with them;
`ground` looks whether a local stack can run here; `server` asks Redis, `answers` the
Machines API, and `server` and `fly` judge what they said; `sides` compares secrets
and `clocks` the time; `probe` boots a machine if asked to; `examination` puts them in
order, and `redaction` sees to it that no line holds a secret.

What it does not promise: that a job will succeed. It looks at what jobs stand on, and
what could not be looked at is said to be unknown.
"""

from __future__ import annotations

from worker_lib.doctor.checks import examine
from worker_lib.doctor.findings import Finding, Verdict, passed

__all__ = ["Finding", "Verdict", "examine", "passed"]
