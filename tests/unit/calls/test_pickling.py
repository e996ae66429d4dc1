"""Calls and outcomes as bytes: what travels by name, by value, or not at all."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
from types import FunctionType
from typing import Any, NoReturn

import jobs
import pytest

from worker_lib.calls import pickling
from worker_lib.calls.pickling import Call, Failure
from worker_lib.errors import (
    ArgumentsNotEncodable,
    Crashed,
    JobFailed,
    JobTimeout,
    MachineLost,
    NotLoadable,
    OutOfMemory,
    PayloadError,
    StartFailed,
    TaskNotRegistered,
)
from worker_lib.retry import Retry


class Fussy(Exception):
    """Cannot be made from its own args."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


class Mute(Exception):
    """Cannot be told of."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("no words")


class Sly(Exception):
    """Becomes something else when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return list, ()


class Holder:
    """A class with a function in it."""

    @staticmethod
    def fn() -> None: ...


def fail(error: BaseException) -> NoReturn:
    """Raise."""
    raise error


def raised(error: BaseException) -> BaseException:
    """Return an exception that was raised and caught."""
    try:
        fail(error)
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


def told(failure: Failure) -> tuple[bool, Any]:
    """Return what the caller gets for a failure."""
    return pickling.load_outcome(pickling.dump_failure(failure), "j1")


def through(error: BaseException) -> Any:
    """Return what the caller gets for an exception that a task raised."""
    good, value = told(pickling.describe(raised(error)))
    assert not good
    return value


def test_functions_of_modules_travel_by_name() -> None:
    """The machine runs the same image, so a name is enough."""
    assert "jobs:add" == pickling.reference(jobs.add.fn)
    assert f"{__name__}:Holder.fn" == pickling.reference(Holder.fn)
    assert "posixpath:join" == pickling.reference(__import__("posixpath").join)


def test_functions_that_no_name_leads_to_travel_by_value() -> None:
    """Lambdas, closures, shadowed names and those of a script."""

    def closure() -> None: ...

    def impostor() -> None: ...

    impostor.__qualname__ = "add"
    impostor.__module__ = "jobs"
    script = FunctionType(closure.__code__, {"__name__": "__main__"}, "closure")
    homeless = FunctionType(closure.__code__, {}, "closure")

    assert {""} == {
        pickling.reference(one)
        for one in (lambda: None, closure, impostor, script, homeless)
    }


def test_a_name_leads_back_to_the_function_itself() -> None:
    """Not to the task around it: a machine must not store the call again."""
    assert jobs.add.fn is pickling.resolve("jobs:add")
    assert Holder.fn is pickling.resolve(f"{__name__}:Holder.fn")


@pytest.mark.parametrize(
    "name", ["nowhere:fn", "jobs:nothing", "jobs:add.nothing.at.all", "jobs", ""]
)
def test_a_name_that_leads_nowhere_tells_what_to_deploy(name: str) -> None:
    """The image is older than the call, or another one."""
    with pytest.raises((TaskNotRegistered, ValueError)) as caught:
        pickling.resolve(name)
    if name:
        assert f"this image has no task {name}" in str(caught.value)
        assert "WORKER_IMAGE" in str(caught.value)


def test_a_call_comes_back_with_its_policy() -> None:
    """Arguments by place and by name, and which exceptions are retried."""
    call = Call((1, [2]), {"three": {3}}, Retry(on=(OSError,)))

    assert call == pickling.load_call(pickling.whole(pickling.dump_call("m:f", call)))


def test_code_by_value_brings_its_closure_along() -> None:
    """What it refers to is sent with it."""
    step = 3

    def add(number: int) -> int:
        return number + step

    assert 10 == pickling.load_code(pickling.dump_code(add))(7)


