"""A machine of the local stack runs the code that is on disk when a job begins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from home import Home, home_for_a_test, line_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

TASKS = """
import os
import helper
from worker_lib import fly_task

@fly_task(linger="60s", max_machines=1)
def version():
    return {version!r}, helper.NAME, os.getpid()
"""
# Calls once for each line, by name; and by value, which imports `helper` there.
ASKS = """
import sys, tasks
from worker_lib import fly_task

@fly_task(linger="60s", max_machines=1)
def by_value():
    import os, helper
    return "by value", helper.NAME, os.getpid()

for line in sys.stdin:
    task = by_value if line == "value\\n" else tasks.version
    try:
        print(*task.remote(), flush=True)
    except Exception as error:
        print(repr(error), flush=True)
"""


@pytest.fixture
def home() -> Iterator[Home]:
    """A home that is removed afterwards."""
    with home_for_a_test() as made:
        (made.project / "tasks.py").write_text(TASKS.format(version="first"))
        (made.project / "helper.py").write_text("NAME = 'one'")
        yield made


def ask(program: subprocess.Popen[str], what: str = "name") -> list[str]:
    """Have a program call once; return what it prints."""
    assert program.stdin
    program.stdin.write(f"{what}\n")
    program.stdin.flush()
    return line_of(program).split()


def test_an_edit_counts_for_the_next_job(home: Home) -> None:
    """Though machine and caller have been up since before it; of any module."""
    with home.start("-c", ASKS) as program:
        first = ask(program)
        again = ask(program)
        (home.project / "tasks.py").write_text(TASKS.format(version="second one"))
        second = ask(program)
        (home.project / "helper.py").write_text("NAME = 'another'")
        third = ask(program)
        program.communicate(timeout=30)

    assert ["first", "one"] == first[:2] == again[:2]
    assert ["second", "one", "one"] == second[:3]
    assert ["second", "one", "another"] == third[:3]
    # It is one machine all the time, whose process executes itself anew.
    assert 1 == len({first[-1], again[-1], second[-1], third[-1]})


def test_a_function_that_travels_by_value_sees_an_edit_too(home: Home) -> None:
    """Of the modules that it imports; its own code comes with the call."""
    with home.start("-c", ASKS) as program:
        first, again = ask(program, "value"), ask(program, "value")
        (home.project / "helper.py").write_text("NAME = 'another'")
        second, third = ask(program, "value"), ask(program, "value")
        program.communicate(timeout=30)

    assert first == again == ["by", "value", "one", first[-1]]
    assert second == third == ["by", "value", "another", first[-1]]


def test_a_module_that_breaks_and_is_repaired_works(home: Home) -> None:
    """The error is the job's; the next one finds what is there then."""
    with home.start("-c", ASKS) as program:
        ask(program)
        (home.project / "helper.py").write_text("this is no Python")
        broken = ask(program)
        (home.project / "helper.py").unlink()
        gone = ask(program)
        (home.project / "helper.py").write_text("NAME = 'repaired'")
        repaired = ask(program)
        program.communicate(timeout=30)

    assert "SyntaxError" in " ".join(broken)
    assert "ModuleNotFoundError" in " ".join(gone)
    assert ["first", "repaired"] == repaired[:2]


def test_a_child_stays_the_same_while_nothing_is_edited(home: Home) -> None:
    """What a task keeps in a module is there for the next job."""
    counts = "\nCOUNT = []\n\n@fly_task(linger='60s', max_machines=1)\n"
    counts += "def count():\n    COUNT.append(1)\n    return len(COUNT)\n"
    tasks = home.project / "tasks.py"
    tasks.write_text(TASKS.format(version="first") + counts)
    then = tasks.stat().st_mtime - 5
    for path in (tasks, home.project / "helper.py"):
        os.utime(path, (then, then))
    code = "import tasks; print(*(tasks.count.remote() for _ in range(4)))"

    assert "1 2 3 4\n" == home.run("-c", code)
