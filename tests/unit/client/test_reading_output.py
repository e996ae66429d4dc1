"""Reading on in what a job printed: nothing twice, nothing missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib import ConfigError
from worker_lib.calls.codec import Codec
from worker_lib.calls.pieces import Piece, seal_piece
from worker_lib.client.output import BEGINNING, Position, check_attempt, read_on
from worker_lib.store.printed import Printed

CODEC = Codec("s" * 32, "tests", max_bytes=1 << 20)
JOB = "j1"


def sent(fence: int, *pieces: Piece) -> tuple[tuple[int, bytes], ...]:
    """Return pieces as a machine sends them."""
    return tuple((fence, seal_piece(CODEC, one, JOB, str(fence))) for one in pieces)


def kept(fence: int, piece: Piece) -> tuple[tuple[int, bytes], ...]:
    """Return all that is kept of an attempt."""
    return ((fence, seal_piece(CODEC, piece, JOB, str(fence), is_all=True)),)


def printed(status: str = "running", fence: int = 1, **told: Any) -> Printed:
    """Return what Redis answers."""
    empty = {"attempt": 1, "past": (), "is_late": False, "sent": (), "kept": ()}
    return Printed(status, fence, **{**empty, **told})  # type: ignore[arg-type]


def read(
    position: Position, found: Printed, attempt: int | None = None
) -> tuple[str, Position]:
    """Read on; return what is shown, and the position."""
    texts, after = read_on(CODEC, JOB, found, position, attempt)
    return "".join(one.name + one.text for one in texts), after


@given(st.text(min_size=1, max_size=40), st.data())
def test_however_a_text_comes_it_is_read_once(text: str, data: st.DataObject) -> None:
    """Pieces overlap, come twice, end within characters; in the end there is all."""
    whole = text.encode()
    position, shown, at = BEGINNING, "", 0
    while at < len(whole):
        end = data.draw(st.integers(at + 1, len(whole)))
        start = data.draw(st.sampled_from([0, max(0, at - 2), at]))
        pieces = [Piece(start, whole[start:end])] * data.draw(st.integers(1, 2))
        now, after = read(position, printed(sent=sent(1, *pieces)))
        shown, position = shown + now, Position.parse(str(after))
        assert text.startswith(shown)
        if data.draw(st.booleans()):
            break  # nobody reads on before it has ended
        at = max(position.at, at + (end == len(whole)))
    rest, after = read(position, printed("succeeded", kept=kept(1, Piece(0, whole))))

    assert text == shown + rest
    assert after.is_done


def test_a_line_says_what_is_missing() -> None:
    """What was cut while it was sent, and between pieces, and in the end."""
    first = Piece(0, b"begin\n", 10, b"end of it\n")
    text, position = read(BEGINNING, printed(sent=sent(1, first)))
    assert "begin\n\n… 10 bytes cut …\nend of it\n" == text
    assert 26 == position.at

    text, position = read(position, printed(sent=sent(1, Piece(30, b"more\n"))))
    assert "\n… 4 bytes cut …\nmore\n" == text

    rest = Piece(0, b"begin\n", 40, b"last\n")
    text, _ = read(position, printed("failed", kept=kept(1, rest)))
    assert "\n… 11 bytes cut …\nlast\n" == text


def test_an_attempt_that_follows_is_named_on_a_line_of_its_own() -> None:
    """The first is not, as long as it is the only one."""
    text, position = read(BEGINNING, printed(sent=sent(1, Piece(0, b"one"))))
    assert "one" == text

    rest = kept(1, Piece(0, b"one!"))
    text, position = read(position, printed("retrying", past=((1, 1),), kept=rest))
    assert "!" == text
    assert position.is_done

    text, position = read(position, printed(fence=2, attempt=2, past=((1, 1),)))
    assert "" == text
    text, position = read(
        position, printed(fence=2, attempt=2, sent=sent(2, Piece(0, b"two")))
    )
    assert "\n--- attempt 2 ---\ntwo" == text
    more = sent(2, Piece(3, b" more\n"))
    text, _ = read(position, printed(fence=2, attempt=2, sent=more))
    assert " more\n" == text


def test_who_comes_late_reads_all_attempts_with_their_names() -> None:
    """One that is handed back keeps its number; a lost one is what was followed."""
    found = printed(
        fence=5,
        attempt=2,
        past=((1, 1), (3, 2)),
        sent=(*sent(3, Piece(0, b"lost\n")), *sent(5, Piece(0, b"now\n"))),
        kept=kept(1, Piece(0, b"first\n")),
    )
    expected = "--- attempt 1 ---\nfirst\n--- attempt 2 ---\nlost\n"
    expected += "--- attempt 2 ---\nnow\n"

    assert expected == read(BEGINNING, found)[0]
    assert "lost\nnow\n" == read(BEGINNING, found, 2)[0]


def test_a_cancelled_attempt_is_known_though_its_fence_was_taken() -> None:
    """What it printed may come later: until then the position stays."""
    text, position = read(BEGINNING, printed(sent=sent(1, Piece(0, b"so far\n"))))
    text, position = read(position, printed("cancelled", fence=2, is_late=True))
    assert ("", False) == (text, position.is_done)

    late = kept(1, Piece(0, b"so far\nand on\n"))
    text, position = read(position, printed("cancelled", fence=2, kept=late))
    assert ("and on\n", True) == (text, position.is_done)
    text, _ = read(BEGINNING, printed("cancelled", fence=2, kept=late), 1)
    assert "so far\nand on\n" == text


def test_what_is_no_position_is_refused() -> None:
    """The beginning is an empty text."""
    assert BEGINNING == Position.parse("")
    assert Position(3, 12, is_open=True) == Position.parse("3-12-0-0-1")
    for text in ("x", "1-2", "1-2-3-4-5-6", "1-2-x-0-0"):
        with pytest.raises(ConfigError, match="is no position"):
            Position.parse(text)


def test_only_an_attempt_that_was_can_be_asked_for() -> None:
    """One that was lost keeps its number though the job's is lower again."""
    found = printed("queued", fence=3, attempt=0, past=((1, 1),))
    check_attempt(JOB, found, 1)
    for number in (0, 2, -1):
        with pytest.raises(ConfigError, match="it has had 1, counted from 1"):
            check_attempt(JOB, found, number)
