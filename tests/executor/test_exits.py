"""Programs that use an executor: how they end, are interrupted, and fork."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from scripts import run_script, start_script
from waiting import text_of, until

if TYPE_CHECKING:
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.store.replies import BatchSeen


def test_a_program_waits_for_its_calls_before_it_ends(fly: Client) -> None:
    """As with the executors of the standard library, without `with` or shutdown."""
    told = run_script(
        "import time\n"
        "from worker_lib import FlyExecutor\n"
        "pool = FlyExecutor(2)\n"
        "for one in [pool.submit(time.sleep, 0.3), pool.submit(abs, -5)]:\n"
        "    one.add_done_callback(lambda f: print('done', f.result()))\n"
        "print('end')",
        fly,
    )

    end, *done = told.split("\n")[:3]
    assert ("end", {"done 5", "done None"}) == (end, {*done})


def test_a_program_that_shut_down_without_waiting_ends_well(fly: Client) -> None:
    """What runs is done; what waits is done, too, unless it was cancelled."""
    code = (
        "import atexit\n"
        "from worker_lib import FlyExecutor\n"
        "pool = FlyExecutor(1)\n"
        "found = [pool.submit(abs, -n) for n in range(20)]\n"
        "pool.shutdown(wait=False, cancel_futures=False)\n"
        "atexit.register(lambda: print([f.done() for f in found].count(True)))"
    )

    assert "20" == run_script(code, fly).strip()
    cancelling = code.replace("cancel_futures=False", "cancel_futures=True")
    assert "20" == run_script(cancelling, fly).strip()


def test_nothing_can_be_submitted_while_the_interpreter_ends(fly: Client) -> None:
    """It is said so, as by the executors of the standard library."""
    told = run_script(
        "import atexit\n"
        "from worker_lib import FlyExecutor\n"
        "@atexit.register\n"
        "def last():\n"
        "    try:\n"
        "        pool.submit(id, None)\n"
        "    except RuntimeError as error:\n"
        "        print(error)\n"
        "pool = FlyExecutor(2)\n"
        "pool.submit(id, 42).result()",
        fly,
    )

    assert "cannot schedule new futures after interpreter shutdown" == told.strip()


def test_functions_and_classes_of_a_script_work(fly: Client) -> None:
    """They travel by value, there and back."""
    told = run_script(
        "from worker_lib import FlyExecutor\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "    def moved(self, by): return Point(self.x + by)\n"
        "def square(point): return Point(point.x ** 2)\n"
        "if __name__ == '__main__':\n"
        "    factor = 3\n"
        "    with FlyExecutor(max_machines=2) as pool:\n"
        "        points = list(pool.map(square, map(Point, range(4))))\n"
        "        assert all(type(one) is Point for one in points)\n"
        "        print([one.x for one in points])\n"
        "        print(pool.submit(Point(1).moved, 2).result().x)\n"
        "        print(pool.submit(Point, 7).result().x)\n"
        "        print(pool.submit(lambda x: x * factor, 5).result())",
        fly,
    )

    assert ["[0, 1, 4, 9]", "3", "7", "15"] == told.split("\n")[:4]


def test_parent_and_child_of_a_fork_go_their_own_ways(fly: Client) -> None:
    """The child neither uses the parent's threads and sockets, nor waits for them."""
    told = run_script(
        "import os, time\n"
        "from worker_lib import FlyExecutor\n"
        "pool = FlyExecutor(2)\n"
        "assert pool.submit(abs, -1).result() == 1\n"
        "before = pool.submit(time.sleep, 0.5)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    batch = pool.batch_id\n"
        "    assert not before.cancel() and not before.running()\n"
        "    assert pool.submit(abs, -2).result() == 2\n"
        "    assert pool.batch_id != batch\n"
        "    pool.shutdown()\n"
        "    os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n"
        "assert before.result() is None\n"
        "assert pool.submit(abs, -3).result() == 3\n"
        "print('both')",
        fly,
    )

    assert "both" == told.strip()


_INTERRUPTED = """
import signal
import jobs
from worker_lib import FlyExecutor
# What a shell starts in its background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
gate, started, batch = {paths!r}
with FlyExecutor(1, isolate=True) as pool:
    running = pool.submit(jobs.waits_for, gate, started)
    waiting = [pool.submit(abs, -n) for n in range(5)]
    open(batch, "w").write(pool.batch_id)
    {wait}
"""


def _counts(client: Client, batch_id: str) -> BatchSeen:
    news = client.store.batches.news(batch_id)
    assert news is not None
    return news.seen


def test_ctrl_c_cancels_what_waits_then_what_runs(fly: Client, tmp_path: Path) -> None:
    """Once: what runs is waited for. Twice: it is ended."""
    paths = tuple(str(tmp_path / name) for name in ("gate", "started", "batch"))
    code = _INTERRUPTED.format(paths=paths, wait="running.result()")
    with start_script(code, fly) as program:
        batch_id = text_of(paths[2])
        text_of(paths[1])
        until(lambda: _counts(fly, batch_id).stored == 6)
        program.send_signal(signal.SIGINT)
        until(lambda: _counts(fly, batch_id).counts == {"running": 1, "cancelled": 5})
        assert program.poll() is None
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=20)

    assert -signal.SIGINT == program.returncode
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert {"cancelled": 6} == _counts(fly, batch_id).counts


def test_ctrl_c_at_the_end_of_the_block_does_the_same(
    fly: Client, tmp_path: Path
) -> None:
    """And the program ends with it once what runs is done."""
    paths = tuple(str(tmp_path / name) for name in ("gate", "started", "batch"))
    code = _INTERRUPTED.format(paths=paths, wait="pass")
    with start_script(code, fly) as program:
        batch_id = text_of(paths[2])
        text_of(paths[1])
        until(lambda: _counts(fly, batch_id).stored == 6)
        program.send_signal(signal.SIGINT)
        until(lambda: _counts(fly, batch_id).counts == {"running": 1, "cancelled": 5})
        (tmp_path / "gate").touch()
        program.communicate(timeout=20)

    assert -signal.SIGINT == program.returncode
    assert {"succeeded": 1, "cancelled": 5} == _counts(fly, batch_id).counts
