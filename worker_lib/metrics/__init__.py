"""Metrics for Prometheus: what the scripts counted, and what there is at this moment.

Machines live too briefly to be asked. The scripts count inside Redis, and whoever is
asked for metrics reads that: all processes tell the same numbers, since the first job.

`metrics_text` returns the page, `answer` and `wsgi_app` serve it to who may see it,
`serve` on a port of its own, and `JobsCollector` is for a registry that an app has
already. Nothing is registered by importing this. Reading sends three commands to Redis
for 50 pools; who asks within ten seconds gets the same numbers.

Needs `prometheus-client`: `pip install 'prometheus-client>=0.21'`.
"""

from __future__ import annotations

from worker_lib.metrics.collector import JobsCollector
from worker_lib.metrics.serving import Answer, answer, metrics_text, serve, wsgi_app

__all__ = ["Answer", "JobsCollector", "answer", "metrics_text", "serve", "wsgi_app"]
