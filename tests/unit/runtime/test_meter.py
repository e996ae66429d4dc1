"""What each job of a process used, measured in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import Any

import pytest

from worker_lib.runtime.usage import Baseline, Usage

MB = 1024
MEASURES = """
import os, subprocess, sys, time
from worker_lib.runtime.meter import Meter

def eat(mb):
    data = bytearray(mb << 20)
    data[::4096] = b"x" * len(data[::4096])

def eat_elsewhere(mb):
    code = f"d = bytearray({mb} << 20); d[::4096] = b'x' * len(d[::4096])"
    subprocess.run([sys.executable, "-c", code], check=True)

def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until: pass

def burn_elsewhere(seconds):
    code = f"import time\\nwhile time.process_time() < {seconds}: pass"
    subprocess.run([sys.executable, "-c", code], check=True)

# The peak of a program that was started begins with that of whoever started it.
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
meter = Meter()
def job(*steps):
    meter.begin()
    for step, much in steps: step(much)
    print(*meter.end(), flush=True)
"""


def measured(jobs: str) -> list[Usage]:
    """Return what each job of this program used."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURES + jobs],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [Usage(*map(float, line.split())) for line in done.stdout.splitlines()]  # type: ignore[arg-type]  # printed as text


def test_the_peak_is_that_of_the_job_and_not_of_an_earlier_one() -> None:
    """The kernel counts for the life of a process; each job begins anew."""
    nothing, much, after, some = (
        one.peak_kb / MB
        for one in measured("job(); job((eat, 200)); job(); job((eat, 50))")
    )

    assert nothing < 40
    assert 200 < much - nothing < 215
    assert after - nothing < 5
    assert 50 < some - nothing < 65


def test_a_process_that_the_job_waited_for_counts() -> None:
    """The larger of the two; and only in the job that started it."""
    here, there, after = (
        one.peak_kb / MB
        for one in measured("job((eat, 50)); job((eat_elsewhere, 150)); job()")
    )

    assert 50 < here < 100
    assert 150 < there < 200
    assert after < 40


def test_cpu_seconds_are_those_of_the_job_and_what_it_started() -> None:
    """Waiting is no work."""
    burnt, elsewhere, slept = (
        one.cpu_us / 1e6
        for one in measured(
            "job((burn, 0.2)); job((burn_elsewhere, 0.3)); job((time.sleep, 0.3))"
        )
    )

    assert 0.2 <= burnt < 0.3
    assert 0.3 <= elsewhere < 0.6
    assert slept < 0.05


@pytest.mark.parametrize(
    ("expected", "leaves"),
    [
        (0, "lambda _: None"),
        (1, "lambda _: subprocess.Popen(['sleep', '5'])"),
        (1, "lambda _: os.system('sleep 5 > /dev/null &')"),
    ],
)
def test_a_job_that_may_have_left_processes_says_so(expected: int, leaves: str) -> None:
    """Its own children, and those that were handed on as it did not wait for them."""
    (usage,) = measured(f"job(({leaves}, 0))")

    assert expected == usage.left_processes


def test_usage_travels_as_one_part() -> None:
    """Of the frame that tells of the job's end."""
    usage = Usage(1, 2, 3, 4, 1, 5, 6.25, 0.5)

    assert usage == Usage.unpacked(usage.packed())


def test_a_process_that_ended_is_measured_from_where_its_job_began() -> None:
    """What it used before, for other jobs, is not counted."""
    code = "import time\ndef burn():\n t = time.process_time() + .2\n"
    code += " while time.process_time() < t: pass\n"
    code += "burn(); print(flush=True); input(); burn()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    baseline = Baseline(Usage(), child.pid)
    child.stdin.write(b"\n")
    child.stdin.flush()
    _, _, used = os.wait4(child.pid, 0)
    child.returncode = 0
    child.stdin.close()
    child.stdout.close()

    usage = baseline.of_ended(used)
    assert 0.2 <= usage.cpu_us / 1e6 < 0.35
    # A child begins with the memory of who started it: the kernel counts that.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 5 < usage.peak_kb / MB < 100 + own / MB


def test_a_peak_that_may_be_of_another_job_is_not_told() -> None:
    """The kernel tells the largest process that the child ever waited for."""
    used: Any = type("Used", (), {"ru_maxrss": 900, "ru_utime": 1.0, "ru_stime": 0.5})
    last = Usage(peak_kb=500, children_kb=900, children_us=1_000_000)

    usage = Baseline(last).of_ended(used)
    assert (0, 500_000) == (usage.peak_kb, usage.cpu_us)


def test_measuring_costs_a_job_little() -> None:
    """A job that does nothing takes some hundred microseconds in all."""
    from worker_lib.runtime.meter import Meter

    meter, times = Meter(), []
    for _ in range(300):
        began = time.perf_counter()
        meter.begin()
        meter.end()
        times.append(time.perf_counter() - began)

    assert sorted(times)[len(times) // 2] < 100e-6
