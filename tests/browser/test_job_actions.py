"""What people do with jobs, done by hand, and seen in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jobs
import pytest
from shop.mail import send_receipt

from worker_lib import Queue
from worker_lib.errors import JobNotFound
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator
    from tabs import Tab

    from worker_lib import Job
    from worker_lib.client.client import Client

PAUSED = "held"


@pytest.fixture
def tab(own: Client, open_tab: Callable[..., Tab]) -> Tab:
    """A tab of somebody who may act, in an empty namespace with a paused queue."""
    Queue(PAUSED).pause()
    return open_tab()


def waiting(number: int = 1) -> Job[int]:
    """Return a job that waits for its queue to be resumed."""
    return jobs.add.options(queue=PAUSED).delay(number, 2)


def failed(text: str = "broken") -> Job[None]:
    """Return a job that failed."""
    job = jobs.boom.delay(text)
    job.wait(timeout=50)
    return job


def done() -> list[str]:
    """Return the names of all that was done, latest first."""
    return [entry.what for entry in audits()]


def edit_form(tab: Tab, job: Job[Any]) -> Locator:
    """Open the form by which a job that waits is changed."""
    tab.goto(f"jobs/{job.id}")
    tab.page.locator("details.edit > summary").first.click()
    return tab.page.locator('form[action$="/actions/edit-job"]')


def test_run_a_failed_job_again(tab: Tab) -> None:
    """The page of the new job opens, and leads to the one before."""
    job = failed()
    tab.goto(f"jobs/{job.id}")
    tab.act("retry-jobs")
    tab.told("runs again")
    new = tab.page.url.rpartition("/")[2].partition("?")[0]

    assert new == job.info().retried_as
    assert tab.page.get_by_role("link", name=job.id).is_visible()
    assert ["retry-jobs"] == done()
    assert ([], []) == (tab.faults, tab.reports)


def test_cancel_a_job_that_waits(tab: Tab) -> None:
    """After a question."""
    job = waiting()
    tab.goto(f"jobs/{job.id}")
    tab.act("cancel-jobs")
    tab.page.get_by_role("dialog").get_by_text("is cancelled").wait_for()
    assert "queued" == job.info().status
    tab.agree()
    tab.told("1 job was cancelled")

    assert "cancelled" == job.status


def test_delete_a_job(tab: Tab) -> None:
    """The list opens, as there is no page of it any more."""
    job = failed()
    tab.goto(f"jobs/{job.id}")
    tab.act("delete-jobs")
    tab.agree()
    tab.told("1 job was deleted")

    assert "/jobs/jobs" in tab.page.url
    with pytest.raises(JobNotFound):
        job.info()


def test_put_a_job_first(tab: Tab) -> None:
    first, second = waiting(1), waiting(2)
    tab.goto(f"jobs/{second.id}")
    tab.act("first-job")
    tab.told("before all others")

    assert second.info().priority >= first.info().priority
    assert ["first-job"] == done()


def test_edit_a_job_that_waits(tab: Tab) -> None:
    """Its arguments, its queue and its priority; the page shows them at once."""
    job = waiting()
    form = edit_form(tab, job)
    form.get_by_label("Arguments").fill('{"a": 40, "b": 2}')
    form.get_by_label("Priority").fill("7")
    tab.act("edit-job")
    tab.told("Changed")
    tab.page.locator("#args", has_text="40").wait_for()
    Queue(PAUSED).resume()

    assert 42 == job.result(timeout=50)
    assert 7 == job.info().priority


def test_an_edit_that_cannot_be_is_told(tab: Tab) -> None:
    """And what was written is still there."""
    job = waiting()
    form = edit_form(tab, job)
    form.get_by_label("Arguments").fill('{"a": 40,')
    tab.act("edit-job")
    tab.told("no JSON")

    assert '{"a": 40,' == form.get_by_label("Arguments").input_value()


def test_a_failed_job_is_found_understood_edited_and_run_in_six_clicks(
    tab: Tab,
) -> None:
    """From the first page to a job that succeeds with other arguments."""
    job = send_receipt.delay(4713, "nobody")
    job.wait(timeout=50)
    tab.goto()
    clicks = tab.count_clicks()
    tab.page.get_by_role("navigation", name="Pages").get_by_text("Failed").click()
    tab.page.get_by_role("link", name=job.id).first.click()
    assert "ValueError: no address: 'nobody'" in tab.page.locator("#why").inner_text()
    tab.page.locator("details.edit > summary").click()
    form = tab.page.locator('form[action$="/actions/rerun-job"]')
    form.get_by_label("Arguments").fill('{"order": 4713, "to": "ann@x.example"}')
    tab.act("rerun-job")
    tab.told("runs again")
    tab.page.locator(".job-state .badge", has_text="Succeeded").wait_for()

    assert len(clicks()) < 6
    assert 4 == len(clicks())
    assert ([], []) == (tab.faults, tab.reports)


def test_a_job_that_succeeded_is_cloned_with_other_arguments(tab: Tab) -> None:
    job = jobs.add.delay(1, 2)
    job.result(timeout=50)
    tab.goto(f"jobs/{job.id}")
    tab.page.locator("details.edit > summary").click()
    form = tab.page.locator('form[action$="/actions/clone-job"]')
    form.get_by_label("Arguments").fill('{"a": 40, "b": 2}')
    tab.act("clone-job")
    tab.told("a new job, made from")
    tab.page.locator(".job-state .badge", has_text="Succeeded").wait_for()

    assert "42" in tab.page.locator("#result").inner_text()
    assert ["clone-job"] == done()
    assert ([], []) == (tab.faults, tab.reports)


@pytest.mark.parametrize(
    ("action", "status"), [("cancel-jobs", "cancelled"), ("move-jobs", "queued")]
)
def test_act_on_selected_jobs(tab: Tab, action: str, status: str) -> None:
    """On those alone."""
    meant, other = [waiting(1), waiting(2)], waiting(3)
    tab.goto("jobs")
    for job in meant:
        tab.page.locator(f"#pick-{job.id}").check()
    if action == "move-jobs":
        tab.page.get_by_label("Queue to move to").fill("elsewhere")
        Queue("elsewhere").pause()
        tab.act(action)
    else:
        tab.act(action, within="#selected-jobs")
        tab.agree()
    tab.told("2 jobs were")

    assert {status} == {job.status for job in meant}
    assert ("queued", PAUSED) == (other.status, other.info().queue)
    moved = action == "move-jobs"
    expected = {"elsewhere" if moved else PAUSED}
    assert expected == {job.info().queue for job in meant}


def test_act_on_all_that_fit_after_their_number_was_typed(tab: Tab) -> None:
    meant = [waiting(number) for number in range(3)]
    other = jobs.add.options(queue="other", delay="1h").delay(1)
    tab.goto(f"jobs?status=queued&queue={PAUSED}")
    tab.page.locator("#all-that-fit summary").click()
    tab.act("cancel-jobs", within="#all-that-fit")
    tab.agree("2")
    tab.page.get_by_text("not what has to be typed").wait_for()
    assert {"queued"} == {job.status for job in meant}
    tab.agree("3")
    tab.told("3 jobs were cancelled")

    assert {"cancelled"} == {job.status for job in meant}
    assert "scheduled" == other.status


def test_run_a_group_of_failed_jobs_again(tab: Tab) -> None:
    meant = [failed(f"no shelf {number}") for number in range(2)]
    tab.goto("failed")
    tab.act("retry-jobs", within=".failure")
    tab.agree("2")
    tab.told("2 jobs run again")

    assert all(job.info().retried_as for job in meant)


def test_check_the_health(tab: Tab) -> None:
    """What `doctor` finds stands on the page, in a line each."""
    tab.goto("health")
    tab.act("check-health")
    tab.page.locator(".notice", has_text="checks: ").wait_for()

    assert "settings" in tab.page.locator("ul.lines").inner_text()
    assert ["check-health"] == done()
