"""What a page tells of machines: their lives, their costs, a job's way in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from demo.filters import clock, countdown, usd
from demo.lives import Life, Lives
from demo.steps import steps
from worker.tasks import make_report
from worker_lib.errors import ApiUnavailable
from worker_lib.fly.guest import Guest
from worker_lib.fly.prices import usd_per_second
from worker_lib.job import Attempt
from worker_lib.machines.types import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from worker_lib.client.client import Client
    from worker_lib.job import JobInfo

    Finished = Callable[[FlaskClient, TestResponse], dict[str, Any]]

GUEST = {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512}
EVENTS = [
    {
        "type": "exit",
        "status": "stopped",
        "timestamp": 1_003_500,
        "request": {"exit_event": {"exited_at": 1_003_000}},
    },
    {"type": "start", "status": "started", "timestamp": 1_001_000},
    {"type": "launch", "status": "created", "timestamp": 1_000_000},
]


@pytest.fixture
def info(client: Client) -> JobInfo:
    """What is known of a job that waits."""
    return make_report.options(delay="1h").delay("Figures", 1).info()


def _machine(**changes: Any) -> Machine:
    record = {"id": "m1", "state": "destroyed", "region": "ams", "events": EVENTS}
    return Machine.from_json({**record, "config": {"guest": GUEST}, **changes})


def test_a_life_is_billed_from_start_to_exit() -> None:
    """By the price of its size and region, and by Fly's own clock alone."""
    life = Life.of(_machine())

    assert (1000.0, 1001.0, 1003.0) == (
        life.created_at,
        life.started_at,
        life.ended_at,
    )
    assert 2.0 == life.up_s
    assert life.usd == 2.0 * usd_per_second(Guest("shared", 1, 512), "ams")
    assert "shared-cpu-1x@512mb" == life.guest
    assert life.gone


def test_a_life_that_goes_on_costs_nothing_yet() -> None:
    """No clock of ours is compared with Fly's."""
    life = Life.of(_machine(state="started", events=EVENTS[1:]))

    assert (None, None, False) == (life.up_s, life.usd, life.gone)


def test_a_machine_without_its_particulars_is_still_told_of() -> None:
    """As while its host does not answer."""
    life = Life.of(Machine.from_json({"id": "m1", "state": "destroyed"}))

    assert ("", None, True) == (life.guest, life.usd, life.gone)


def test_lives_that_are_over_are_kept_and_others_are_asked_for_again() -> None:
    """The API forgets a machine some time after its end."""
    asked: list[str] = []
    found = [_machine(state="started", events=EVENTS[1:]), _machine()]

    def find(machine_id: str, *, gone_within: float) -> Machine | None:
        asked.append(machine_id)
        return found.pop(0)

    lives = Lives(find)
    told = [lives.find("m1") for _ in range(3)]
    assert [False, True, True] == [life.gone for life in told if life]
    assert ["m1", "m1"] == asked


def test_a_machine_that_the_api_has_forgotten_is_gone() -> None:
    """Without figures."""
    assert Life() == Lives(lambda *_, **__: None).find("m1")


def test_an_api_that_fails_is_left_alone_for_a_while() -> None:
    """A page must not wait for it again and again."""
    asked: list[str] = []
    now = 0.0

    def fail(machine_id: str, *, gone_within: float) -> Machine | None:
        asked.append(machine_id)
        raise ApiUnavailable("no answer", status=503)

    lives = Lives(fail, clock=lambda: now)
    assert [None, None] == [lives.find("m1"), lives.find("m2")]
    now = 30.0
    assert lives.find("m2") is None
    assert ["m1", "m2"] == asked


def _marks(info: JobInfo, life: Life | None = None) -> list[str]:
    return [step.mark for step in steps(info, life)]


def _after(info: JobInfo, status: Any, *attempts: Attempt) -> JobInfo:
    return info._replace(status=status, attempts=attempts)


RUNNING = Attempt(number=1, machine_id="m1", region="ams", boot_s=0.4, started_at=10.0)
ENDED = RUNNING._replace(ended_at=12.5, outcome="succeeded")


