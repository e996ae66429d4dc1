"""Which folders of ended stacks are removed, and what a stack says of its jobs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from worker_lib.errors import ConfigError
from worker_lib.local import cleanup, unfinished_text
from worker_lib.local.cleanup import Note, lock_state, remove_stale, take_note
from worker_lib.store.replies import Unfinished

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0
NAMES = iter(f"{number:012x}" for number in range(1, 10_000))


def ended(top: Path, found: Note | None, *, days_ago: float, size: int = 2000) -> Path:
    """Make the folder of a stack that ended some days ago; None: that was killed."""
    folder = top / next(NAMES)
    (folder / "redis" / "appendonlydir").mkdir(parents=True)
    (folder / "redis" / "appendonlydir" / "x.aof").write_bytes(bytes(size))
    if found is not None:
        found.write(folder)
    then = time.time() - days_ago * DAY
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))
    return folder


def note(project: Path, *, unfinished: int = 0, kept_for_days: float = -1.0) -> Note:
    """Return a note of a stack."""
    until = time.time() + kept_for_days * DAY
    return Note(
        project=str(project), unfinished={"worker_lib": unfinished}, keep_until=until
    )


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The folder of the stack that looks around."""
    folder = tmp_path / "state" / "0123456789ab"
    folder.mkdir(parents=True)
    return folder


def test_what_nobody_needs_any_more_is_removed(mine: Path, tmp_path: Path) -> None:
    """Outcomes that have expired, and those of a project that is gone."""
    top, gone = mine.parent, tmp_path / "gone"
    expired = ended(top, note(tmp_path), days_ago=2)
    empty = ended(top, None, days_ago=1, size=200)
    deserted = ended(top, note(gone, kept_for_days=5), days_ago=1)
    killed = ended(top, None, days_ago=15)
    given_up = ended(top, note(tmp_path, unfinished=1), days_ago=15)

    removed = remove_stale(mine)

    assert sorted([expired, empty, deserted, killed, given_up]) == removed
    assert [mine] == list(top.iterdir())


def test_what_somebody_may_need_stays(mine: Path, tmp_path: Path) -> None:
    """Young unfinished jobs, outcomes, what a killed stack left, what is not ours."""
    top, gone = mine.parent, tmp_path / "gone"
    kept = [
        ended(top, note(gone, unfinished=1), days_ago=13),
        ended(top, note(tmp_path, kept_for_days=1), days_ago=6),
        ended(top, None, days_ago=13),
        ended(top, note(tmp_path), days_ago=0),
        ended(top, note(tmp_path), days_ago=0.5),
    ]
    (top / "notes-of-somebody").mkdir()

    assert [] == remove_stale(mine)
    assert len(kept) + 2 == len(list(top.iterdir()))


def test_a_folder_in_use_stays(mine: Path, tmp_path: Path) -> None:
    """However old what is written in it."""
    folder = ended(mine.parent, note(tmp_path), days_ago=20)
    with lock_state(folder):
        then = time.time() - 20 * DAY
        os.utime(folder, (then, then))
        assert [] == remove_stale(mine)

    then = time.time() - 20 * DAY
    os.utime(folder, (then, then))
    assert [folder] == remove_stale(mine)


def test_old_logs_of_machines_are_removed(mine: Path) -> None:
    """A project that is used for years keeps those of a week."""
    old, new = mine / "machines" / "a.log", mine / "machines" / "b.log"
    old.parent.mkdir()
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 8 * DAY,) * 2)

    remove_stale(mine)

    assert [new] == list(mine.rglob("*.log"))


def test_a_folder_is_held_once(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers on one file would ruin it."""
    monkeypatch.setattr(cleanup, "_LOCK_TIMEOUT", 0.0)

    with (
        lock_state(mine),
        pytest.raises(ConfigError, match="another local stack of this"),
    ):
        lock_state(mine)

    lock_state(mine).close()


def test_a_note_is_there_only_while_no_stack_is(mine: Path, tmp_path: Path) -> None:
    """A stack that is killed leaves none, and what it found is brought up to date."""
    note(tmp_path, unfinished=3, kept_for_days=2).write(mine)

    found = take_note(mine, tmp_path)

    assert None is Note.read(mine)
    later = found.updated({"other": 1}, 5.0)
    assert {"worker_lib": 3, "other": 1} == later.unfinished
    assert found.keep_until == later.keep_until
    assert Note(project=str(tmp_path)) == take_note(mine, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"project": "x", "other": 1}'])
def test_a_note_that_makes_no_sense_is_none(mine: Path, text: str) -> None:
    """As that of another version."""
    (mine / "left.json").write_text(text)

    assert None is Note.read(mine)


RUNS = "1 job is still running; the local stack stays up for it (at most 10 minutes)"
BOTH = (
    "2 jobs are still running or waiting; the local stack stays up for them (at most "
    "90 s); 1 job is due later, with the next program"
)


@pytest.mark.parametrize(
    ("left_over", "stay", "expected"),
    [
        (Unfinished(0, 0, 0, 0.0), 600, ""),
        (Unfinished(1, 0, 0, 0.0), 600, RUNS),
        (Unfinished(1, 1, 1, 0.0), 90, BOTH),
        (Unfinished(0, 0, 2, 0.0), 600, "2 jobs are due later, with the next program"),
    ],
)
def test_what_becomes_of_jobs_is_said(
    left_over: Unfinished, stay: float, expected: str
) -> None:
    """In one sentence, as their program ends."""
    assert expected == unfinished_text(left_over, stay)
