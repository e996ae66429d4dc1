"""Hooks in real processes: which are called, where, how often, and with which facts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hooked
import pytest
from waiting import text_of, until

from worker_lib import JobCancelled, JobFailed, Task, fly_task, hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker_lib import Job
    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

STORED = ["before_enqueue", "after_enqueue"]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Register every hook in this process; return the file of their notes."""
    path = tmp_path / "notes"
    monkeypatch.setenv("HOOK_NOTES", str(path))
    with hooks.scoped():
        hooked.register()
        yield path


def there(task: Task[..., Any], notes: Path, fault: str = "") -> Task[..., Any]:
    """Return the task for machines that note, and misbehave, as told."""
    return task.options(env={"HOOK_NOTES": str(notes), "HOOK_FAULT": fault})


def told(notes: Path, side: str, *facts: str) -> list[tuple[Any, ...]]:
    """Return the name and some facts of each event of one side."""
    return [
        (one["name"], *(one[fact] for fact in facts))
        for one in hooked.events(notes, side)
    ]


def test_each_hook_is_called_once_with_the_facts(client: Client, notes: Path) -> None:
    """Of a call that succeeds, on both sides; before and after share their state."""
    job = there(hooked.add, notes).delay(1, 2)

    assert 3 == job.result(timeout=20)
    assert 3 == job.result(timeout=20)
    assert job.wait(1)

    names = ["before_run", "after_run", "on_end"]
    assert [*STORED, "on_end"] == [name for (name,) in told(notes, "caller")]
    assert names == [name for (name,) in told(notes, "machine")]
    for one in hooked.events(notes):
        assert (job.id, "hooked:add", "default") == (
            one["job_id"],
            one["task"],
            one["queue"],
        )
        assert (os.getpid() == one["pid"]) == (one["side"] == "caller")
        assert ("", "", "NoneType") == (
            one["kind"],
            one["error_type"],
            one["exception"],
        )
    assert [0, 0, 1] == [attempt for _, attempt in told(notes, "caller", "attempt")]
    assert [1, 1, 1] == [attempt for _, attempt in told(notes, "machine", "attempt")]
    assert ["", "", "succeeded"] == [s for _, s in told(notes, "caller", "status")]
    assert ["", *["succeeded"] * 2] == [s for _, s in told(notes, "machine", "status")]
    by = [state["begun_by"] for _, state in told(notes, "machine", "state")]
    assert ["before_run"] * 3 == by
    assert all(0 < one["duration"] < 20 for one in hooked.events(notes)[-1:])


def test_a_retry_is_told_between_the_attempts(client: Client, notes: Path) -> None:
    """The attempt that failed, that another follows, and the one that succeeds."""
    job = there(hooked.fails_once, notes).delay()

    assert 2 == job.result(timeout=20)
    assert [
        ("before_run", 1, "", "", ""),
        ("after_run", 1, "failed", "error", "OSError"),
        ("on_retry", 1, "retrying", "error", "OSError"),
        ("before_run", 2, "", "", ""),
        ("after_run", 2, "succeeded", "", ""),
        ("on_end", 2, "succeeded", "", ""),
    ] == told(notes, "machine", "attempt", "status", "kind", "error_type")


def test_a_failure_is_told_with_its_exception_on_both_sides(
    client: Client, notes: Path
) -> None:
    """What was raised is there in the process that raised it, and in the reader's."""
    job = there(hooked.raises, notes).delay("CANARY")

    with pytest.raises(ValueError, match="CANARY"):
        job.result(timeout=20)
    facts = ("status", "kind", "error_type", "exception")
    end = ("on_end", "failed", "error", "ValueError", "ValueError")
    assert end == told(notes, "machine", *facts)[-1]
    assert end == told(notes, "caller", *facts)[-1]
    assert "CANARY" not in notes.read_text()


@pytest.mark.parametrize(
    ("task", "machine", "kind"),
    [
        (hooked.hangs, ["before_run", "after_run", "on_end"], "timeout"),
        (hooked.exits_hard, ["before_run"], "exit"),
        (hooked.gives_a_generator, ["before_run", "after_run", "on_end"], "error"),
    ],
)
def test_the_caller_is_told_of_every_end(
    client: Client, notes: Path, task: Task[..., Any], machine: list[str], kind: str
) -> None:
    """Also of one that left nobody on the machine to call a hook."""
    job = there(task, notes).delay()

    with pytest.raises(JobFailed):
        _result(job)
    assert machine == [name for (name,) in told(notes, "machine")]
    assert ("on_end", "failed", kind) == told(notes, "caller", "status", "kind")[-1]
    if machine[-1] == "on_end":
        end = told(notes, "machine", "status", "kind")[-1]
        assert ("on_end", "failed", kind) == end


def _result(job: Job[Any]) -> None:
    error = job.exception(timeout=20)
    if error is not None:
        raise error if isinstance(error, JobFailed) else error.__cause__ or error


