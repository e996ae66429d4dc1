"""What people do with machines, done by hand, and seen at Fly's stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jobs import waits_for
from waiting import until

from worker_lib.inspection import audits, machines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tabs import Tab

    from worker_lib import Job
    from worker_lib.client.client import Client


@pytest.fixture
def job(own: Client, tmp_path: Path) -> Job[str]:
    """A job that runs on a machine until a file is there."""
    started = tmp_path / "started"
    job = waits_for.delay(str(tmp_path / "gate"), str(started))
    until(started.exists, within=50)
    return job


@pytest.mark.parametrize(
    ("action", "word"), [("stop-machine", "stopped"), ("destroy-machine", "destroyed")]
)
def test_end_a_machine(
    job: Job[str], open_tab: Callable[..., Tab], tmp_path: Path, action: str, word: str
) -> None:
    """After a question; its job runs on another one."""
    first = job.info().machine_id
    tab = open_tab()
    tab.goto("machines")
    row = f'tr:has-text("{first}")'
    tab.act(action, within=row)
    tab.page.get_by_role("link", name="Leave it").click()
    assert first in [one.machine_id for one in machines()]
    tab.act(action, within=row)
    tab.agree()
    tab.told(f"{first} is {word}")
    (tmp_path / "gate").touch()

    assert job.id == job.result(timeout=50)
    assert first not in [one.machine_id for one in machines()]
    assert first != job.info().machine_id
    assert [action] == [entry.what for entry in audits()]
    assert ([], []) == (tab.faults, tab.reports)


def test_sweep(own: Client, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab()
    tab.goto("machines")
    tab.act("sweep")
    tab.told("Nothing was lost")

    assert ["sweep"] == [entry.what for entry in audits()]