def test_code_of_a_script_runs_where_the_script_is_not() -> None:
    """Classes and helpers of `__main__` go along by value."""
    script = """
import sys
from worker_lib.calls import pickling
class Box:
    def __init__(self, value): self.value = value
def helper(box): return Box(box.value * 2)
def task(value): return helper(Box(value)).value
sys.stdout.buffer.write(pickling.dump_code(task))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True
    )

    assert 42 == pickling.load_code(run.stdout)(21)


@pytest.mark.parametrize(
    ("label", "call"),
    [
        ("argument 2 of m:f is a lock", Call((1, threading.Lock()), {}, None)),
        ("argument 'k' of m:f is a lock", Call((1,), {"k": threading.Lock()}, None)),
        ("argument 1 of m:f is a dict", Call(({"x": threading.Lock()},), {}, None)),
    ],
)
def test_the_argument_that_cannot_be_pickled_is_named(label: str, call: Call) -> None:
    """By its place or name and its type, never by its value."""
    with pytest.raises(ArgumentsNotEncodable) as caught:
        pickling.dump_call("m:f", call)

    assert str(caught.value).startswith(label)
    assert "inside the task" in str(caught.value)


def test_the_instance_of_a_method_is_no_argument_of_the_callers() -> None:
    """Arguments are counted as the caller counts them."""
    lock = threading.Lock()

    with pytest.raises(ArgumentsNotEncodable, match=r"^the instance of m:f is a lock"):
        pickling.dump_call("m:f", Call((lock, 1), {}, None), bound=1)
    with pytest.raises(ArgumentsNotEncodable, match=r"^argument 1 of m:f is a lock"):
        pickling.dump_call("m:f", Call((5, lock), {}, None), bound=1)


def test_a_policy_that_cannot_be_pickled_is_not_blamed_on_an_argument() -> None:
    """There is a sentence even if no argument is to blame."""
    call = Call((1,), {}, threading.Lock())  # type: ignore[arg-type]  # that is the point

    with pytest.raises(
        ArgumentsNotEncodable, match="the call of m:f cannot be pickled"
    ):
        pickling.dump_call("m:f", call)


def test_a_function_that_holds_a_lock_is_named_with_a_remedy() -> None:
    """It cannot be sent; the sentence says how it could."""
    lock = threading.Lock()

    def holds() -> None:
        lock.acquire()

    with pytest.raises(ArgumentsNotEncodable) as caught:
        pickling.dump_code(holds)
    assert "holds cannot be sent to a machine" in str(caught.value)
    assert "create that inside the function" in str(caught.value)


@pytest.mark.parametrize(
    "value", [None, 0, "x", {"a": [1, (2, 3)]}, b"\0" * 10, lambda: 1]
)
def test_a_value_comes_back(value: Any) -> None:
    """Whatever can be pickled, functions by value among it."""
    good, again = pickling.load_outcome(
        pickling.whole(pickling.dump_value(value, "m:f")), "j1"
    )

    assert good
    assert value == again or again() == value()


def test_a_value_that_cannot_be_pickled_is_told_by_its_type() -> None:
    """A task that returns a connection fails with a sentence."""
    with pytest.raises(PayloadError, match="m:f returned a lock, which cannot be"):
        pickling.dump_value(threading.Lock(), "m:f")


def test_a_value_that_cannot_be_loaded_is_told_to_the_caller() -> None:
    """The reader lacks a module that the machine had."""
    body = b"\x80\x04c_no_such_module\nThing\n."

    with pytest.raises(
        PayloadError, match="the result of job j1 cannot be loaded here"
    ):
        pickling.load_outcome(body, "j1")


def test_an_exception_comes_back_as_itself_with_the_remote_account() -> None:
    """`except ValueError` works, and the traceback of the machine is the cause."""
    error = through(ValueError("bad", 5))

    assert (ValueError, ("bad", 5)) == (type(error), error.args)
    assert isinstance(error.__cause__, JobFailed)
    assert ("j1", "error", "ValueError") == (
        error.__cause__.job_id,
        error.__cause__.kind,
        error.__cause__.remote_type,
    )
    assert "raise error" in error.__cause__.remote_traceback
    assert "job j1 failed: ValueError: ('bad', 5)" in str(error.__cause__)


def test_notes_travel_along() -> None:
    """What a task adds to its exception is for whoever reads it."""
    error = ValueError("bad")
    error.add_note("row 7")

    assert ["row 7"] == through(error).__notes__


@pytest.mark.parametrize(
    ("error", "words", "why"),
    [
        (
            Fussy(5, reason="odd"),
            "Fussy: 5: odd",
            "its class cannot be made again from its args: TypeError: Fussy.__init__()",
        ),
        (Sly("sly"), "Sly: sly", "loaded, it is a list"),
        (
            KeyboardInterrupt("now"),
            "KeyboardInterrupt: now",
            "it would end the program",
        ),
        (asyncio.CancelledError("now"), "CancelledError: now", "it would end the prog"),
        (GeneratorExit(), "GeneratorExit", "it would end the program"),
        (
            ValueError(threading.Lock()),
            "ValueError: <unlocked _thread.lock",
            "it cannot be pickled: TypeError: cannot pickle '_thread.lock'",
        ),
        (ValueError(b"x" * 200_000), "ValueError: b'xxx", "and 100,000 may travel"),
    ],
)
def test_what_cannot_be_raised_again_is_told_as_a_failed_job(
    error: BaseException, words: str, why: str
) -> None:
    """Exceptions that do not survive, and those that would end the reader's program."""
    failed = through(error)

    assert isinstance(failed, JobFailed)
    assert "j1" == failed.job_id
    assert words in str(failed)
    assert why in failed.rebuild_error
    assert f"itself cannot be raised here: {failed.rebuild_error})" in str(failed)
    assert failed.remote_type.rpartition(".")[2] == type(error).__name__
    assert failed.remote_traceback


