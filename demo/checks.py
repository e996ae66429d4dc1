"""What a finished job should have left behind, looked up where it should be."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, Any

from PIL import Image
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from worker.images import BOXES
from worker.services import StorageSettings
from worker.storage import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CheckFailed",
    "check_mail",
    "check_metrics",
    "check_picture",
    "check_report",
]

_SUCCEEDED = re.compile(
    r'^worker_lib_jobs_total{.*outcome="succeeded",task="([^"]+)"} (\d+)', re.MULTILINE
)


class CheckFailed(Exception):
    """Something is not as ordered; the message says what is there instead."""


def check_mail(
    result: Mapping[str, Any], subject: str, outbox: list[Mapping[str, Any]] | None
) -> str:
    """Return a few words on the one mail in the outbox that this job sent.

    Args:
        outbox: What the catcher caught; None if mail is really sent, when nothing but
            the provider's word is left to go by.

    Raises:
        CheckFailed: there is none, more than one, or another one.
    """
    if outbox is None:
        return f"Mailjet took it as {result['message_id']}"
    reference = result["custom_id"]
    mails = [mail for mail in outbox if mail.get("CustomID") == reference]
    if len(mails) != 1:
        raise CheckFailed(f"{len(mails)} mails of job {reference} are in the outbox")
    if mails[0]["Subject"] != subject:
        raise CheckFailed(f"its subject is {mails[0]['Subject']!r}")
    return f"1 mail to {mails[0]['To'][0]['Email']} in the outbox"


def check_picture(result: Mapping[str, Any], original: tuple[int, int]) -> str:
    """Return a few words on the sizes that are in the bucket.

    Raises:
        CheckFailed: not all are there, or one has other pixels than it should.
    """
    found = {}
    for stored in result["sizes"]:
        with Image.open(io.BytesIO(_download(stored["key"]))) as image:
            found[stored["name"]] = image.size
    expected = {name: _fitted(original, box) for name, box in BOXES.items()}
    if found != expected:
        raise CheckFailed(f"the bucket has {found}, not {expected}")
    return ", ".join(f"{width}x{height}" for width, height in found.values())


def check_report(result: Mapping[str, Any], title: str, pages: int) -> str:
    """Return a few words on the PDF that is in the bucket.

    Raises:
        CheckFailed: it is no PDF, or has other pages or another title.
    """
    data = _download(result["key"])
    try:
        reader = PdfReader(io.BytesIO(data))
        found = len(reader.pages)
    except PyPdfError as error:
        raise CheckFailed(f"the PDF cannot be read: {error}") from error
    if found != pages:
        raise CheckFailed(f"the PDF has {found} pages, not {pages}")
    if reader.metadata is None or reader.metadata.title != title:
        raise CheckFailed("the PDF has another title")
    return f"PDF of {found} pages, {len(data):,} bytes"


def check_metrics(page: str, tasks: set[str]) -> str:
    """Return a few words on the jobs that the metrics count.

    Args:
        page: Of `/metrics`.
        tasks: Of which each had a job that succeeded.

    Raises:
        CheckFailed: one of them is not told of.
    """
    counts = {task: int(number) for task, number in _SUCCEEDED.findall(page)}
    missing = sorted(task for task in tasks if not counts.get(task))
    if missing:
        raise CheckFailed(f"/metrics tells of no job of {', '.join(missing)}")
    return f"{sum(counts.values())} jobs have succeeded by its metrics"


def _download(key: str) -> bytes:
    settings = StorageSettings.load(os.environ)
    reply = connect(settings).get_object(Bucket=settings.bucket, Key=key)
    data: bytes = reply["Body"].read()
    return data


def _fitted(original: tuple[int, int], box: int) -> tuple[int, int]:
    """Return the size within a square of `box`, in proportion, never enlarged."""
    scale = min(1.0, box / max(original))
    width, height = (max(1, round(side * scale)) for side in original)
    return width, height
