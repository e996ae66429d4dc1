"""What a machine sends of what a job prints: when, and from where."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from worker_lib.calls.codec import Codec
from worker_lib.calls.pieces import Piece, open_piece
from worker_lib.runtime import following as module
from worker_lib.runtime.following import Following
from worker_lib.runtime.lease import NOTHING_PRINTED
from worker_lib.runtime.output import Kept
from worker_lib.runtime.reports import Reports
from worker_lib.store.claims import ClaimedJob

if TYPE_CHECKING:
    from worker_lib.runtime.reports import SentPiece

CODEC = Codec("s" * 32, "tests", max_bytes=1 << 20)
JOB = ClaimedJob("j1", "3", 1, 5.0, "jobs:add", "", b"", b"", b"", 0)
OTHER = JOB._replace(id="j2")
NEVER = float("inf")
OURS, FOLLOWED, LOST = 1, 2, 0


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Following:
    """One that follows a job, with a clock that stands still."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    made = Following(Reports(lambda: CODEC))
    made.begin("j1:3")
    return made


def kept(text: bytes, limit: int = 1000) -> Kept:
    """Return what is kept of a text."""
    made = Kept(limit)
    made.add(text)
    return made


def opened(sent: SentPiece) -> Piece:
    """Return a piece as who follows reads it."""
    start, end, sealed = sent
    piece = open_piece(CODEC, sealed, "j1", "3")
    assert (start, end) == (piece.start, piece.end)
    return piece


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let time pass."""
    now = time.monotonic() + seconds
    monkeypatch.setattr(time, "monotonic", lambda: now)


def test_all_so_far_is_sent_first_and_then_what_is_new(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a second at most; a moment later, so that a line is whole."""
    printed = kept(b"one\n")
    assert 100.02 == following.due_at(JOB, printed)
    assert NOTHING_PRINTED == following.piece(JOB, printed)
    pass_time(monkeypatch, 0.03)
    first = following.piece(JOB, printed)
    assert Piece(0, b"one\n") == opened(first)
    following.told(JOB, first, FOLLOWED)
    assert NEVER == following.due_at(JOB, printed)

    printed.add(b"two\n")
    assert 0.9 < following.due_at(JOB, printed) - time.monotonic() <= 1
    pass_time(monkeypatch, 1)
    assert Piece(4, b"two\n") == opened(following.piece(JOB, printed))


def test_what_was_not_accepted_is_sent_again_later(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis may be away; it is not asked all the time."""
    printed = kept(b"one\n")
    following.due_at(JOB, printed)
    pass_time(monkeypatch, 1)
    following.told(JOB, following.piece(JOB, printed), None)
    assert 2 < following.due_at(JOB, printed) - time.monotonic() < 5

    printed.add(b"two\n")
    pass_time(monkeypatch, 5)
    assert Piece(0, b"one\ntwo\n") == opened(following.piece(JOB, printed))


def test_only_the_job_that_is_followed_is_sent(following: Following) -> None:
    """Not the one that runs before it, nor one whose follower has gone."""
    printed = kept(b"x")
    assert NEVER == following.due_at(OTHER, printed)
    assert NEVER == following.due_at(None, printed)
    assert 100 < following.due_at(JOB, printed) < NEVER

    following.told(JOB, NOTHING_PRINTED, OURS)
    assert NEVER == following.due_at(JOB, printed)
    following.told(JOB, NOTHING_PRINTED, FOLLOWED)  # somebody came back
    assert 100 < following.due_at(JOB, printed) < NEVER


def test_after_many_pieces_all_is_sent_anew(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis drops those before: it never holds more than so much of an attempt."""
    monkeypatch.setattr(module, "_MOST_BYTES", 600)
    printed = Kept(200)
    starts: list[int] = []
    for _ in range(20):
        printed.add(b"x" * 99 + b"\n")
        following.due_at(JOB, printed)
        pass_time(monkeypatch, 1)
        sent = following.piece(JOB, printed)
        starts.append(opened(sent).start)
        following.told(JOB, sent, FOLLOWED)

    assert 0 == starts[0]
    assert 3 <= starts.count(0) <= 8
    assert any(starts)


def test_nothing_is_sent_where_nothing_is_kept(following: Following) -> None:
    """With `WORKER_LIB_MAX_OUTPUT=0`."""
    assert NEVER == following.due_at(JOB, kept(b"x" * 50, limit=0))


def test_a_job_that_was_taken_away_ends_nothing_else(following: Following) -> None:
    """Its runner is told by who renewed the lease."""
    printed = kept(b"x")
    following.due_at(JOB, printed)
    following.told(JOB, NOTHING_PRINTED, LOST)
    following.told(OTHER, NOTHING_PRINTED, OURS)

    assert following.due_at(JOB, printed) < NEVER
