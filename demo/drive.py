"""`python -m demo.drive`: try the demo from end to end, over HTTP, as a person would.

Starts it, sends all three forms, waits for the jobs, then looks at what they left
behind: the mail in the outbox, the pictures and the PDF in the bucket. Prints a table
and exits 0 only if all of it is as ordered.
"""

from __future__ import annotations

import html
import io
import logging
import os
import re
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from PIL import Image

from demo import standins
from demo.checks import (
    CheckFailed,
    check_mail,
    check_metrics,
    check_picture,
    check_report,
)
from demo.serve import CannotServe, check_machines, end_politely, free_port, server
from worker.services import MailSettings, NotConfigured, StorageSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

_JOB_SECONDS = 90.0
_LOG_LINES = 40
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_LEAD = re.compile(r'<p class="lead">(.*?)</p>', re.DOTALL)
_PICTURE_SIZE = (2000, 1500)
_TASKS = {
    f"worker.tasks:{one}" for one in ("send_email", "resize_image", "make_report")
}
_SUBJECT, _TITLE, _PAGES = "A drive through the demo", "A drive in figures", 12


def main() -> int:
    """Drive the demo once; return 0 if everything came out as ordered, else 1."""
    end_politely()
    try:
        check_machines()
    except CannotServe as error:
        _say(str(error))
        return 1
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto's line per request
    with tempfile.TemporaryDirectory(prefix="demo-drive-") as folder:
        log = Path(folder, "app.log")
        try:
            with (
                standins.running(),
                log.open("wb") as out,
                server(free_port(), out) as (url, _),
                closing(Browser(url)) as browser,
            ):
                rows = _drive(browser)
        except NotConfigured as error:
            _say(f"Checking what jobs leave behind needs the keys here, too. {error}")
            return 1
        except (CannotServe, CheckFailed, standins.MissingDependency) as error:
            _say(f"The demo failed: {error}\n\nThe end of the app's log:")
            _say("\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:]))
            return 1
        except KeyboardInterrupt:
            return 130
    _say("\n".join(_table(rows)))
    return 0


class Browser:
    """One visitor of the running demo."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        page = self._session.get(url, timeout=30)
        token = _TOKEN.search(page.text)
        if token is None:
            raise CheckFailed(f"{url} answered {page.status_code}: {_lead(page.text)}")
        self._token = token[1]

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def send(
        self, form: str, fields: dict[str, str], **files: tuple[str, bytes]
    ) -> str:
        """Send a form and return the path of the job that came of it."""
        reply = self._session.post(
            f"{self._url}{form}",
            data={**fields, "csrf_token": self._token},
            files=files or None,
            allow_redirects=False,
            timeout=30,
        )
        if reply.status_code != 303:
            raise CheckFailed(
                f"form {form} answered {reply.status_code}: {_lead(reply.text)}"
            )
        return reply.headers["Location"].lstrip("/")

    def get(self, path: str) -> dict[str, Any]:
        """Return a document of the app."""
        reply = self._session.get(f"{self._url}{path}", timeout=30)
        document: dict[str, Any] = reply.json()
        if not reply.ok:
            raise CheckFailed(f"{path} answered {reply.status_code}: {document}")
        return document

    def page(self, path: str) -> str | None:
        """Return what the app answers there; None if it is locked."""
        reply = self._session.get(f"{self._url}{path}", timeout=30)
        if reply.status_code in {401, 403}:
            return None
        if not reply.ok:
            raise CheckFailed(f"{path} answered {reply.status_code}")
        return reply.text

    def wait(self, path: str) -> dict[str, Any]:
        """Return a job once it has succeeded, within 90 s."""
        deadline = time.monotonic() + _JOB_SECONDS
        while True:
            job = self.get(f"{path}.json")
            if job["status"] == "succeeded":
                return job
            if job["final"] or time.monotonic() > deadline:
                raise CheckFailed(_why(job))
            time.sleep(0.2)


def _drive(browser: Browser) -> list[tuple[str, ...]]:
    """Send all forms, then wait for each job and look at what it left.

    Raises:
        NotConfigured: machines on Fly have keys that we would need for the look.
    """
    mail = MailSettings.load(os.environ)
    StorageSettings.load(os.environ)
    to = "somebody@example.com" if mail.is_standin else mail.sender
    fields = {"to": to, "subject": _SUBJECT, "body": "Sent by demo.drive."}
    sent = browser.send("mail", fields)
    resized = browser.send("picture", {}, picture=("noise.jpg", _noise()))
    made = browser.send("report", {"title": _TITLE, "pages": str(_PAGES)})

    job = browser.wait(sent)
    outbox = browser.get("outbox.json")["messages"] if mail.is_standin else None
    rows = [_row(job, check_mail(job["result"], _SUBJECT, outbox))]
    job = browser.wait(resized)
    rows.append(_row(job, check_picture(job["result"], _PICTURE_SIZE)))
    job = browser.wait(made)
    rows.append(_row(job, check_report(job["result"], _TITLE, _PAGES)))
    return [*rows, ("Dashboard", "", "", "", _look(browser))]


def _look(browser: Browser) -> str:
    """Return what there is to say of the dashboard and the metrics."""
    if browser.page("jobs/overview.json") is None:
        return "locked: WORKER_LIB_DASHBOARD_PASSWORD opens it"
    page = browser.page("metrics")
    return "open" if page is None else f"open; {check_metrics(page, _TASKS)}"


def _noise() -> bytes:
    """Return a JPEG that is nothing but noise, the worst case for its size."""
    out = io.BytesIO()
    Image.effect_noise(_PICTURE_SIZE, 80).convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


def _lead(page: str) -> str:
    """Return the sentence that a page of failure has for people."""
    lead = _LEAD.search(page)
    return html.unescape(lead[1]) if lead else page


def _why(job: dict[str, Any]) -> str:
    """Return what is known of a job that did not succeed."""
    head = f"job {job['id']} ({job['title']}) is {job['status']} on attempt"
    lines = [f"{head} {job['attempt']}. {job['trouble']}"]
    if job["error"]:
        lines += [str(job["error"]["message"]), str(job["error"]["trace"])]
    return "\n".join(lines)


def _row(job: dict[str, Any], found: str) -> tuple[str, ...]:
    last = job["attempts"][-1]
    boot = "was up" if last["boot_s"] is None else f"{last['boot_s']:.2f}"
    return job["title"], last["machine_id"], boot, f"{last['run_s']:.2f}", found


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table, each column as wide as it needs."""
    lines = [("JOB", "MACHINE", "BOOT S", "RUN S", "RESULT"), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
