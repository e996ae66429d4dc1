"""Fills a namespace with jobs that ended, wait and run in every way there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shop.images import convert, make_thumbnail, render_video
from shop.mail import send_newsletter, send_receipt
from shop.reports import clean_up, count_stock, monthly_report
from waiting import until

from worker_lib import Queue

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random

    from worker_lib import Job

__all__ = ["Seeded", "customers", "seed"]


class Seeded(NamedTuple):
    """Ids of the jobs that stand for their kind.

    Attributes:
        ended: By what they are an example of.
        waiting: The same.
        running: Of the one that prints until the gate is there.
        batch: Of a batch of which one job failed.
    """

    ended: dict[str, str]
    waiting: dict[str, str]
    running: str
    batch: str


def seed(gate: Path) -> Seeded:
    """Make the jobs with the default client; return once all that can have ended.

    Args:
        gate: The running job ends when this file is there.
    """
    running = monthly_report.options(
        tags={"month": "2026-10", "customer": "acme"}, priority=5
    ).delay("2026-10", str(gate))
    ended, batch = _calls_that_end(), count_stock.delay_many((n,) for n in range(9, 15))
    waiting = _calls_that_wait()
    _wait([*ended.values(), *batch.jobs()])
    until(lambda: running.status == "running", within=50)
    until(lambda: waiting["retrying"].status == "retrying", within=50)
    until(lambda: waiting["expired"].status == "expired", within=50)
    ended["expired"] = waiting.pop("expired")
    return Seeded(_ids(ended), _ids(waiting), running.id, batch.id)


def _calls_that_end() -> dict[str, Job[Any]]:
    receipts = send_receipt.options(tags={"customer": "acme", "plan": "gold"})
    ended: dict[str, Job[Any]] = {
        "lost": convert.delay("beach.raw", "lost"),
        "crash": convert.delay("mountain.raw", "crash"),
        "memory": convert.delay("panorama.raw", "memory"),
        "timeout": render_video.delay("unboxing.mp4"),
        "gave up": receipts.delay(4711, "ann@down.example"),
        "retried": receipts.delay(4712, "bob@flaky.example"),
        "failed": send_receipt.delay(4713, "nobody"),
    }
    for number in range(12):
        ended[f"mail {number}"] = receipts.delay(4800 + number, f"c{number}@x.example")
    for number in range(12):
        end = "heic" if number % 4 == 3 else "jpg"
        photos = make_thumbnail.options(tags={"album": f"2026-{number % 3 + 1:02}"})
        ended[f"photo {number}"] = photos.delay(f"IMG_{1200 + number}.{end}")
    return ended


def _calls_that_wait() -> dict[str, Job[Any]]:
    Queue("exports").pause()
    exports = clean_up.options(queue="exports")
    waiting: dict[str, Job[Any]] = {
        "scheduled": clean_up.options(delay="3h", key="nightly").delay(30),
        "tomorrow": clean_up.options(delay="26h", priority=-10).delay(90),
        "retrying": send_newsletter.delay("November 2026"),
        "expired": exports.options(expires="200ms").delay(1),
        "cancelled": exports.delay(2),
    }
    for number in range(3):
        held = exports.options(priority=number * 10, tags={"run": str(number)})
        waiting[f"held {number}"] = held.delay(number)
    waiting.pop("cancelled").cancel()
    return waiting


def _wait(jobs: Iterable[Any]) -> None:
    for job in jobs:
        job.wait(timeout=50)


def _ids(jobs: dict[str, Job[Any]]) -> dict[str, str]:
    return {name: job.id for name, job in jobs.items()}


def customers(number: int, drawn: Random) -> None:
    """Make what some customers bought become jobs, of which few fail.

    Args:
        number: Of the order.
        drawn: Decides.
    """
    names = {"customer": drawn.choice(["acme", "globex", "initech"])}
    where = drawn.choices(["x", "flaky", "down"], [60, 4, 1])[0]
    for index in range(drawn.randint(1, 4)):
        mail = send_receipt.options(tags=names)
        mail.delay(10 * number + index, f"c{index}@{where}.example")
    for index in range(drawn.randint(0, 6)):
        end = drawn.choices(["jpg", "heic"], [24, 1])[0]
        make_thumbnail.options(tags=names).delay(f"IMG_{10 * number + index}.{end}")
    if number % 8 == 0:
        count_stock.delay_many((shelf,) for shelf in range(12 + number % 3))
