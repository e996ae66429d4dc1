"""What a job has printed, verified and put together for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker_lib.calls.pieces import line_on_cut, open_piece, whole
from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.calls.codec import Codec
    from worker_lib.calls.pieces import Piece
    from worker_lib.store.printed import Printed

__all__ = ["BEGINNING", "LogText", "Position", "check_attempt", "read_on"]


class Position(NamedTuple):
    """Up to where somebody has read what a job printed.

    Attributes:
        fence: Of the attempt that was read last; 0 for none.
        at: So many bytes of it were read.
        is_done: It has ended, and nothing more of it is wanted.
        is_named: There were several attempts, so each is named.
        is_open: The last line that was read has not ended.
    """

    fence: int = 0
    at: int = 0
    is_done: bool = False
    is_named: bool = False
    is_open: bool = False

    def __str__(self) -> str:
        """Return it for `parse`."""
        return "-".join(str(int(one)) for one in self)

    @classmethod
    def parse(cls, text: str) -> Position:
        """Return the position that a text stands for; "" is the beginning.

        Raises:
            ConfigError: it is none.
        """
        try:
            fence, at, *flags = map(int, text.split("-")) if text else (0, 0, 0, 0, 0)
            done, named, is_open = map(bool, flags)
        except ValueError:
            remedy = "use that of the last answer, or none"
            problem = f"{text!r} is no position in what a job printed"
            raise ConfigError(Problem(problem, remedy, "position")) from None
        return cls(fence, at, done, named, is_open)


BEGINNING = Position()


class LogText(NamedTuple):
    """Text that an attempt printed.

    Attributes:
        attempt: Its number; 0 if that is no longer known.
        text: Whole characters, as printed: make it fit for a terminal with `printable`.
        name: A line that names the attempt, to be shown before; or "".
    """

    attempt: int
    text: str
    name: str = ""


def read_on(
    codec: Codec,
    job_id: str,
    printed: Printed,
    position: Position,
    attempt: int | None = None,
) -> tuple[list[LogText], Position]:
    """Return what was printed beyond a position, and the position after it.

    Args:
        codec: Verifies what machines have signed.
        job_id: Whose it is.
        printed: What Redis has beyond the position.
        position: Of the last time.
        attempt: Number of the only one that is wanted; None: all.

    Raises:
        SignatureMismatch: a machine of ours did not print that there.
    """
    reader = _Reader(codec, job_id, printed, position, attempt)
    fences = {fence for fence, _ in (*printed.sent, *printed.kept)}
    texts = [reader.read(fence) for fence in sorted(fences)]
    return [text for text in texts if text], reader.end()


def check_attempt(job_id: str, printed: Printed, attempt: int) -> None:
    """Check that a job has had an attempt.

    Raises:
        ConfigError: it has not.
    """
    count = max((printed.attempt, *(number for _, number in printed.past)))
    if not 1 <= attempt <= count:
        remedy = f"it has had {count}, counted from 1"
        problem = f"job {job_id} has had no attempt {attempt!r}"
        raise ConfigError(Problem(problem, remedy, "attempt"))


class _Reader:
    """Reads one answer of Redis, attempt by attempt."""

    def __init__(
        self,
        codec: Codec,
        job_id: str,
        printed: Printed,
        position: Position,
        attempt: int | None,
    ) -> None:
        self._codec = codec
        self._job_id = job_id
        self._printed = printed
        self._attempt = attempt
        self._position = position
        if len(self._runs()) > 1:
            self._position = position._replace(is_named=True)

    def read(self, fence: int) -> LogText | None:
        """Return what an attempt printed, as far as it was not read before."""
        position, number = self._position, self._number(fence)
        at = position.at if fence == position.fence else 0
        data, end = _beyond(self._pieces(fence), at)
        if fence == self._running:
            data, end = _held_back(data, end)
        self._position = position._replace(fence=fence, at=end, is_done=False)
        if not data or self._attempt not in {None, number}:
            return None
        text = data.decode("utf-8", "replace")
        name = self._name(number) if not at else ""
        self._position = self._position._replace(is_open=not text.endswith("\n"))
        return LogText(number, text, name)

    def end(self) -> Position:
        """Return the position after all of it."""
        printed, position = self._printed, self._position
        if printed.is_late:
            return position
        at = position.at if position.fence == printed.fence else 0
        done = not self._running
        return position._replace(fence=printed.fence, at=at, is_done=done)

    @property
    def _running(self) -> int:
        return self._printed.fence if self._printed.status == "running" else 0

    def _pieces(self, fence: int) -> list[Piece]:
        """Return the pieces of an attempt in order; the one with all of it is last."""
        place = (self._job_id, str(fence))
        found = [
            open_piece(self._codec, told, *place)
            for its_fence, told in self._printed.sent
            if its_fence == fence
        ]
        return found + [
            open_piece(self._codec, told, *place, is_all=True)
            for its_fence, told in self._printed.kept
            if its_fence == fence
        ]

    def _runs(self) -> set[int]:
        """Return the fences of all runs that are known here."""
        printed = self._printed
        fences = {fence for fence, _ in (*printed.past, *printed.sent, *printed.kept)}
        if printed.status in {"running", "succeeded", "failed"}:
            fences.add(printed.fence)
        return fences

    def _number(self, fence: int) -> int:
        """Return the attempt's number; a fence may be taken away, by a larger one."""
        printed = self._printed
        numbers = (*printed.past, (printed.fence, printed.attempt))
        return next((number for upto, number in numbers if fence <= upto), 0)

    def _name(self, number: int) -> str:
        if self._attempt is not None or not self._position.is_named:
            return ""
        before = "\n" if self._position.is_open else ""
        return f"{before}--- attempt {number or '?'} ---\n"


def _beyond(pieces: Sequence[Piece], at: int) -> tuple[bytes, int]:
    """Return what pieces have beyond a position, and where they end."""
    found: list[bytes] = []
    for piece in pieces:
        if piece.end > at:
            found.append(line_on_cut(max(0, piece.start - at)))
            found.append(piece.after(at).text)
            at = piece.end
    return b"".join(found), at


def _held_back(data: bytes, end: int) -> tuple[bytes, int]:
    """Return text without an unfinished character at its end: the rest may come."""
    text = whole(data)
    return text, end - (len(data) - len(text))