@pytest.mark.parametrize(
    ("status", "attempts", "marks"),
    [
        ("scheduled", (), "past todo todo todo todo"),
        ("queued", (), "past now todo todo todo"),
        ("cancelled", (), "past cancelled todo todo todo"),
        ("expired", (), "past failed todo todo todo"),
        ("running", (RUNNING,), "past past past now todo"),
        ("succeeded", (ENDED,), "past past past past past"),
        (
            "failed",
            (ENDED._replace(outcome="error"),),
            "past past past failed past",
        ),
        (
            "cancelled",
            (ENDED._replace(outcome="cancelled"),),
            "past past past cancelled past",
        ),
        (
            "queued",
            (ENDED._replace(outcome="lost"),),
            "past now todo todo todo",
        ),
    ],
)
def test_each_status_has_its_place_on_the_way(
    info: JobInfo, status: str, attempts: tuple[Attempt, ...], marks: str
) -> None:
    """Whatever happened, five steps tell it."""
    assert marks.split() == _marks(_after(info, status, *attempts), Life())


def test_figures_are_boot_run_and_cost(info: JobInfo) -> None:
    """Each with its time of day."""
    told = steps(_after(info, "succeeded", ENDED), Life.of(_machine()))

    assert ["", "", "0.40\N{NO-BREAK SPACE}s", "2.50\N{NO-BREAK SPACE}s"] == [
        step.figure for step in told[:4]
    ]
    assert told[4].figure.startswith("$0.0000")
    assert [info.created_at, 1000.0, 10.0, 12.5, 1003.0] == [step.at for step in told]


def test_a_machine_that_was_up_already_is_not_counted_as_new(info: JobInfo) -> None:
    """It was created for an earlier job."""
    told = steps(_after(info, "running", RUNNING._replace(boot_s=None)), None)

    assert "for an earlier job" == told[1].note
    assert "was up already" == told[2].note
    assert 10.0 == told[3].since


def test_a_machine_that_waited_for_a_retry_is_this_jobs_own(info: JobInfo) -> None:
    """It booted for the first attempt; the second only runs."""
    failed = ENDED._replace(outcome="error")
    again = ENDED._replace(number=2, boot_s=None, started_at=14.0)
    waiting = Life.of(_machine(state="started", events=EVENTS[1:]))

    told = steps(_after(info, "retrying", failed), waiting)
    assert "the machine waits for the next attempt" == told[4].note
    told = steps(_after(info, "succeeded", failed, again), Life())
    assert "0.40\N{NO-BREAK SPACE}s" == told[2].figure
    assert 10.0 == told[2].at


def test_the_page_of_a_job_tells_its_machines_whole_life(
    browser: FlaskClient, finished: Finished
) -> None:
    """On a real machine: created, booted, ran, gone, with times and cost."""
    job = finished(browser, browser.post("/report", data={"title": "x", "pages": "2"}))

    assert ["Stored", "Machine created", "Booted", "Ran", "Gone"] == [
        step["name"] for step in job["steps"]
    ]
    assert ["past"] * 5 == [step["mark"] for step in job["steps"]]
    assert all(step["at"] for step in job["steps"])
    assert job["settled"]
    assert job["usd"] > 0
    page = browser.get(f"/job/{job['id']}").text
    assert "and nothing here: it was emulated" in page
    assert "shared-cpu-1x@512mb" in page
    assert "job.js" not in page


def test_a_retry_counts_down_and_names_its_attempt(browser: FlaskClient) -> None:
    """In the page as the server makes it, without any script."""
    mail = {"to": "busy-1@example.com", "subject": "Hello", "body": "Text"}
    answer = browser.post("/mail", data=mail)
    with browser.get(f"{answer.location}/events", buffered=False) as stream:
        told = b"".join(
            chunk.encode() if isinstance(chunk, str) else chunk
            for chunk in stream.response
        ).decode()

    assert "Attempt 2 of 4 in <span role=" in told.replace("\\", "")
    assert "That did not work. Attempt 2 of 4 follows." in told
    job = browser.get(f"{answer.location}.json").get_json()
    assert ("succeeded", 2) == (job["status"], len(job["attempts"]))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0, "$0"), (0.0000026, "$0.0000026"), (0.0123, "$0.012"), (1.5, "$1.50")],
)
def test_small_amounts_keep_two_digits(amount: float, shown: str) -> None:
    """A job costs millionths."""
    assert shown == usd(amount)


def test_lengths_that_go_on_read_like_a_clock() -> None:
    """As the script goes on with them."""
    assert ["0.0 s", "59.9 s", "1 min 05 s"] == [clock(n) for n in (0.0, 59.94, 65.2)]
    assert ["4 s", "0 s", "2 min 00 s"] == [countdown(n) for n in (3.2, 0.0, 120.0)]
