"""What a job prints, for a terminal: what there is, then what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.cli.output import print_json_line
from worker_lib.log_lines import parse_line
from worker_lib.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from worker_lib.client.following import LogNews
    from worker_lib.client.output import LogText
    from worker_lib.log_lines import LogLine

__all__ = ["Line", "Past", "as_lines", "show_json", "show_text"]


class Line(NamedTuple):
    """A line of an attempt.

    Attributes:
        attempt: Its number; 0 if that is no longer known.
        raw: As it was printed, without its end.
        said: What it says.
    """

    attempt: int
    raw: str
    said: LogLine

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        said = self.said._asdict()
        moment = self.raw.partition(" ")[0] if self.said.at is not None else None
        return {"attempt": self.attempt, **said, "at": moment}


class Past(NamedTuple):
    """How much is wanted of what was printed before.

    Attributes:
        lines: The last ones; None: all.
        since: Seconds since the epoch; 0: all. A line counts as printed at the time
            that it tells, or the one before it in its attempt, or else when that began.
        began: When each attempt began, by its number; for `since`.
    """

    lines: int | None = None
    since: float = 0.0
    began: dict[int, float] = {}  # noqa: RUF012 - nobody changes it

    def wants_all(self) -> bool:
        """Whether nothing is left out."""
        return self.lines is None and not self.since

    def of(self, lines: Iterable[Line]) -> list[Line]:
        """Return the lines that are wanted."""
        recent = [line for line, at in self._timed(lines) if at >= self.since]
        if self.lines is None:
            return recent
        return recent[-self.lines :] if self.lines else []

    def _timed(self, lines: Iterable[Line]) -> Iterator[tuple[Line, float]]:
        attempt, at = -1, 0.0
        for line in lines:
            if line.attempt != attempt:
                attempt, at = line.attempt, self.began.get(line.attempt, 0.0)
            at = line.said.at or at
            yield line, at


def show_text(
    news: Iterable[LogNews], past: Past, write: Callable[[str], None]
) -> bool:
    """Write text as it comes; return whether there was any.

    Args:
        news: What the job prints.
        past: How much of what was printed before `news` began.
        write: Takes text that a terminal may show.
    """
    text = ""
    for texts in _caught_up(news, past):
        for one in texts:
            text = one.name + one.text
            write(printable(text))
    if text and not text.endswith("\n"):
        write("\n")
    return bool(text)


def show_json(news: Iterable[LogNews], past: Past) -> None:
    """Print each line as a JSON document, as soon as it is whole."""
    for line in _whole_lines(_caught_up(news, past)):
        print_json_line(line.document())


def as_lines(texts: Iterable[LogText]) -> list[Line]:
    """Return the lines of texts; the last of each may not have ended."""
    return list(_whole_lines([list(texts)]))


def _caught_up(news: Iterable[LogNews], past: Past) -> Iterator[list[LogText]]:
    """Yield texts; what was printed before comes once it is there, and chosen."""
    before: list[LogText] | None = None if past.wants_all() else []
    for one in news:
        if before is None:
            yield list(one.texts)
            continue
        before += one.texts
        if one.is_complete:
            yield _chosen(before, past)
            before = None
    if before:
        yield _chosen(before, past)


def _chosen(texts: list[LogText], past: Past) -> list[LogText]:
    wanted = past.of(as_lines(texts))
    names = {one.attempt: one.name for one in texts if one.name}
    chosen: list[LogText] = []
    for line in wanted:
        name = names.pop(line.attempt, "").lstrip("\n")
        chosen.append(texts[0]._replace(attempt=line.attempt, text=f"{line.raw}\n"))
        chosen[-1] = chosen[-1]._replace(name=name)
    if chosen and not texts[-1].text.endswith("\n"):  # it goes on
        chosen[-1] = chosen[-1]._replace(text=wanted[-1].raw)
    return chosen


def _whole_lines(parts: Iterable[list[LogText]]) -> Iterator[Line]:
    attempt, rest = 0, ""
    for one in (text for part in parts for text in part):
        if rest and (one.attempt != attempt or one.name):
            yield Line(attempt, rest, parse_line(rest))
            rest = ""
        attempt = one.attempt
        *whole, rest = (rest + one.text).split("\n")
        for line in whole:
            yield Line(attempt, line, parse_line(line))
    if rest:
        yield Line(attempt, rest, parse_line(rest))