def test_an_exception_whose_text_raises_is_still_told() -> None:
    """The user's `__str__` may do anything; the outcome is recorded all the same."""
    error = through(Mute())

    assert isinstance(error, Mute)
    assert "Mute: (its __str__ raised RuntimeError)" in str(error.__cause__)


def test_an_exception_without_a_message_is_told_by_its_class() -> None:
    """As Python does, without a colon."""
    assert "MemoryError" == pickling.describe(MemoryError()).summary
    assert "ValueError: 7" == pickling.describe(ValueError(7)).summary
    assert "no such task" == Failure("refused", "no such task").summary


def test_an_exception_of_a_class_unknown_here_is_told_as_a_failed_job() -> None:
    """A web process need not have the machine's modules."""
    good, failed = told(
        Failure(
            "error", "no", "closed_shop.Gone", "Traceback …", b"cclosed_shop\nGone\n."
        )
    )

    assert not good
    assert isinstance(failed, JobFailed)
    assert ("closed_shop.Gone", "Traceback …") == (
        failed.remote_type,
        failed.remote_traceback,
    )
    why = "it cannot be loaded here: ModuleNotFoundError: No module named 'closed_shop'"
    assert why == failed.rebuild_error
    assert why in str(failed)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("error", JobFailed),
        ("exit", Crashed),
        ("signal", Crashed),
        ("out_of_memory", OutOfMemory),
        ("timeout", JobTimeout),
        ("lost", MachineLost),
        ("not_started", StartFailed),
        ("refused", NotLoadable),
        ("of a later version", JobFailed),
    ],
)
def test_each_kind_of_failure_is_a_type(kind: Any, expected: type[JobFailed]) -> None:
    """`except OutOfMemory` works, and the type survives being pickled once more."""
    failed = told(Failure(kind, "it ended", exit_code=-9))[1]

    for one in (failed, pickle.loads(pickle.dumps(failed))):
        assert type(one) is expected
        assert (kind, "j1", -9) == (one.kind, one.job_id, one.exit_code)
    assert {"exit": "exit", "signal": "exit", "of a later version": "error"}.get(
        kind, kind
    ) == expected("").kind


def test_a_crash_names_its_signal_or_its_exit_code() -> None:
    """Whichever it was, the other is not there."""
    by_signal = told(Failure("signal", "it ended", exit_code=-11))[1]
    by_itself = told(Failure("exit", "it ended", exit_code=3))[1]

    assert (11, "SIGSEGV") == (by_signal.signal_number, by_signal.signal_name)
    assert (3, None, "") == (
        by_itself.exit_code,
        by_itself.signal_number,
        by_itself.signal_name,
    )
    assert "signal 63" == Crashed("", exit_code=-63).signal_name


