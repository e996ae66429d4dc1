"""What attempts print and use is kept with the job, each attempt's own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from fly_calls import stop_machine
from waiting import until

from worker_lib import Crashed, JobTimeout, Retry, fly_task
from worker_lib.log_lines import LogLine, parse_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.client.handle import Job
    from worker_lib.emulator import Emulator

# All jobs of a test run on one machine, one after the other, in one process.
one_machine = fly_task(max_machines=1, linger="20s", timeout="20s")


def printed(client: Client, job: Job[Any]) -> list[str]:
    """Return what each attempt printed."""
    return [one.text for one in client.logs.look(job.id).texts]


def ended(job: Job[Any]) -> Job[Any]:
    """Wait for the job's end, whatever it is."""
    job.exception(timeout=20)
    return job


def test_what_a_job_printed_is_kept_though_it_succeeded(client: Client) -> None:
    """Both streams in the order of their lines, from Python and from programs."""

    @one_machine
    def talks() -> None:
        print("one")
        print("two", file=sys.stderr)
        subprocess.run(["sh", "-c", "echo three; echo four >&2"], check=True)
        os.write(1, b"five\n")
        print("s\N{LATIN SMALL LETTER E WITH DIAERESIS}ven", end="")

    job = talks.delay()
    job.result(timeout=20)

    assert ["one\ntwo\nthree\nfour\nfive\nsëven"] == printed(client, job)


def test_a_job_that_prints_nothing_keeps_nothing(client: Client) -> None:
    """Nor does it get what the one before it printed."""
    first = one_machine(lambda: print("mine")).delay()
    second = one_machine(lambda: None).delay()
    second.result(timeout=20)

    assert ["mine\n"] == printed(client, first)
    assert [] == printed(client, second)


def test_each_attempt_has_its_own(client: Client, tmp_path: Path) -> None:
    """Oldest first, the failed ones too."""
    tries = str(tmp_path / "tries")

    @one_machine
    def fails_once() -> None:
        with open(tries, "a") as file:
            file.write("x")
        number = os.path.getsize(tries)
        print(f"try {number}")
        if number == 1:
            raise OSError("once")

    retry = Retry(max_attempts=2, backoff="50ms")
    job = fails_once.options(retry=retry).delay()
    job.result(timeout=20)

    first, second = printed(client, job)
    assert ("try 1\n", "try 2\n") == (first, second)
    assert "try 1\n" == job.attempts[0].output


@pytest.mark.parametrize("how", ["killed", "exit", "timeout", "segfault"])
def test_what_a_process_printed_before_it_ended_is_kept(
    client: Client, how: str
) -> None:
    """Though nothing was flushed: lines are written as they are printed."""

    @one_machine
    def ends() -> None:
        print("before the end")
        if how == "killed":
            os.kill(os.getpid(), 9)
        if how == "exit":
            os._exit(3)
        if how == "segfault":
            import ctypes

            ctypes.string_at(0)
        while True:
            try:
                time.sleep(60)
            except BaseException:  # noqa: BLE001 - so that it has to be killed
                continue

    timeout = "1s" if how == "timeout" else "20s"
    job = ended(ends.options(timeout=timeout).delay())

    (text,) = printed(client, job)
    assert text.startswith("before the end\n")
    error = job.exception()
    (attempt,) = job.attempts
    codes = {"killed": -9, "exit": 3, "segfault": -11, "timeout": None}
    assert codes[how] == attempt.exit_code
    assert attempt.peak_mb is not None
    assert attempt.cpu_s is not None
    assert 5 < attempt.peak_mb < 100
    assert attempt.cpu_s < 3
    assert isinstance(error, JobTimeout if how == "timeout" else Crashed)


