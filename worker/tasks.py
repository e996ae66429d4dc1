"""The demo's three tasks: send a mail, resize an image, make a report.

Each is an ordinary function: call it and it runs here; `.delay(...)` stores the call
and a machine takes it. Their results are plain dicts, small enough for Redis: what is
large goes to the bucket and is named by its key.
"""

from __future__ import annotations

import logging
import os
from typing import TypedDict

from worker.images import resize
from worker.mail import MailTemporarilyRefused, SentMail, deliver
from worker.reports import render
from worker.services import MailSettings, StorageSettings
from worker.storage import LINK_TTL, Upload
from worker_lib import Retry, current_job, fly_task

__all__ = [
    "MadeReport",
    "ResizedImage",
    "StoredSize",
    "make_report",
    "resize_image",
    "send_email",
]

_STEPS = 20
# What a logger lets through is up to its level: warnings only, unless somebody says so.
logging.getLogger(__name__).setLevel(logging.INFO)


class StoredSize(TypedDict):
    """One size of an image in the bucket."""

    name: str
    width: int
    height: int
    key: str
    url: str


class ResizedImage(TypedDict):
    """All sizes of an image, smallest first."""

    sizes: list[StoredSize]


class MadeReport(TypedDict):
    """A report in the bucket; `url` makes a browser save it."""

    key: str
    url: str
    pages: int
    size_bytes: int


# Two attempts may both reach a person: the provider can take a mail and its answer
# get lost. The job's id goes along, so the two can be told to be one.
@fly_task(
    machine="shared-cpu-1x",
    memory_mb=512,
    timeout="2m",
    retry=Retry(max_attempts=4, backoff="2s", on=(MailTemporarilyRefused,)),
    result_ttl=LINK_TTL,
)
def send_email(to: str, subject: str, body: str) -> SentMail:
    """Send one text mail through Mailjet and return what Mailjet calls it.

    Raises:
        MailRefused: Mailjet will not take it; no further attempt is made.
        MailTemporarilyRefused: Mailjet could not take it, four times.
        NotConfigured: the credentials are missing.
    """
    job = current_job()
    settings = MailSettings.load(os.environ)
    sent = deliver(settings, to=to, subject=subject, body=body, custom_id=job.id)
    job.log.info("the mail is taken", extra={"message_id": sent["message_id"]})
    return sent


@fly_task(machine="shared-cpu-1x", memory_mb=512, timeout="5m", result_ttl=LINK_TTL)
def resize_image(data: bytes, filename: str) -> ResizedImage:
    """Store three sizes of a picture as JPEG and return their keys and links.

    They fit squares of 160, 640 and 1280 pixels, upright, never enlarged. If this
    fails or is cancelled midway, no size stays in the bucket.

    Args:
        filename: What messages call the picture; keys are random.

    Raises:
        ImageRefused: not a picture, damaged, or too many pixels.
        StorageFailed: the bucket did not take a size.
        NotConfigured: the credentials are missing.
    """
    job = current_job()
    sizes: list[StoredSize] = []
    with Upload(StorageSettings.load(os.environ)) as upload:
        images = resize(data, filename)
        for image in images:
            key = upload.put("images", "jpg", image.jpeg, "image/jpeg")
            sizes.append(
                StoredSize(
                    name=image.name,
                    width=image.width,
                    height=image.height,
                    key=key,
                    url=upload.link(key),
                )
            )
            job.progress(len(sizes), len(images), f"{image.name} is stored")
            stored = {"key": key, "bytes": len(image.jpeg)}
            job.log.info("%s is stored", image.name, extra=stored)
    return ResizedImage(sizes=sizes)


@fly_task(machine="shared-cpu-1x", memory_mb=512, timeout="10m", result_ttl=LINK_TTL)
def make_report(title: str, pages: int) -> MadeReport:
    """Make a PDF report of 1 to 500 pages, store it and return its key and link.

    Raises:
        ReportRefused: too many pages, or a title that cannot be printed.
        StorageFailed: the bucket did not take the report.
        NotConfigured: the credentials are missing.
    """
    job = current_job()
    step = max(1, pages // _STEPS)

    def tell(page: int) -> None:
        if page % step == 0 or page == pages:
            text = f"page {page} of {pages}"
            job.progress(page, pages, text)
            job.log.info(text)

    with Upload(StorageSettings.load(os.environ)) as upload:
        pdf = render(title, pages, on_page=tell)
        key = upload.put("reports", "pdf", pdf, "application/pdf")
        url = upload.link(key, save_as="report.pdf")
    job.log.info("the report is stored", extra={"key": key, "bytes": len(pdf)})
    return MadeReport(key=key, url=url, pages=pages, size_bytes=len(pdf))