def test_a_cancel_is_an_end_for_who_cancels_and_for_who_waits(
    client: Client, notes: Path, tmp_path: Path
) -> None:
    """Once; the machine is told that the attempt was interrupted, and of no end."""
    job = there(hooked.swallows, notes).delay(str(tmp_path / "started"))
    text_of(tmp_path / "started")

    assert job.cancel()
    with pytest.raises(JobCancelled):
        job.result(timeout=20)
    assert [("on_end", "cancelled", "")] == told(notes, "caller", "status", "kind")[2:]
    machine = until(lambda: told(notes, "machine", "status")[1:])
    assert [("after_run", "interrupted")] == machine


def test_a_lost_machine_is_told_where_it_is_found_out(
    client: Client, notes: Path, tmp_path: Path
) -> None:
    """In the process that sweeps: which attempt was lost, and that the job waits."""
    started = tmp_path / "started"
    job = there(hooked.swallows, notes).delay(str(started))
    os.kill(int(text_of(started)), signal.SIGKILL)

    (lost,) = until(lambda: told(notes, "caller", "job_id", "task", "attempt")[2:])
    assert ("on_lost", job.id, "hooked:swallows", 1) == lost
    (lost,) = told(notes, "caller", "kind", "queue", "error_type")[2:]
    assert ("on_lost", "lost", "default", "") == lost
    assert job.cancel()


def test_headers_travel_with_the_call(client: Client, notes: Path) -> None:
    """Set before a call is stored, they are there in the task and for its hooks."""

    @hooks.before_enqueue
    def inject(event: hooks.Event) -> None:
        event.headers["traceparent"] = f"00-{event.job_id}"
        event.headers["number"] = 1  # type: ignore[assignment]  # which is left out

    job = there(hooked.headers, notes).delay()

    assert {"traceparent": f"00-{job.id}"} == job.result(timeout=20)
    machine = hooked.events(notes, "machine")
    assert [f"00-{job.id}"] * 3 == [one["headers"]["traceparent"] for one in machine]
    assert ["high"] * 3 == [one["queue"] for one in machine]


def test_headers_survive_a_retry(client: Client, notes: Path) -> None:
    """Every attempt has those that the call was stored with."""

    @hooks.before_enqueue
    def inject(event: hooks.Event) -> None:
        event.headers["trace"] = "x"

    assert 2 == there(hooked.fails_once, notes).delay().result(timeout=20)
    assert [{"trace": "x"}] * 6 == [
        one["headers"] for one in hooked.events(notes, "machine")
    ]


@pytest.mark.parametrize("hook", ["before_run", "after_run", "on_end"])
@pytest.mark.parametrize("fault", ["raise", "exit", "interrupt"])
def test_a_hook_that_raises_on_a_machine_changes_nothing(
    client: Client, notes: Path, hook: str, fault: str
) -> None:
    """The job succeeds in its first attempt, and the other hooks are called."""
    job = there(hooked.attempt, notes, f"{hook}={fault}").delay()

    assert 1 == job.result(timeout=20)
    names = ["before_run", "after_run", "on_end"]
    assert names == [name for (name,) in told(notes, "machine")]
    assert ["succeeded"] == [one.outcome for one in job.attempts]


def test_a_mistake_of_a_hook_is_in_the_output_of_the_machine(
    client: Client, notes: Path
) -> None:
    """With the hook, the class and the line, and without what its message holds."""
    job = there(hooked.raises, notes, "before_run=raise").delay("its own mistake")

    assert isinstance(job.exception(timeout=20), ValueError)
    (attempt,) = job.attempts
    told = f"job {job.id}: the before_run hook hooked.fail raised ValueError at "
    assert told in attempt.output
    assert "hooked.py:" in attempt.output
    assert "CANARY" not in attempt.output


@pytest.mark.parametrize("hook", ["before_run", "after_run"])
def test_a_hook_that_spoils_its_event_changes_nothing(
    client: Client, notes: Path, hook: str
) -> None:
    """The library decides by what it knows itself: here, that another try follows."""
    job = there(hooked.fails_once, notes, f"{hook}=spoil").delay()

    assert 2 == job.result(timeout=20)
    assert ["error", "succeeded"] == [one.outcome for one in job.attempts]


def test_a_call_is_stored_although_a_hook_spoils_its_event(client: Client) -> None:
    """It then has no headers."""
    with hooks.scoped():

        @hooks.before_enqueue
        def spoil(event: hooks.Event) -> None:
            for fact in event.__slots__:
                delattr(event, fact)

        job = hooked.headers.delay()

    assert {} == job.result(timeout=20)


@pytest.mark.parametrize("hook", ["before_run", "after_run"])
def test_a_hook_that_hangs_is_under_the_timeout_of_the_task(
    client: Client, notes: Path, hook: str
) -> None:
    """The attempt ends as timed out, and another is made if the policy says so."""
    job = there(hooked.attempt, notes, f"{hook}=hang").delay()

    assert 2 == job.result(timeout=20)
    assert ["timeout", "succeeded"] == [one.outcome for one in job.attempts]


