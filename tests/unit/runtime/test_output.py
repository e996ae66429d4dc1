"""What is kept of an attempt's output: beginning and end, in whole characters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.runtime.output import Kept, Pipes

if TYPE_CHECKING:
    from collections.abc import Iterator


def kept(limit_bytes: int, *pieces: bytes) -> Kept:
    """Return what is kept of these."""
    found = Kept(limit_bytes)
    for piece in pieces:
        found.add(piece)
    return found


def test_what_fits_is_kept_as_it_is() -> None:
    """In order, however it was cut into pieces."""
    assert b"" == kept(10).text()
    assert b"0123456789" == kept(10, b"0123", b"", b"45", b"6789").text()


def test_of_more_the_beginning_and_the_end_are_kept() -> None:
    """With how much is missing."""
    found = kept(10, b"0123456", b"789abcde", b"fgh")

    assert "01234\n… 8 bytes cut …\ndefgh".encode() == found.text()


def test_nothing_is_kept_with_a_limit_of_nothing() -> None:
    """Not even the last lines: whoever asks for that has a reason."""
    found = kept(0, b"secret\n" * 1000)

    assert (b"", "") == (found.text(), found.tail())


@pytest.mark.parametrize("limit", range(1, 24))
def test_no_character_is_kept_in_part(limit: int) -> None:
    """What is cut of one is counted as cut."""
    printed = "aé€😀" * 20
    text = kept(limit, printed.encode()).text().decode()
    head, note, end = text.split("\n")

    assert printed.startswith(head)
    assert printed.endswith(end)
    cut = len(printed.encode()) - len((head + end).encode())
    assert f"… {cut} bytes cut …" == note


def test_bytes_that_are_no_text_are_kept_too() -> None:
    """They are shown as unreadable, not lost."""
    assert 5 + 5 <= len(kept(10, b"\x80" * 100).text()) - len("\n… 90 bytes cut …\n")


@given(st.binary(max_size=200), st.integers(0, 100), st.integers(1, 50))
def test_pieces_do_not_matter(printed: bytes, limit: int, size: int) -> None:
    """Only what was printed, and the limit; nothing is counted twice."""
    pieces = [printed[at : at + size] for at in range(0, len(printed), size)]
    found, whole = kept(limit, *pieces), kept(limit, printed)

    assert (whole.text(), whole.tail()) == (found.text(), found.tail())
    if len(printed) <= limit:
        assert printed == found.text()
    else:
        assert len(found.text()) <= limit + len("\n… 200 bytes cut …\n".encode())


def test_the_tail_is_the_last_four_kilobytes() -> None:
    """Whether something was cut or not."""
    short, long = kept(1 << 16, b"a" * 9000 + b"z"), kept(1 << 16, b"a" * 90_000 + b"z")

    assert "a" * 4095 + "z" == short.tail() == long.tail()
    assert "é"[-1:] == kept(9, b"\xa9\xc3\xa9").tail()[-1:]


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Return pipes whose child is this process."""
    found = Pipes(1 << 16)
    yield found
    found.close()


def test_an_older_pipe_is_passed_on_and_belongs_to_no_job(
    pipes: Pipes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A process of an earlier job still has it."""
    old_reader, old_writer = pipes.reader, pipes.writer
    new_reader, new_writer = os.pipe()
    pipes.follow(new_reader)
    os.write(old_writer, b"old\n")
    os.write(new_writer, b"new\n" + pipes.marker)

    assert b"new\n" == pipes.of_next_job().text()
    assert pipes.read_older(old_reader)
    assert b"new\nold\n" == capfdbinary.readouterr().out
    os.close(old_writer)
    assert not pipes.read_older(old_reader)
    assert (new_reader,) == pipes.descriptors()
    os.close(new_writer)


def test_reading_stops_though_somebody_prints_without_end(pipes: Pipes) -> None:
    """A process that escaped must not hold up the machine."""
    reads = 0

    def read_full(_descriptor: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        return b"x" * size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker_lib.runtime.output.os.read", read_full)
        patch.setattr("worker_lib.runtime.output.pass_on", lambda _data: None)
        assert pipes.read()
    assert 17 == reads
    pipes.close_writer()


@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    st.integers(1, 60),
    st.booleans(),
)
def test_a_marker_divides_the_output_of_jobs(
    printed: list[bytes], size: int, tempting: bool
) -> None:
    """However the pipe is read, and though a job prints what looks like one."""
    made = Pipes(1 << 16)
    if tempting:
        printed = [one + made.marker[:-1] for one in printed]
    data = b"".join(one + made.marker for one in printed)
    passed = bytearray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker_lib.runtime.output.pass_on", passed.extend)
        for at in range(0, len(data), size):
            os.write(made.writer, data[at : at + size])
            assert made.read()
        found = [made.of_next_job().text() for _ in printed]
    made.close_writer()
    made.close()

    assert printed == found
    assert b"".join(printed) == passed


def test_what_is_printed_between_two_jobs_belongs_to_none(
    pipes: Pipes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It is passed on all the same."""
    os.write(pipes.writer, b"between\n")
    assert pipes.read(keep=False)
    os.write(pipes.writer, b"mine\n")

    assert b"mine\n" == pipes.of_next_job().text()
    assert b"between\nmine\n" == capfdbinary.readouterr().out
    pipes.close_writer()
