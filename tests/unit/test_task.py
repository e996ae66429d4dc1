"""`@fly_task`: what it keeps of a function, what it refuses, how tasks travel."""

from __future__ import annotations

import functools
import inspect
import pickle
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jobs
import pytest

from worker_lib import Retry, fly_task
from worker_lib.calls.options import CallOptions, TaskOptions
from worker_lib.client import client as client_module
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.task import Task


@fly_task
def bare(a: int, b: int = 2) -> int:
    """Add up."""
    return a + b


@fly_task(queue="high", timeout="10m", retry=5, region="ams", env={"B": "2", "A": "1"})
def dressed(a: int) -> int:
    """Return what was given."""
    return a


class _Callable:
    def __call__(self) -> None: ...


def refusal(**options: Any) -> str:
    """Return the sentence with which these options are refused."""
    with pytest.raises(ConfigError) as caught:
        fly_task(**options)
    return str(caught.value)


def test_a_bare_task_is_still_the_function() -> None:
    """A plain call runs here and now, and nothing is connected to."""
    assert (3, 7) == (bare(1), bare(3, b=4))


def test_a_task_looks_like_its_function() -> None:
    """Tools that read names, docstrings and signatures see the function's."""
    task: Any = bare

    assert ("bare", "Add up.", __name__) == (
        task.__name__,
        task.__doc__,
        task.__module__,
    )
    assert "(a: 'int', b: 'int' = 2) -> 'int'" == str(inspect.signature(bare))
    assert f"<Task {__name__}:bare>" == repr(bare)
    assert task.__wrapped__ is bare.fn


def test_options_are_kept_as_checked_values() -> None:
    """Durations become seconds, one region a tuple, a number a policy."""
    spec = dressed.spec

    assert ("high", 600.0, ("ams",)) == (spec.queue, spec.timeout, spec.region)
    assert Retry(max_attempts=5) == spec.retry
    assert (("A", "1"), ("B", "2")) == spec.env


def test_the_defaults_are_the_smallest_machine_and_one_attempt() -> None:
    """Nobody pays, or runs twice, without having asked for it."""
    spec = bare.spec

    assert TaskOptions() == spec
    assert ("shared-cpu-1x@256mb", 1, 0.0) == (
        str(spec.guest),
        spec.retry.max_attempts,
        spec.linger,
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("queue", "low", "low"),
        ("machine", "shared-cpu-2x", "shared-cpu-2x"),
        ("queue", "mail-2.eu", "mail-2.eu"),
        ("priority", -5, -5),
        ("tags", {"tenant": "x"}, (("tenant", "x"),)),
        ("tags", {}, ()),
        ("key", "nightly", "nightly"),
        ("key", None, ""),
        ("expires", "10m", 600.0),
        ("expires", None, None),
        ("queues", "mail=2, bulk=1", "mail=2,bulk=1"),
        ("memory_mb", 512, 512),
        ("region", ["ams", "fra"], ("ams", "fra")),
        ("region", (), ()),
        ("timeout", timedelta(minutes=1), 60.0),
        ("retry", Retry(max_attempts=2), Retry(max_attempts=2)),
        ("max_machines", 3, 3),
        ("max_machines", None, None),
        ("max_hourly_cost", 1, 1.0),
        ("max_hourly_cost", None, None),
        ("target_latency", "30s", 30.0),
        ("target_latency", None, None),
        ("isolate", True, True),
        ("result_ttl", "1d", 86400.0),
        ("result_ttl", None, None),
        ("env", {"TZ": "UTC"}, (("TZ", "UTC"),)),
        ("on_lost", "fail", "fail"),
        ("linger", "10s", 10.0),
        ("park", 2, 2),
        ("park", 0, 0),
        ("park", None, None),
        ("park_for", "2d", 172800.0),
        ("preview", False, False),
    ],
)
def test_each_option_is_taken(option: str, value: Any, expected: Any) -> None:
    """In the decorator and for single calls alike."""
    decorated: Task[..., int] = fly_task(**{option: value})(bare.fn)

    assert expected == getattr(decorated.spec, option)
    assert expected == getattr(bare.options(**{option: value}).spec, option)