def test_a_module_of_hooks_is_there_before_a_function_that_came_by_value(
    make_client: Callable[..., Client], emulator: Emulator, notes: Path
) -> None:
    """It needs no module of its own for that: a setting names one."""
    make_client(emulator, hooks="hooked")

    def by_value(a: int) -> int:
        return a + 1

    assert 3 == there(fly_task(by_value), notes).delay(2).result(timeout=20)
    names = ["before_run", "after_run", "on_end"]
    assert names == [name for (name,) in told(notes, "machine")]


def test_jobs_run_without_a_module_of_hooks_that_is_missing(
    make_client: Callable[..., Client], emulator: Emulator
) -> None:
    """A machine notes that, and goes on: a hook never loses a job."""
    make_client(emulator, hooks="no_such_module")

    assert 3 == hooked.add.delay(1, 2).result(timeout=20)


def test_commands_find_the_module_of_hooks_where_they_are_called(
    client: Client, tmp_path: Path
) -> None:
    """As a Python program there would; a name that is wrong ends them at once."""
    (tmp_path / "shop_hooks.py").write_text("print('imported')")
    settings = client.settings
    environ = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": settings.redis_url,
        "WORKER_LIB_SECRET": settings.secret,
        "WORKER_LIB_NAMESPACE": settings.namespace,
        "FLY_API_TOKEN": settings.fly_api_token,
        "FLY_TASKS_APP": settings.fly_app,
        "FLY_API_HOSTNAME": settings.api_hostname,
        "WORKER_IMAGE": settings.image,
    }
    command = [str(Path(sys.executable).parent / "worker-lib"), "sweep"]

    def sweep(hooks_module: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environ | {"WORKER_LIB_HOOKS": hooks_module},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    good, bad = sweep("shop_hooks"), sweep("ship_hooks")
    assert (0, ["imported", "nothing to put right"]) == (
        good.returncode,
        good.stdout.splitlines(),
    )
    assert 2 == bad.returncode
    assert "WORKER_LIB_HOOKS=ship_hooks: that module cannot be imported" in bad.stderr


def test_a_key_that_finds_a_job_is_told_by_its_id(client: Client, notes: Path) -> None:
    """Two calls, and the one job that both stand for."""
    task = there(hooked.add, notes).options(key="x", delay="1h")

    first, second = task.delay(1, 2), task.delay(1, 2)

    assert first == second
    before, after, before_again, after_again = told(notes, "caller", "job_id")
    assert ("before_enqueue", first.id) == before
    assert {("after_enqueue", first.id)} == {after, after_again}
    assert before_again != before
    assert first.cancel()


def test_calls_from_many_threads_keep_their_own_state(
    client: Client, notes: Path
) -> None:
    """Each call has its own event from before to after."""
    seen: dict[str, tuple[int, int]] = {}

    @hooks.before_enqueue
    def before(event: hooks.Event) -> None:
        event.state["thread"] = threading.get_ident()

    @hooks.after_enqueue
    def after(event: hooks.Event) -> None:
        seen[event.job_id] = (event.state["thread"], threading.get_ident())

    def call() -> None:
        jobs.extend([hooked.add.delay(number, 1) for number in range(10)])

    jobs: list[Job[int]] = []
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {job.id for job in jobs} == set(seen)
    assert all(before == after for before, after in seen.values())
    assert sorted(job.result(timeout=30) for job in jobs) == sorted(
        number + 1 for number in range(10) for _ in range(8)
    )
    ends = [one for one in told(notes, "caller", "job_id") if one[0] == "on_end"]
    assert sorted(job.id for job in jobs) == sorted(job_id for _, job_id in ends)


def test_a_call_that_cannot_be_stored_is_told_too(client: Client, notes: Path) -> None:
    """What was opened before can be closed after."""
    with pytest.raises(TypeError, match="pickle"):
        raise _cause(partial(hooked.raises.delay, threading.Lock()))  # type: ignore[arg-type]  # that is the point

    assert [
        ("before_enqueue", ""),
        ("after_enqueue", "worker_lib.calls.pickling.NotPicklable"),
    ] == told(notes, "caller", "error_type")


def _cause(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - told by its cause
        call()
    return caught.value.__cause__ or caught.value


def test_a_job_that_is_run_again_is_stored_between_hooks(
    client: Client, notes: Path
) -> None:
    """As any call; it keeps the headers that its call has."""
    job = hooked.add.options(delay="1h").delay(1, 2)
    job.cancel()

    again = job.retry()

    stored = told(notes, "caller", "job_id", "task")
    assert [(name, again.id, "hooked:add") for name in STORED] == stored[-2:]
    assert 3 == again.result(timeout=20)
