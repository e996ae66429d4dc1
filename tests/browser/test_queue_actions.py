"""What people do with queues, done by hand, and seen in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import add

from worker_lib import Queue
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tabs import Tab

    from worker_lib.client.client import Client


def test_pause_a_queue_that_is_not_listed(
    own: Client, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab()
    tab.goto("queues")
    tab.page.get_by_label("Pause a queue that is not listed").fill("mail")
    tab.act("pause-queue")

    assert "mail" in tab.told("paused")
    assert Queue("mail").paused
    tab.page.locator("#queue-mail").get_by_text("paused").wait_for()
    assert ([], []) == (tab.faults, tab.reports)


def test_resume_a_queue_and_pause_it_by_its_row(
    own: Client, open_tab: Callable[..., Tab]
) -> None:
    """The row changes its button; each act is noted."""
    Queue("mail").pause()
    add.options(queue="mail").delay(1)
    Queue("other").pause()
    add.options(queue="other").delay(1)
    tab = open_tab()
    tab.goto("queues")
    tab.act("resume-queue", within="#queue-mail")
    tab.told("mail is open")

    assert not Queue("mail").paused
    assert Queue("other").paused
    assert ["resume-queue"] == [entry.what for entry in audits()]


def test_empty_a_queue_after_its_name_was_typed(
    own: Client, open_tab: Callable[..., Tab]
) -> None:
    """Nothing happens after a wrong name, nor when the question is left."""
    Queue("mail").pause()
    jobs = [add.options(queue="mail").delay(number) for number in range(3)]
    tab = open_tab()
    tab.goto("queues")
    tab.act("purge-queue", within="#queue-mail")
    tab.page.get_by_role("link", name="Leave it").click()
    tab.act("purge-queue", within="#queue-mail")
    tab.agree("male")
    tab.page.get_by_text("not what has to be typed").wait_for()
    assert {"queued"} == {job.status for job in jobs}
    tab.agree("mail")

    assert "3 jobs" in tab.told("Cancelled")
    assert {"cancelled"} == {job.status for job in jobs}
    assert ([], []) == (tab.faults, tab.reports)


def test_empty_a_queue_without_scripts(
    own: Client, open_tab: Callable[..., Tab]
) -> None:
    """The question is a page then, and the answer stands on the page before."""
    Queue("mail").pause()
    job = add.options(queue="mail").delay(1)
    tab = open_tab(scripts=False)
    tab.goto("queues")
    tab.act("purge-queue", within="#queue-mail")
    tab.page.get_by_role("textbox").fill("mail")
    tab.page.get_by_role("button", name="Empty queue mail").click()
    tab.told("Cancelled 1 job")

    assert "cancelled" == job.status
    assert tab.page.url.endswith("/queues")
