"""Jobs that are sent to a child ahead, and how each of them ends."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from children import claimed, fork, jobs_of, turn

from worker_lib.runtime.link import ChildLink
from worker_lib.runtime.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from worker_lib.runtime.ended import Ended


@pytest.fixture
def poller() -> Poller:
    """Return one that watches nothing yet."""
    return Poller()


@pytest.fixture
def link(poller: Poller) -> Iterator[ChildLink]:
    """Yield a link to a child that is loading."""
    made = ChildLink(fork(), poller)
    yield made
    made.kill()


def ends(link: ChildLink) -> list[Ended]:
    """Return how jobs ended."""
    return [ended for _, ended in link.ended]


def test_jobs_that_were_sent_ahead_run_in_their_order(
    link: ChildLink, poller: Poller, tmp_path: Path
) -> None:
    """Without a word in between; each with its own time and outcome."""
    path = str(tmp_path / "notes")
    jobs = [claimed("jobs:notes", path, str(number)) for number in range(20)]
    link.send(jobs_of(*jobs))
    turn(poller, lambda: not link.sent)

    assert [str(number) for number in range(20)] == (
        tmp_path / "notes"
    ).read_text().split()
    assert jobs == [job for job, _ in link.ended]
    assert {"succeeded"} == {one.status for one in ends(link)}
    moments = [one.usage.ended_at for one in ends(link)]
    assert sorted(moments) == moments
    assert all(one.usage.ran > 0 for one in ends(link))


def test_what_has_not_begun_can_be_taken_back(
    link: ChildLink, poller: Poller, tmp_path: Path
) -> None:
    """It never runs, and what is sent later does."""
    gate, started, path = tmp_path / "gate", tmp_path / "started", tmp_path / "notes"
    first = claimed("jobs:waits_for", str(gate), str(started))
    others = [claimed("jobs:notes", str(path), "taken back") for _ in range(3)]
    link.send(jobs_of(first, *others))
    turn(poller, started.exists)
    assert others == link.take_back()
    assert [first] == list(link.sent)
    later = claimed("jobs:notes", str(path), "later")
    link.send(jobs_of(later))
    gate.touch()
    turn(poller, lambda: not link.sent)

    assert [first, later] == [job for job, _ in link.ended]
    assert "later\n" == path.read_text()


def test_a_crash_ends_the_job_that_ran_and_no_other(
    link: ChildLink, poller: Poller, tmp_path: Path
) -> None:
    """Nor one that had ended before, though nobody had heard of that yet."""
    path = str(tmp_path / "notes")
    jobs = [claimed("jobs:notes", path, "ran"), claimed("jobs:exits_hard", 3)]
    others = [claimed("jobs:notes", path, "not begun") for _ in range(3)]
    link.send(jobs_of(*jobs, *others))
    turn(poller, lambda: link.death)

    told = [(one.status, one.kind, one.exit_code) for one in ends(link)]
    assert [("succeeded", None, None), ("failed", "exit", 3)] == told
    assert others == list(link.sent)
    assert "ran\n" == (tmp_path / "notes").read_text()


def test_the_end_of_a_short_job_wakes_its_supervisor_once(
    link: ChildLink, poller: Poller
) -> None:
    """Not for its output as well, which is heard when no job runs, or a long one."""
    reader = link.process.output.reader
    link.send(jobs_of(claimed("jobs:says", "text")))
    link.hear_output_at = float("inf")  # however slow this computer is
    woken = []
    while link.sent:
        woken += poller.wait(1.0)
        poller.handle(woken[-1:])

    assert reader not in woken
    assert [b"text\n"] == [one.printed.text() for one in ends(link) if one.printed]
    assert float("inf") == link.hear_output_at


def test_each_job_has_its_own_output(
    link: ChildLink, poller: Poller, capfd: pytest.CaptureFixture[str]
) -> None:
    """Though the supervisor reads it when several have ended."""
    link.send(jobs_of(*(claimed("jobs:says", f"text {n}") for n in range(5))))
    turn(poller, lambda: not link.sent)

    kept = [one.printed.text() for one in ends(link) if one.printed]
    assert [f"text {number}\n".encode() for number in range(5)] == kept
    out, _ = capfd.readouterr()
    assert [f"text {number}" for number in range(5)] == out.split("\n")[:5]


def test_processes_that_several_jobs_left_behind_keep_their_pipes(
    link: ChildLink, poller: Poller
) -> None:
    """Each job prints into its own; none of the pipes is mixed up or lost."""
    code = "import subprocess; subprocess.Popen(['sleep', '5']); print('done')"
    jobs = [claimed("builtins:exec", code) for _ in range(3)]
    link.send(jobs_of(*jobs, claimed("jobs:says", "last")))
    turn(poller, lambda: not link.sent)

    kept = [one.printed.text() for one in ends(link) if one.printed]
    assert [b"done\n"] * 3 + [b"last\n"] == kept
    assert len(link.process.output.descriptors()) in {4, 5}  # the last may have ended


def test_a_child_that_ends_while_it_has_nothing_to_do_is_held_against_nobody(
    link: ChildLink, poller: Poller
) -> None:
    """What it was sent meanwhile has not begun."""
    link.send(jobs_of(claimed("jobs:add", 1)))
    turn(poller, lambda: not link.sent)
    os.kill(link.process.pid, signal.SIGKILL)
    job = claimed("jobs:add", 2)
    os.waitid(os.P_PID, link.process.pid, os.WEXITED | os.WNOWAIT)
    link.send(jobs_of(job))
    turn(poller, lambda: link.death)

    assert link.death is not None
    assert "not_started" == link.death.kind
    assert [job] == list(link.sent)
    assert ["succeeded"] == [one.status for one in ends(link)]


def test_a_large_job_waits_until_the_child_has_nothing_else(
    link: ChildLink, poller: Poller, tmp_path: Path
) -> None:
    """Only so much is sent ahead; and nobody waits for a full channel."""
    gate = tmp_path / "gate"
    first = claimed("jobs:waits_for", str(gate))
    large = [claimed("jobs:echo", os.urandom(100_000)) for _ in range(2)]
    waiting = jobs_of(first, claimed("jobs:add", 1), *large)
    link.send(waiting)
    assert large == list(waiting)
    gate.touch()
    turn(poller, lambda: not (link.sent or waiting), act=lambda: link.send(waiting))

    assert ["succeeded"] * 4 == [one.status for one in ends(link)]
    assert min(len(one.envelope) for one in ends(link)[2:]) > 100_000


def test_code_that_the_child_lacks_is_told_and_then_sent_again(
    link: ChildLink, poller: Poller
) -> None:
    """A second time, it is no longer in Redis: the job fails with that cause."""
    job = claimed("jobs:add", 1, code_hash="0" * 32)
    link.send(jobs_of(job))
    turn(poller, lambda: not link.sent)
    link.send(jobs_of(job))
    turn(poller, lambda: not link.sent)

    assert ["forgotten", "failed"] == [one.status for one in ends(link)]