def test_type_checkers_know_every_option() -> None:
    """What `options` takes is written down once for them, and once for the checks."""
    names = set(inspect.signature(TaskOptions).parameters)

    assert names == set(CallOptions.__annotations__)


def test_every_option_is_in_that_table_or_belongs_to_one_call() -> None:
    """A new option needs a line above."""
    names = set(inspect.signature(TaskOptions).parameters)

    assert {"delay", "unique_for"} == names - {
        *("queue", "priority", "tags", "key", "expires", "queues"),
        *("machine", "memory_mb", "region", "timeout", "retry"),
        *("max_hourly_cost", "target_latency", "isolate"),
        *("max_machines", "result_ttl", "env", "on_lost", "linger"),
        *("park", "park_for", "preview"),
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queue": "a b"}, "queue='a b' is no name of a queue"),
        ({"queue": ["high"]}, "is no name of a queue"),
        ({"priority": 101}, "priority=101: use a whole number"),
        ({"tags": ["x"]}, "tags= takes names and texts"),
        ({"tags": {"tenant": 7}}, "the value of tag 'tenant' is a text"),
        ({"key": ""}, "key= is a text"),
        ({"unique_for": "1h"}, "unique_for= needs key="),
        ({"key": "k", "unique_for": "soon"}, "unique_for='soon' is not a duration"),
        ({"expires": 0}, "expires=0: it must be 0.1 s or more"),
        ({"queues": "a,a"}, "queues names a queue twice"),
        ({"on_lost": "retyr"}, "did you mean 'retry'?"),
        ({"machine": "shared-cpu-3x"}, "shared-cpu-3x does not exist"),
        ({"machine": 2}, "machine=2: use a preset"),
        ({"memory_mb": 300}, "memory_mb 300 does not fit"),
        ({"region": "a-b"}, "region='a-b': use Fly's region names"),
        ({"region": ["ams", ""]}, "use Fly's region names"),
        ({"region": 5}, "region=5: use Fly's region names"),
        ({"timeout": 0}, "timeout=0: it must be 0.1 s or more"),
        ({"timeout": "soon"}, "timeout='soon' is not a duration"),
        ({"retry": True}, "retry=True: use Retry("),
        ({"retry": 0}, "max_attempts=0"),
        ({"max_machines": 0}, "max_machines=0: use a whole number from 1"),
        ({"max_machines": True}, "max_machines=True"),
        ({"max_hourly_cost": 0}, "max_hourly_cost=0: use US dollars an hour"),
        ({"max_hourly_cost": "1"}, "max_hourly_cost='1': use US dollars an hour"),
        ({"max_hourly_cost": True}, "max_hourly_cost=True: use US dollars"),
        ({"max_hourly_cost": float("nan")}, "max_hourly_cost=nan: use US dollars"),
        (
            {"machine": "performance-2x", "max_hourly_cost": 0.05, "region": "ams"},
            "one performance-2x@4096mb costs $0.0894 an hour in ams",
        ),
        (
            {"machine": "performance-2x", "max_hourly_cost": 0.05},
            "costs $0.0861 an hour in iad",
        ),
        ({"target_latency": 0}, "target_latency=0: it must be 0.1 s or more"),
        ({"isolate": 1}, "isolate=1: use True or False"),
        ({"isolate": True, "linger": 5}, "so linger= does nothing"),
        ({"isolate": True, "park": 1}, "so park= does nothing"),
        ({"park": -1}, "park=-1: use a whole number from 0"),
        ({"park": True}, "park=True: use a whole number"),
        ({"park_for": 0}, "park_for=0: it must be 1 s or more"),
        ({"isolate": True, "target_latency": 5}, "so target_latency= does nothing"),
        ({"result_ttl": 0.5}, "result_ttl=0.5: it must be 1 s or more"),
        ({"env": {"A": 1}}, "env= takes names and texts; see 'A'"),
        ({"env": {"A=B": "1"}}, "see 'A=B'"),
        ({"env": "A=1"}, "env= takes names and texts"),
        ({"env": 5}, "env= takes names and texts"),
        ({"env": {"FLY_APP_NAME": "x"}}, "env= may not set FLY_APP_NAME"),
        ({"env": {"WORKER_LIB_SECRET": "x"}}, "env= may not set WORKER_LIB_SECRET"),
        ({"linger": -1}, "linger=-1 is not a duration"),
        ({"timeuot": 5}, "unknown option 'timeuot': did you mean 'timeout'?"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_written(
    options: dict[str, Any], words: str
) -> None:
    """The sentence has the option, the value and what would work."""
    assert words in refusal(**options)
    with pytest.raises(ConfigError) as caught:
        bare.options(**options)
    assert words in str(caught.value)


def test_a_delay_belongs_to_one_call() -> None:
    """In the decorator it would delay every call; the sentence shows the way."""
    assert "write .options(delay=...).delay(...)" in refusal(delay="5m")
    assert 300.0 == bare.options(delay="5m").spec.delay


def test_options_leave_the_task_as_it_was() -> None:
    """They make another task of the same function, and add up."""
    other = dressed.options(timeout=5).options(queue="low")

    assert ("low", 5.0, ("ams",)) == (
        other.spec.queue,
        other.spec.timeout,
        other.spec.region,
    )
    assert ("high", 600.0) == (dressed.spec.queue, dressed.spec.timeout)
    assert 4 == other(4)


@pytest.mark.parametrize(
    "thing", [5, "name", functools.partial(bare.fn, 1), _Callable()]
)
def test_what_is_no_function_is_refused(thing: Any) -> None:
    """A machine finds a function by its name, so it needs one."""
    with pytest.raises(ConfigError, match="@fly_task marks a function"):
        fly_task()(thing)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"c": 3}), ((1,), {"a": 1})]
)
def test_wrong_arguments_are_a_type_error_before_anything_is_stored(
    args: tuple[Any, ...], kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's mistake shows at the call, not on a machine a minute later."""
    monkeypatch.setattr(client_module, "default_client", _nobody)
    call: Any = bare.delay

    with pytest.raises(TypeError):
        call(*args, **kwargs)


@pytest.mark.parametrize(
    ("call", "args", "said"),
    [
        (
            bare.delay,
            (1, 2, 3),
            "bare(a, b) cannot be called like this: too many positional",
        ),
        (
            bare.delay,
            (),
            "bare(a, b) cannot be called like this: missing a required argument",
        ),
        (jobs.Account(1).add.delay, (), "jobs:Account.add(amount, *, times) cannot be"),
    ],
)
def test_wrong_arguments_are_told_with_the_task_and_what_it_takes(
    call: Callable[..., object], args: tuple[int, ...], said: str
) -> None:
    """Without values: those may be nobody's business."""
    with pytest.raises(TypeError) as caught:
        call(*args)

    assert said in str(caught.value)


def test_a_method_is_bound_to_its_instance() -> None:
    """As a function in a class is: calls, signature and name are a method's."""
    account = jobs.Account(1)

    assert (6, 9) == (account.add(5), jobs.Account.add(account, 1, times=3))
    assert "jobs:Account.add" == account.add.name
    assert "(amount: 'int', *, times: 'int' = 1) -> 'int'" == str(
        inspect.signature(account.add)
    )
    assert ((account,), ()) == (account.add.first, jobs.Account.add.first)
    assert "high" == account.later.spec.queue


def test_what_is_bound_already_is_not_bound_again() -> None:
    """A task in a class that was made of another object's method, or of a builtin."""

    class Holder:
        other = fly_task(jobs.Account(1).add.fn)
        size = fly_task(len)

    holder: Any = Holder()
    assert (6, 2) == (holder.other(5), holder.size("ab"))
    assert ((), ()) == (holder.other.first, holder.size.first)


def test_static_and_class_methods_are_tasks_in_either_order() -> None:
    """Reached through the class or an instance, also of a subclass."""
    for place in (jobs.Account, jobs.Account(1), jobs.Savings(1)):
        reached: Any = place
        name = place.__name__ if isinstance(place, type) else type(place).__name__
        assert (4, 8) == (reached.fee(40), reached.tax(40))
        assert (f"{name}:7", f"{name}:7") == (reached.of(7), reached.made(7))


@pytest.mark.parametrize(
    "reach",
    [
        lambda: jobs.Account(1).add,
        lambda: jobs.Account.add,
        lambda: jobs.Savings.of,
        lambda: jobs.Account.fee,
        lambda: jobs.Account(1).add.options(queue="low"),
    ],
)
def test_a_method_is_pickled_as_its_name_and_its_instance(
    reach: Callable[[], Any],
) -> None:
    """A bound task can be given to another task."""
    task = reach()
    data = pickle.dumps(task)
    again = pickle.loads(data)

    assert b"jobs:Account." in data
    assert len(task.first) == len(again.first)
    assert task.spec == again.spec
    assert str(inspect.signature(task)) == str(inspect.signature(again))


def test_a_method_of_a_script_is_pickled_by_value() -> None:
    """With its class, whose methods are tasks: no running in circles."""
    script = """
import pickle, cloudpickle
from worker_lib import fly_task
from worker_lib.calls.pickling import bare

class Base:
    @fly_task
    def area(self): return self.side ** 2

class Box(Base):
    def __init__(self, side): self.side = side
    @fly_task
    def area(self): return super().area() * 6
    @fly_task
    @classmethod
    def unit(cls): return cls(1).area()
    @fly_task
    @staticmethod
    def twice(x): return 2 * x

box = Box(3)
bodies = [cloudpickle.dumps(one) for one in
          ((bare(Box.area), box), box.area, Box.unit, Box.twice)]
del Box, Base
(function, instance), bound, unit, twice = [pickle.loads(one) for one in bodies]
print(function(instance), bound(), unit(), twice(4))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert ("54 54 6 8\n", "") == (run.stdout, run.stderr)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (
            property(lambda _: 1),
            "not a property: make it a method",
        ),
        (bare, "test_task:bare is a task already: use .options"),
        (classmethod(functools.partial(bare.fn, 1)), "marks a function, not functools"),
    ],
)
def test_what_can_be_no_method_is_refused(thing: Any, said: str) -> None:
    """Where it is written."""
    with pytest.raises(ConfigError) as caught:
        fly_task(thing)

    assert said in str(caught.value)


def _nobody() -> None:
    raise AssertionError("nothing may be stored")


def test_an_importable_task_is_pickled_as_its_name_and_options() -> None:
    """Passing a task to a task costs a few bytes and keeps its options."""
    task = jobs.add.options(queue="low")
    data = pickle.dumps(task)
    again = pickle.loads(data)

    assert b"jobs:add" in data
    assert jobs.add.fn is again.fn
    assert task.spec == again.spec


def test_a_task_of_a_script_is_pickled_by_value_and_may_call_itself() -> None:
    """Recursion, and two tasks that call each other, do not run in circles."""
    script = """
import pickle, cloudpickle
from worker_lib import fly_task

@fly_task
def fact(n):
    return 1 if n < 2 else n * fact(n - 1)

@fly_task
def even(n):
    return n == 0 or odd(n - 1)

@fly_task
def odd(n):
    return n > 0 and even(n - 1)

bodies = [cloudpickle.dumps(one) for one in (fact, even, fact.fn, lambda: fact(5))]
del fact, even, odd
again = [pickle.loads(one) for one in bodies]
print(again[0](5), again[1](10), again[2](4), again[3]())
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert ("120 True 24 120\n", "") == (run.stdout, run.stderr)
