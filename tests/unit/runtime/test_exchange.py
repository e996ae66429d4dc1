"""What Redis is told while jobs run: one command at a time, sent until it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker_lib.errors import StoreUnavailable
from worker_lib.runtime import outage as outage_module
from worker_lib.runtime.exchange import Exchange
from worker_lib.runtime.outage import Outage
from worker_lib.runtime.stop import Stop
from worker_lib.store.claims import Claim, ClaimedJob, Finished, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AWAY = StoreUnavailable("nobody there")
FULL = StoreUnavailable("maxmemory", reason="full")


def job(number: int) -> ClaimedJob:
    """Return a job with this number."""
    return ClaimedJob(f"j{number}", "1", 1, 5.0, "jobs:add", "", b"", b"", b"", 0)


class Redis:
    """Stands in for a machine's store, its connection, and the poller of that."""

    def __init__(self) -> None:
        self.wire = self
        self.longest = 10.0
        self.used = True
        self.sent: list[dict[str, Any]] = []
        self.refusals: list[StoreUnavailable | None] = []
        self.closed = 0
        self.handler: Callable[[], None] | None = None

    def begin_finish(self, reports: Any, **words: Any) -> None:
        self.sent.append({"reports": [*reports], **words})

    def has_reply(self) -> bool:
        return True

    def end_finish(self) -> Finished:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise refusal
        return Finished((), Claim("none"))

    def fileno(self) -> int:
        return 7

    def close(self) -> None:
        self.closed += 1

    def hurry(self) -> None:
        self.longest = 2.0

    def watch(self, _descriptor: int, handler: Callable[[], None]) -> None:
        self.handler = handler

    def forget(self, _descriptor: int) -> None:
        self.handler = None

    def answers(self) -> None:
        """Let the reply to the command under way come."""
        assert self.handler is not None
        self.handler()

    def reported(self) -> list[list[str]]:
        """Return which jobs each command told of."""
        return [[job.id for job, _ in one["reports"]] for one in self.sent]


class Smaller:
    """Stands in for what makes reports."""

    def smaller(self, _job: ClaimedJob, report: Report) -> Report:
        return report._replace(outcome=b"small", output=b"")


@pytest.fixture
def redis() -> Redis:
    """Return a Redis that answers when it is told to."""
    return Redis()


@pytest.fixture
def taken() -> list[Claim]:
    """Return what Redis answered."""
    return []


@pytest.fixture
def exchange(redis: Redis, taken: list[Claim]) -> Iterator[Exchange]:
    """Yield one that hardly pauses."""
    stop = Stop()
    stand_in: Any = redis
    smaller: Any = Smaller()
    outage = Outage(stand_in, stop, longest_pause=0.0)
    yield Exchange(stand_in, outage, smaller, stand_in, taken.append)
    stop.wakeup.close()
    stop._writer.close()


def start(exchange: Exchange, **words: Any) -> None:
    """Send what waits."""
    defaults: dict[str, Any] = {"back": [], "want": 4, "intent": "stay"}
    exchange.start(words.pop("holds", []), **(defaults | words))


def test_what_ends_meanwhile_goes_with_the_next_command(
    exchange: Exchange, redis: Redis, taken: list[Claim]
) -> None:
    """Redis is told that the machine holds it until then."""
    exchange.add(job(1), Report("succeeded"))
    start(exchange, holds=[job(2)], back=[job(3)])
    free = [exchange.is_free]
    exchange.add(job(2), Report("succeeded"))
    redis.answers()
    free.append(exchange.is_free)
    assert ([Claim("none")], [False, True]) == (taken, free)
    start(exchange)

    assert [["j1"], ["j2"]] == redis.reported()
    first = redis.sent[0]
    assert ([job(2)], [job(3)], 4) == (first["holds"], first["back"], first["want"])


