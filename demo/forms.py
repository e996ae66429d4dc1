"""What people send, checked: each function returns a clean order or says what is wrong.

Bounds are on size, and on characters that could end a mail's header; nothing is
trusted because of its name, a picture least of all.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from email_validator import EmailNotValidError, validate_email

from worker.reports import MAX_PAGES, unprintable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.datastructures import FileStorage

    from demo.config import Recipients

__all__ = [
    "MAX_BODY",
    "MAX_LINE",
    "FormRefused",
    "MailOrder",
    "PictureOrder",
    "ReportOrder",
    "read_mail",
    "read_picture",
    "read_report",
]

MAX_LINE = 120
MAX_BODY = 5000
_MAX_NAME = 80
# Line and paragraph separators end a line for some programs, control characters do.
_UNWANTED = frozenset({"Cc", "Zl", "Zp"})


class FormRefused(Exception):
    """Something in a form cannot be used.

    Attributes:
        problems: Name of the field, and a sentence on what to change.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(self.problems.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOrder:
    """A mail to send."""

    to: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOrder:
    """A picture to resize; `filename` is for showing only."""

    data: bytes
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOrder:
    """A report to make."""

    title: str
    pages: int


def read_mail(form: Mapping[str, str], recipients: Recipients) -> MailOrder:
    """Return the mail that a form asks for.

    Raises:
        FormRefused: no usable address, one that may get no mail, a subject that is
            not one line, or a text that is empty or too long.
    """
    problems = {}
    to = form.get("to", "").strip()
    try:
        to = validate_email(
            to, check_deliverability=False, allow_smtputf8=False
        ).normalized
        if not recipients.allow(to):
            problems["to"] = (
                "This demo may not send mail to that address; "
                "DEMO_ALLOWED_RECIPIENTS lists who may get some."
            )
    except EmailNotValidError as error:
        problems["to"] = str(error)
    subject = form.get("subject", "").strip(" ")
    problems |= _line_problem("subject", subject, "A subject")
    body = form.get("body", "").replace("\r\n", "\n").strip()
    if not 1 <= len(body) <= MAX_BODY:
        problems["body"] = f"Write 1 to {MAX_BODY:,} characters."
    elif _unwanted(body.replace("\n", "").replace("\t", "")):
        problems["body"] = "The text has control characters in it."
    _refuse(problems)
    return MailOrder(to=to, subject=subject, body=body)


def read_picture(upload: FileStorage | None) -> PictureOrder:
    """Return the picture that was uploaded, after a look at its first bytes.

    Raises:
        FormRefused: no file, an empty one, or no JPEG, PNG, WebP or GIF.
    """
    data = upload.read() if upload else b""
    if not data:
        raise FormRefused({"picture": "Choose a picture first."})
    if not _is_picture(data):
        raise FormRefused(
            {"picture": "This is no JPEG, PNG, WebP or GIF, whatever its name says."}
        )
    return PictureOrder(data=data, filename=_display_name(upload))


def read_report(form: Mapping[str, str]) -> ReportOrder:
    """Return the report that a form asks for.

    Raises:
        FormRefused: a title that is not one line or cannot be printed, or a number
            of pages out of bounds.
    """
    title = form.get("title", "").strip(" ")
    problems = _line_problem("title", title, "A title")
    if not problems and (missing := unprintable(title)):
        problems["title"] = f"The report's font has no {missing}"
    pages = form.get("pages", "").strip()
    # Digits beyond ASCII are digits, too, and too many of them take long to read.
    usable = pages.isascii() and pages.isdigit() and len(pages) <= len(str(MAX_PAGES))
    if not usable or not 1 <= int(pages) <= MAX_PAGES:
        problems["pages"] = f"Ask for 1 to {MAX_PAGES} pages."
    _refuse(problems)
    return ReportOrder(title=title, pages=int(pages))


def _line_problem(field: str, text: str, what: str) -> dict[str, str]:
    if not 1 <= len(text) <= MAX_LINE:
        return {field: f"{what} has 1 to {MAX_LINE} characters."}
    if _unwanted(text):
        return {field: f"{what} is one line, without control characters."}
    return {}


def _unwanted(text: str) -> bool:
    return any(unicodedata.category(character) in _UNWANTED for character in text)


def _refuse(problems: Mapping[str, str]) -> None:
    if problems:
        raise FormRefused(problems)


def _is_picture(data: bytes) -> bool:
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return webp or data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8"))


def _display_name(upload: FileStorage | None) -> str:
    """Return the last part of the file's name, on one line."""
    given = (upload.filename if upload else None) or ""
    name = PurePosixPath(given.replace("\\", "/")).name
    return "".join(c for c in name if not _unwanted(c))[-_MAX_NAME:] or "picture"
