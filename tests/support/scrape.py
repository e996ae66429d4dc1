"""What Redis may tell for a scrape, and the page that is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from worker_lib.inspection import MachineSeen, Overview, QueueState, ServerSeen, Tally
from worker_lib.inspection.overview import Alert
from worker_lib.metrics.collector import Reading

if TYPE_CHECKING:
    from worker_lib.metrics import JobsCollector

SIZE, REGION = "shared-cpu-1x@256mb", "ams"
COUNTS = Tally(
    {
        ("j", "shop:mail", "succeeded", "12"): 5,
        ("j", "shop:mail", "timeout", "20"): 2,
        ("j", "shop:mail", "cancelled", ""): 1,
        ("t", "shop:mail", "error", "3"): 4,
        ("l", "shop:mail", "lost", "15"): 1,
        ("l", "shop:mail", "out_of_memory", ""): 1,
        ("w", "shop:mail", "0"): 3,
        ("w", "shop:mail", "60"): 9,
        ("q", "shop:mail"): 9_003_000,
        ("r", "shop:mail", SIZE, REGION): 7250,
        ("r", "shop:mail", SIZE, "fra"): 250,
        ("b", "created", "19"): 2,
        ("B", "created"): 4400,
        ("m", SIZE, REGION): 90_500,
        ("c", SIZE, REGION, "empty"): 2,
        ("e", "NoCapacity"): 3,
    }
)
QUEUES = (
    QueueState("default", 7, None, 400.0),
    QueueState("low", 1, 1.0, 9000.0),
)
ALERT = Alert("waiting", "a job waits", "do something")
SEEN = Overview(
    at=1000.0,
    counts={"queued": 8, "running": 2, "failed": 2},
    jobs=20,
    machines={"busy": 2},
    queues=QUEUES,
    pools=(),
    oldest_wait=400.0,
    alerts=(ALERT, ALERT),
    server=ServerSeen(1000, 0, "noeviction"),
)
MACHINE = MachineSeen(
    slot="s",
    machine_id="m",
    state="busy",
    pool="p",
    region=REGION,
    size=SIZE,
    launched_at=100.0,
    up_at=110.0,
    boot_s=1.0,
    look_at=None,
    parked_until=None,
    age=900.0,
    job_ids=("j",),
    cost_usd=0.1,
)
READING = Reading(SEEN, [MACHINE], COUNTS)


def exposed(collector: JobsCollector) -> str:
    """Return what Prometheus would be told."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()