def test_a_command_that_fails_is_sent_again_as_it_was(
    exchange: Exchange, redis: Redis
) -> None:
    """It may have been carried out; what has come since waits."""
    redis.refusals = [AWAY, AWAY]
    exchange.add(job(1), Report("succeeded"))
    start(exchange, holds=[job(2)], back=[job(3)])
    for _ in range(2):
        redis.answers()
        exchange.add(job(2), Report("succeeded"))
        exchange.act(exchange.due_at())
    redis.answers()

    assert redis.sent[0] == redis.sent[1] == redis.sent[2]
    assert exchange.is_free
    assert 2 == len(exchange)


def test_no_answer_is_a_failure_too(exchange: Exchange, redis: Redis) -> None:
    """The connection is closed: a late answer must not be taken for another one's."""
    exchange.add(job(1), Report("succeeded"))
    start(exchange)
    exchange.act(exchange.due_at())
    assert (1, None) == (redis.closed, redis.handler)
    exchange.act(exchange.due_at())

    assert [["j1"], ["j1"]] == redis.reported()


def test_only_so_much_is_reported_at_once(exchange: Exchange, redis: Redis) -> None:
    """Neither many outcomes nor large ones keep Redis busy; one always goes."""
    for number in range(40):
        exchange.add(job(number), Report("succeeded"))
    large = Report("succeeded", outcome=bytes(3_000_000))
    exchange.add(job(40), large)
    exchange.add(job(41), large)
    while len(exchange):
        start(exchange)
        redis.answers()

    assert [32, 8, 1, 1] == [len(one) for one in redis.reported()]
    assert [10, 2, 1, 0] == [len(one["holds"]) for one in redis.sent]


def test_a_full_redis_gets_the_smallest_outcome_first(
    exchange: Exchange, redis: Redis
) -> None:
    """What fits is not held up by what does not."""
    redis.refusals = [FULL]
    exchange.add(job(1), Report("succeeded", outcome=bytes(1000)))
    exchange.add(job(2), Report("succeeded", outcome=b"x"))
    start(exchange)
    redis.answers()
    exchange.act(exchange.due_at())
    redis.answers()

    assert [["j1", "j2"], ["j2"]] == redis.reported()
    assert [job(1)] == redis.sent[1]["holds"]
    assert 1 == len(exchange)


def test_an_outcome_that_never_fits_is_replaced(
    exchange: Exchange, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; if that does not fit either, nothing will."""
    monkeypatch.setattr(outage_module, "_FIRST_CONTACT", -1.0)
    redis.refusals = [FULL, FULL]
    exchange.add(job(1), Report("succeeded", outcome=bytes(1000), output=b"text"))
    start(exchange)
    redis.answers()
    exchange.act(exchange.due_at())
    ((_, report),) = redis.sent[1]["reports"]
    assert (b"small", b"") == (report.outcome, report.output)

    with pytest.raises(StoreUnavailable, match="maxmemory"):
        redis.answers()


def test_an_outcome_of_a_job_that_is_not_ours_is_told_no_more(
    exchange: Exchange, redis: Redis
) -> None:
    """Whether it waits, or is to be sent again."""
    redis.refusals = [AWAY]
    exchange.add(job(1), Report("succeeded"))
    start(exchange)
    redis.answers()
    exchange.add(job(2), Report("succeeded"))
    assert job(1) == exchange.first()
    for number in (1, 2):
        exchange.drop(job(number))
    exchange.act(exchange.due_at())

    assert [["j1"], []] == redis.reported()
    assert 0 == len(exchange)


def test_a_machine_in_a_hurry_waits_for_no_answer(
    exchange: Exchange, redis: Redis
) -> None:
    """And closes the connection before it says anything else."""
    exchange.add(job(1), Report("succeeded"))
    start(exchange)
    late = exchange.due_at()
    exchange.hurry()
    assert exchange.due_at() < late - 5
    exchange.give_up()

    assert (1, None) == (redis.closed, redis.handler)


def test_a_machine_in_a_hurry_that_asked_nothing_waits_for_nothing(
    exchange: Exchange,
) -> None:
    """It would take the silence for an outage."""
    exchange.hurry()

    assert float("inf") == exchange.due_at()
