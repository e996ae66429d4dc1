"""Following what jobs print, with real machines: processes that end, die and retry."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis
from waiting import until

from worker_lib import ConfigError, Job, JobNotFound, Retry, current_job, fly_task
from worker_lib.client.following import HOLD
from worker_lib.client.output import BEGINNING
from worker_lib.dashboard.pages.job import FEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

one_machine = fly_task(max_machines=1, linger="20s", timeout="40s")


class Reader:
    """Follows a job in a thread."""

    def __init__(self, job: Job[Any], **options: Any) -> None:
        self.error: BaseException | None = None
        self.parts: list[tuple[float, str]] = []
        self._news = self._followed(job, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """All that was read so far."""
        return "".join(text for _, text in self.parts)

    def all(self, within: float = 30.0) -> str:
        """Return all that was read, once there is no more."""
        self._thread.join(within)
        assert not self._thread.is_alive(), f"it goes on after {self.text!r}"
        if self.error is not None:
            raise self.error
        return self.text

    def at(self, words: str) -> float:
        """Return when these words had come."""
        read = ""
        for moment, text in self.parts:
            read += text
            if words in read:
                return moment
        raise AssertionError(f"{words!r} is not in {read!r}")

    def _followed(self, job: Job[Any], **options: Any) -> Iterator[str]:
        news: Iterator[str] = job.logs(follow=True, **options)
        return news

    def _run(self) -> None:
        try:
            for text in self._news:
                self.parts.append((time.time(), text))
        except BaseException as error:  # noqa: BLE001 - raised where it is looked at
            self.error = error


class Viewer(Reader):
    """Follows a job as its page does, until it is closed."""

    is_closed = False

    def _followed(self, job: Job[Any], **query: str) -> Iterator[str]:
        for event in FEED.follow({"id": job.id, "last_event_id": "", **query}):
            if event is not None:
                yield event.data
            if self.is_closed:
                return


@one_machine
def counts(number: int, pause: float, gate: str = "") -> None:
    """Print lines with the time in them, then wait for a file."""
    for line in range(number):
        print(f"line {line} at {time.time():.3f}")
        time.sleep(pause)
    while gate and not os.path.exists(gate):
        time.sleep(0.01)


def lines(text: str) -> list[str]:
    """Return what lines begin with."""
    return [line.partition(" at ")[0] for line in text.splitlines()]


def numbered(count: int) -> list[str]:
    """Return what so many lines begin with."""
    return [f"line {number}" for number in range(count)]


def test_a_queued_job_is_followed_to_its_end_within_a_second(client: Client) -> None:
    """Each line is read about when it is printed, and none of them twice."""
    job = counts.delay(12, 0.2)
    reader = Reader(job)

    text = reader.all()
    assert numbered(12) == lines(text)
    for line in text.splitlines():
        late = reader.at(line) - float(line.split()[-1])
        assert late < 1.6, "0.95 s, and what a busy computer adds"
    assert text == job.logs()


def test_who_comes_late_reads_first_what_was_printed(
    client: Client, tmp_path: Path
) -> None:
    """Several at once, each from the beginning; then one who finds it over."""
    gate = tmp_path / "gate"
    job = counts.delay(5, 0.01, str(gate))
    until(lambda: job.status == "running")
    first = Reader(job)
    until(lambda: numbered(5) == lines(first.text))
    others = [Reader(job) for _ in range(3)]
    for one in others:
        until(lambda one=one: numbered(5) == lines(one.text))  # type: ignore[misc]
    gate.touch()

    texts = {one.all() for one in (first, *others)}
    assert texts == {job.logs()} == {Reader(job).all()}


def test_a_new_attempt_is_named_as_in_logs(client: Client, tmp_path: Path) -> None:
    """Though the first was not: it was the only one when it was read."""
    gate = tmp_path / "gate"

    @fly_task(max_machines=1, retry=Retry(max_attempts=3, backoff="200ms"))
    def fails_twice() -> None:
        number = current_job().attempt
        print(f"this is {number}", end="", flush=True)
        while not gate.exists():
            time.sleep(0.01)
        if number < 3:
            raise OSError("once more")

    job = fails_twice.delay()
    reader = Reader(job)
    until(lambda: reader.text)
    gate.touch()
    text = reader.all()

    assert f"--- attempt 1 ---\n{text}\n" == job.logs()
    assert "this is 2" == Reader(job, attempt=2).all() == job.logs(2)


def test_one_attempt_is_followed_before_it_begins(client: Client) -> None:
    """And no longer than it takes; one that never comes is an error."""

    @fly_task(max_machines=1, retry=Retry(max_attempts=3, backoff="100ms"))
    def fails() -> None:
        print(f"this is {current_job().attempt}")
        raise OSError("always")

    job = fails.delay()
    second, ninth = Reader(job, attempt=2), Reader(job, attempt=9)

    assert "this is 2\n" == second.all()
    with pytest.raises(ConfigError, match="it has had 3"):
        ninth.all()


@pytest.mark.processes_only("it kills a process of this computer")
def test_what_a_lost_machine_had_sent_is_there_and_the_next_is_followed(
    client: Client, tmp_path: Path
) -> None:
    """What was followed remains, in `logs()` too, as long as the job."""
    gate = tmp_path / "gate"

    @fly_task(max_machines=1, retry=Retry(max_attempts=2))
    def talks() -> None:
        print(f"here is {os.getppid()}")
        while not gate.exists():
            time.sleep(0.01)
        print("at last")

    job = talks.delay()
    reader = Reader(job)
    until(lambda: reader.text.endswith("\n"))
    first = reader.text
    os.kill(int(first.split()[-1]), signal.SIGKILL)
    until(lambda: reader.text.count("here is") == 2, within=40)
    gate.touch()

    text = reader.all()
    assert text.startswith(f"{first}--- attempt 1 ---\nhere is ")
    assert text.endswith("\nat last\n")
    assert f"--- attempt 1 ---\n{text}" == job.logs()


def test_what_a_cancelled_job_still_prints_is_read(client: Client) -> None:
    """Until its machine has reported it."""

    @one_machine
    def cleans_up() -> None:
        try:
            print("works")
            time.sleep(30)
        finally:
            time.sleep(0.3)
            print("cleaned up")

    job = cleans_up.delay()
    reader = Reader(job)
    until(lambda: "works" in reader.text)
    job.cancel()

    assert "works\ncleaned up\n" == reader.all() == job.logs()


def test_a_job_that_prints_much_is_skipped_through(client: Client) -> None:
    """With the number of bytes; what is kept in the end is whole."""

    @one_machine
    def floods() -> None:
        number, end = 0, time.monotonic() + 3
        while time.monotonic() < end:
            number += 1
            print(f"{number:09d} {'x' * 90}")

    job = floods.delay()
    reader = Reader(job)
    text = reader.all()

    ran = (job.attempts[0].ended_at or 0) - job.attempts[0].started_at
    assert len(text) < (ran + 2) * (1 << 16)
    assert text.startswith("000000001 x")
    assert " bytes cut …\n" in text
    assert text[-1000:] == job.logs()[-1000:]


def test_a_page_reads_on_from_a_position(client: Client, tmp_path: Path) -> None:
    """In as many answers as it asks for, whoever gives them; then it is over."""
    gate = tmp_path / "gate"
    job = counts.delay(20, 0.1, str(gate))
    found = [client.logs.look(job.id, hold=HOLD)]

    def read() -> bool:
        found.append(client.logs.look(job.id, found[-1].position, hold=HOLD))
        return found[-1].is_over

    until(lambda: read() or lines("".join(one.text for one in found)) == numbered(20))
    assert "running" == found[-1].status
    gate.touch()
    until(read)

    assert job.logs() == "".join(one.text for one in found)
    assert ("succeeded", 1) == (found[-1].status, found[-1].attempt)
    assert "" == client.logs.look(job.id, found[-1].position).text


def test_following_ends_when_time_is_over(client: Client, tmp_path: Path) -> None:
    """0 seconds read what is there."""
    gate = tmp_path / "gate"
    job = counts.delay(3, 0.01, str(gate))
    first = Reader(job)
    until(lambda: "line 2" in first.text, 30)
    began = time.monotonic()
    text = Reader(job, timeout=3).all(within=5)
    assert 3 <= time.monotonic() - began < 4.5
    assert numbered(3) == lines(text)

    assert text == Reader(job, timeout=0).all(within=1)
    gate.touch()
    job.result(timeout=20)


def test_a_job_that_is_not_there_is_an_error(client: Client) -> None:
    """Also one that is deleted while it is followed."""
    with pytest.raises(JobNotFound):
        next(iter(Job("0" * 20, client).logs(follow=True)))
    later = counts.options(delay="1h").delay(1, 0.0)
    reader = Reader(later)
    time.sleep(0.3)
    later.delete()

    for one in (reader, Reader(later)):
        with pytest.raises(JobNotFound):
            one.all()


def test_async_code_follows_beside_other_things(client: Client) -> None:
    """And whoever goes away leaves no thread behind."""

    async def follow(job: Job[Any], most: int) -> str:
        text = ""
        news = job.alogs()
        async for part in news:
            text += part
            if text.count("\n") >= most:
                await news.aclose()
        return text

    async def both() -> tuple[str, str]:
        job = counts.delay(6, 0.3)
        return await asyncio.gather(follow(job, 99), follow(job, 1))

    whole, part = asyncio.run(both())
    assert numbered(6) == lines(whole)
    assert whole.startswith(part)
    assert 1 <= part.count("\n") < 6
    until(lambda: not [t for t in threading.enumerate() if "follow" in t.name])


@pytest.fixture
def patient(make_emulator: Callable[..., Emulator], make_client: Any) -> Client:
    """A client whose machines renew their leases every ten seconds, as in real use."""
    made: Client = make_client(make_emulator(), lease_ttl=30.0)
    return made


@pytest.mark.parametrize(("kind", "count"), [(Reader, 1), (Viewer, 1), (Viewer, 4)])
def test_two_commands_a_second_are_enough(
    patient: Client, settings: Any, tmp_path: Path, kind: type[Reader], count: int
) -> None:
    """Also for several who look at its page; none, while nobody follows."""
    gate = tmp_path / "gate"
    job = counts.options(timeout="1m").delay(200, 0.05, str(gate))
    until(lambda: job.status == "running")
    time.sleep(2)  # it listens for words from now on
    with commands(settings.redis_url) as alone:
        time.sleep(1)
    readers = [kind(job) for _ in range(count)]
    until(lambda: all(len(lines(one.text)) > 40 for one in readers))
    with commands(settings.redis_url) as followed:
        time.sleep(4)
    gate.touch()

    assert {one.all() for one in readers} == {job.logs()}
    assert [] == about(alone, job.id)
    assert 4 <= len(about(followed, job.id)) <= 8


@contextmanager
def commands(url: str) -> Iterator[list[str]]:
    """Note the commands that are sent meanwhile, without what scripts do."""
    found: list[str] = []
    with redis.Redis.from_url(url) as connection, connection.monitor() as monitor:
        yield found
        connection.execute_command("ECHO", "the end")
        one: Any = monitor.next_command()
        while "the end" not in one["command"]:
            if one["client_type"] != "lua":
                found.append(one["command"])
            one = monitor.next_command()


def about(found: list[str], job_id: str) -> list[str]:
    """Return the commands that are about a job, and checks of connections."""
    return [one for one in found if job_id in one or one == "PING"]


def test_who_looks_at_a_page_goes_on_from_what_it_shows(
    client: Client, tmp_path: Path
) -> None:
    """Each from another place, nothing twice; when all have gone, nothing is read."""
    gate = tmp_path / "gate"
    job = counts.delay(30, 0.1, str(gate))
    first, places = Viewer(job), [BEGINNING]
    for words in ("line 3 ", "line 15 "):
        until(lambda words=words: words in first.text)  # type: ignore[misc]
        places.append(client.logs.look(job.id, places[-1]).position)
    later = [Viewer(job, position=str(place)) for place in places]
    gone = Viewer(job)
    until(lambda: gone.text)
    gone.is_closed = True
    gone.all()
    gate.touch()
    texts = [one.all() for one in later]

    assert first.all() == texts[0] == job.logs()
    assert all(texts[0].endswith(text) for text in texts)
    assert len(texts[0]) > len(texts[1]) > len(texts[2]) > 0
    until(lambda: not [t for t in threading.enumerate() if "follow" in t.name])


def test_a_machine_sends_no_more_soon_after_the_follower_has_gone(
    patient: Client, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    """It is told with the first piece that nobody wants."""
    monkeypatch.setattr("worker_lib.client.following.HOLD", 1.0)
    gate = tmp_path / "gate"
    job = counts.options(timeout="1m").delay(400, 0.05, str(gate))
    reader = Reader(job, timeout=3)
    reader.all()
    time.sleep(2.5)
    with commands(settings.redis_url) as after:
        time.sleep(1.5)
    gate.touch()

    assert [] == about(after, job.id)
    late = Reader(job)
    assert numbered(400) == lines(late.all(60))


@pytest.mark.processes_only("it kills a server of this computer")
def test_a_follower_goes_on_when_redis_comes_back(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: Any,
    tmp_path: Path,
) -> None:
    """Nothing twice, nothing missing."""
    emulator = make_emulator(redis_url=own_server.url)
    client = make_client(emulator, redis_url=own_server.url)
    gate = tmp_path / "gate"
    job = counts.delay(40, 0.1, str(gate))
    reader = Reader(job)
    until(lambda: len(lines(reader.text)) > 5)
    own_server.kill()
    own_server.start()
    gate.touch()

    assert numbered(40) == lines(reader.all(60))
    assert reader.text == Job(job.id, client).logs()