def test_what_kept_a_call_from_being_loaded_is_the_cause() -> None:
    """The task did not raise it, so it is not what the reader has to catch."""
    failure = pickling.describe(raised(ValueError("bad argument")))
    failed = told(failure._replace(kind="refused"))[1]

    assert type(failed) is NotLoadable
    assert "ValueError: bad argument" in str(failed)
    assert isinstance(failed.__cause__, ValueError)


def test_an_exception_that_came_back_needs_no_reason() -> None:
    """Nor does an end that no exception told of."""
    lost = told(Failure("lost", "the machine is gone"))[1]

    assert ("", "") == (through(ValueError("bad")).__cause__.rebuild_error, "")
    assert "" == lost.rebuild_error
    assert "job j1 failed: the machine is gone" == str(lost)


def test_control_characters_of_a_task_do_not_reach_the_error_raw() -> None:
    """Python prints what nobody caught on the terminal."""
    error = through(ValueError("\x1b[2Jgone"))
    crashed = told(Failure("exit", "a\x1b[2J", "", "out\x07put\nlines"))[1]

    assert "\x1b[2Jgone" == error.args[0]
    assert "\x1b" not in str(error.__cause__)
    assert "\\x1b[2Jgone" in str(error.__cause__)
    assert "job j1 failed: a\\x1b[2J\nout\\x07put\nlines" == str(crashed)


def test_a_large_exception_is_told_without_its_freight() -> None:
    """An exception that holds a file's content is no way around the limits."""
    failed = through(ValueError(b"x" * 200_000))

    assert isinstance(failed, JobFailed)
    assert len(str(failed)) < 30_000


def test_a_huge_message_is_cut_in_its_middle() -> None:
    """Both ends are what people read."""
    failure = pickling.describe(raised(ValueError("a" * 50_000 + "z" * 50_000)))

    assert failure.message.startswith("aaa")
    assert failure.message.endswith("zzz")
    assert "… 90000 characters cut …" in failure.message
    assert len(failure.message) < 10_100


def test_half_a_surrogate_pair_is_told_as_an_escape() -> None:
    """A file name that is no UTF-8 must not hide how the job failed."""
    failure = pickling.describe(raised(ValueError("na\udce9me")))

    assert "na\\udce9me" == failure.message
    assert "na\\udce9me" in failure.remote_traceback
    assert "na\udce9me" == through(ValueError("na\udce9me")).args[0]


def test_an_outcome_of_a_failure_needs_no_module_of_ours() -> None:
    """Plain tuples: it can be read by whoever holds the key, and always be made."""
    body = pickling.dump_failure(Failure("lost", "gone", "x\ud800", "", b"\0"))

    assert (False, ("lost", "gone", "x\\ud800", "", b"\0", "", None)) == pickle.loads(
        body
    )


def test_the_traceback_begins_in_the_users_code(tmp_path: Any) -> None:
    """Frames of ours in front of it would only be in the way."""
    failure = pickling.describe(raised(ValueError("here")))

    assert "in fail" in failure.remote_traceback
    assert "worker_lib/pickling" not in failure.remote_traceback


def test_what_cannot_be_pickled_is_a_pickling_error_too() -> None:
    """As programs expect that were written for a pool of processes."""
    with pytest.raises(pickle.PicklingError):
        pickling.dump_call("m:f", Call((threading.Lock(),), {}, None))


class _ExitsWhenLoaded:
    def __reduce__(self) -> tuple[object, ...]:
        return sys.exit, (3,)


def test_a_result_cannot_end_the_program_that_loads_it() -> None:
    """Neither the main thread nor one that reads results for others."""
    body = pickling.whole(pickling.dump_value(_ExitsWhenLoaded()))

    with pytest.raises(PayloadError, match="cannot be loaded here"):
        pickling.load_outcome(body, "j1")