def test_of_much_output_the_beginning_and_the_end_are_kept(client: Client) -> None:
    """64 KB, and how much is missing between them."""

    @one_machine
    def counts() -> None:
        for number in range(100_000):
            print(number)

    job = counts.delay()
    job.result(timeout=20)

    (text,) = printed(client, job)
    assert text.startswith("0\n1\n2\n")
    assert text.endswith("\n99998\n99999\n")
    assert " bytes cut …\n" in text
    assert (1 << 16) - 10 <= len(text.encode()) <= (1 << 16) + 40


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0, []), (8, ["0123\n… 4 bytes cut …\nabc\n"]), (12, ["01234567abc\n"])],
)
def test_how_much_is_kept_is_a_setting(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    limit: int,
    expected: list[str],
) -> None:
    """0 keeps nothing at all, not even the last lines of a failed attempt."""
    client = make_client(make_emulator(), max_output_bytes=limit)

    @one_machine
    def talks() -> None:
        print("01234567abc")
        raise ValueError("no")

    job = ended(talks.delay())

    assert expected == printed(client, job)
    assert bool(limit) == bool(job.attempts[0].output)


def test_a_thread_that_was_left_behind_prints_into_no_later_job(
    client: Client,
) -> None:
    """Nor does a thread that it starts, as a timer that renews itself does."""

    @one_machine
    def leaves_threads() -> None:
        def print_on() -> None:
            while True:
                print("of the thread\nof the thread, half a li", end="")
                print("of the thread, too", file=sys.stderr)
                time.sleep(0.001)

        def tick() -> None:
            print("of the timer")
            timer = threading.Timer(0.001, tick)
            timer.daemon = True
            timer.start()

        threading.Thread(target=print_on, daemon=True).start()
        tick()
        print("of the first job")

    @one_machine
    def prints_slowly() -> str:
        for _ in range(20):
            print("mine")
            time.sleep(0.01)
        own = threading.Thread(target=print, args=("of my thread",))
        own.start()
        own.join()
        return str(os.getpid())

    first = leaves_threads.delay()
    later = [prints_slowly.delay() for _ in range(3)]
    pids = {job.result(timeout=20) for job in later}

    assert 1 == len(pids), "they ran in the process of those threads"
    assert "of the first job\n" in printed(client, first)[0]
    mine = ["mine\n" * 20 + "of my thread\n"]
    assert [mine] * 3 == [printed(client, job) for job in later]


@pytest.mark.parametrize("how", ["popen", "shell"])
def test_a_process_that_was_left_behind_prints_into_no_later_job(
    client: Client, how: str, tmp_path: Path
) -> None:
    """It goes on having the pipe of the job that started it."""
    mark = str(tmp_path / "mark")
    line = f"while [ ! -e {mark} ]; do echo late; sleep 0.01; done"

    @one_machine
    def leaves_a_process() -> None:
        if how == "popen":
            subprocess.Popen(["sh", "-c", line])
        else:
            os.system(f"({line}) &")
        print("of the first job")

    @one_machine
    def prints_slowly() -> None:
        for _ in range(20):
            print("mine", flush=True)
            time.sleep(0.01)

    first = leaves_a_process.delay()
    later = [prints_slowly.delay() for _ in range(3)]
    for job in (first, *later):
        job.result(timeout=20)
    with open(mark, "w"):
        pass

    assert "of the first job\n" in printed(client, first)[0]
    assert [["mine\n" * 20]] * 3 == [printed(client, job) for job in later]


def test_half_a_line_is_of_the_job_that_printed_it(client: Client) -> None:
    """What has no end of line yet is written when the job ends."""
    jobs = [one_machine(lambda n=n: print(n, end="")).delay() for n in range(5)]
    for job in jobs:
        job.result(timeout=20)

    assert [["0"], ["1"], ["2"], ["3"], ["4"]] == [printed(client, job) for job in jobs]


def test_a_job_that_closes_its_output_does_no_harm(client: Client) -> None:
    """To itself, and to the next one, which has none."""

    @one_machine
    def closes() -> int:
        print("before")
        os.close(1)
        os.close(2)
        return 5

    job = closes.delay()
    assert 5 == job.result(timeout=20)
    assert ["before\n"] == printed(client, job)
    assert 6 == one_machine(lambda: 6).remote()


def test_an_attempt_that_was_handed_back_keeps_its_output(
    client: Client, emulator: Emulator, tmp_path: Path
) -> None:
    """Its machine was stopped while it ran; the next attempt has its own."""
    mark = str(tmp_path / "mark")

    @fly_task
    def waits_once() -> str:
        number = 2 if os.path.exists(mark) else 1
        print(f"run {number}")
        if number == 1:
            with open(mark, "w"):
                pass
            time.sleep(60)
        return "done"

    job = waits_once.delay()
    until(lambda: os.path.exists(mark))
    (machine,) = (one for one in emulator.machines() if one["state"] == "started")
    stop_machine(client, machine["id"])

    assert "done" == job.result(timeout=30)
    assert ["run 1\n", "run 2\n"] == printed(client, job)


def test_what_a_job_printed_before_it_was_cancelled_is_kept(
    client: Client, tmp_path: Path
) -> None:
    """Its machine reports it late, and goes on."""
    mark = str(tmp_path / "mark")

    @one_machine
    def waits() -> None:
        print("so far")
        with open(mark, "w"):
            pass
        time.sleep(60)

    job = waits.delay()
    until(lambda: os.path.exists(mark))
    assert job.cancel()

    assert 5 == one_machine(lambda: 5).remote()
    assert ["so far\n"] == printed(client, job)
    assert "cancelled" == job.status


def test_an_attempt_tells_what_it_used(client: Client) -> None:
    """Its own peak and CPU, not those of the job before it in the same process."""

    @one_machine
    def works() -> None:
        data = bytearray(100 << 20)
        data[::4096] = b"x" * len(data[::4096])
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass

    idle = one_machine(lambda: time.sleep(0.2))
    first, second = works.delay(), idle.delay()
    second.result(timeout=20)

    (worked,), (waited,) = first.attempts, second.attempts
    assert worked.peak_mb is not None
    assert waited.peak_mb is not None
    assert worked.cpu_s is not None
    assert waited.cpu_s is not None
    assert 100 < worked.peak_mb < 160
    assert waited.peak_mb < 60
    assert 0.2 <= worked.cpu_s < 0.5
    assert waited.cpu_s < 0.1
    assert worked.exit_code is waited.exit_code is None


def test_records_of_logging_say_when_where_and_what(client: Client) -> None:
    """Also those below WARNING, if their logger lets them pass; prints stay plain."""

    @one_machine
    def logs() -> None:
        import logging

        log = logging.getLogger("shop.orders")
        log.setLevel("INFO")
        print("plain")
        log.info("refused %s", "card", extra={"order": 7, "odd": {1, 2}.__class__})
        log.debug("not asked for")
        logging.getLogger("other").info("nor this")
        try:
            int("no")
        except ValueError:
            log.exception("two\nlines")
        log.info("%d", "no number")

    # The first job imports it in the middle.
    logs.delay().result(timeout=20)
    job = logs.delay()
    job.result(timeout=20)

    plain, info, error, *rest = parse_lines(job.logs())
    assert LogLine("plain") == plain
    assert ("INFO", "shop.orders", "refused card") == (
        *(info.level, info.logger, info.text),
    )
    assert {"order": 7, "odd": "<class 'set'>"} == info.fields
    assert abs((info.at or 0) - time.time()) < 20
    assert ("ERROR", "two") == (error.level, error.text)
    texts = [one.text for one in rest]
    assert ["lines", "Traceback (most recent call last):"] == texts[:2]
    assert "ValueError: invalid literal for int() with base 10: 'no'" in texts
    assert "--- Logging error ---" in texts


def test_a_handler_of_the_task_prints_alone(client: Client) -> None:
    """Configured when its module is imported, or in the task."""

    @one_machine
    def logs() -> None:
        import logging

        logging.basicConfig(format="mine: %(message)s", force=True)
        logging.getLogger("shop").warning("once")
        logging.getLogger().handlers.clear()

    job = logs.delay()
    job.result(timeout=20)

    assert "mine: once\n" == job.logs()
