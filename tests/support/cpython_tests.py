"""CPython's own tests of executors: which of them `FlyExecutor` is to pass.

`make test` fetches them (`tools/cpython_tests.py`). Each of their tests either runs, as
one of a class of `RUN`, or stands in `LEFT_OUT` with the reason.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import types

__all__ = ["FOLDER", "LEFT_OUT", "RUN", "cases_of", "load"]

FOLDER = Path(__file__).parents[2] / ".venv" / "cpython-tests"
_IN_CI = bool(os.environ.get("CI"))

# Each of these is mixed with an executor.
RUN = (
    "ExecutorShutdownTest",
    "WaitTests",
    "AsCompletedTests",
    "ExecutorTest",
    "ProcessPoolExecutorTest",
    "ExecutorDeadlockTest",
)

_NO_SHARED_MEMORY = "its calls share a lock, an event or a list with the test"
_INSIDE = "looks at the threads or processes inside the pool"
_OTHERS = "makes a ThreadPoolExecutor or ProcessPoolExecutor itself"
_NO_INITIALIZER = "there is no initializer: a machine may run calls of other programs"
_PRINTS = "imports it from concurrent.futures, and reads what a call printed here"
_WOULD_EXIT = "SystemExit of a call would end who reads it: ours is a JobFailed"
_NOT_OF_EXECUTORS = "tests the standard library's Future"

LEFT_OUT: dict[str, str] = {
    "InitializerMixin.test_initializer": _NO_INITIALIZER,
    "FailingInitializerMixin.test_initializer": _NO_INITIALIZER,
    # tests/executor/test_exits.py has the like of these.
    "ExecutorShutdownTest.test_interpreter_shutdown": _PRINTS,
    "ExecutorShutdownTest.test_submit_after_interpreter_shutdown": _PRINTS,
    "ExecutorShutdownTest.test_hang_gh83386": _PRINTS,
    "ThreadPoolShutdownTest.test_cancel_futures_wait_false": _PRINTS,
    # tests/executor/test_executor.py has the like of these, but for names of threads.
    "ThreadPoolShutdownTest.test_threads_terminate": _NO_SHARED_MEMORY,
    "ThreadPoolShutdownTest.test_context_manager_shutdown": _OTHERS,
    "ThreadPoolShutdownTest.test_del_shutdown": _OTHERS,
    "ThreadPoolShutdownTest.test_shutdown_no_wait": _OTHERS,
    "ThreadPoolShutdownTest.test_thread_names_assigned": _OTHERS,
    "ThreadPoolShutdownTest.test_thread_names_default": _OTHERS,
    "ProcessPoolShutdownTest.test_processes_terminate": _NO_SHARED_MEMORY,
    "ProcessPoolShutdownTest.test_context_manager_shutdown": _OTHERS,
    "ProcessPoolShutdownTest.test_del_shutdown": _OTHERS,
    "ProcessPoolShutdownTest.test_shutdown_no_wait": _OTHERS,
    "ThreadPoolWaitTests.test_pending_calls_race": _NO_SHARED_MEMORY,
    "ThreadPoolExecutorTest.test_map_submits_without_iteration": _NO_SHARED_MEMORY,
    "ThreadPoolExecutorTest.test_default_workers": _INSIDE,
    "ThreadPoolExecutorTest.test_saturation": _NO_SHARED_MEMORY,
    "ThreadPoolExecutorTest.test_idle_thread_reuse": _INSIDE,
    "ThreadPoolExecutorTest.test_hang_global_shutdown_lock": _OTHERS,
    "ThreadPoolExecutorTest.test_executor_map_current_future_cancel": _NO_SHARED_MEMORY,
    "ProcessPoolExecutorTest.test_max_workers_too_large": "is about Windows",
    "ProcessPoolExecutorTest.test_killed_child": _INSIDE,
    "ProcessPoolExecutorTest.test_traceback": (
        "the cause is to be a _RemoteTraceback: ours is a JobFailed, with the same text"
    ),
    "ProcessPoolExecutorTest.test_ressources_gced_in_workers": _NO_SHARED_MEMORY,
    "ProcessPoolExecutorTest.test_saturation": _NO_SHARED_MEMORY,
    "ProcessPoolExecutorTest.test_idle_process_reuse_one": _INSIDE,
    "ProcessPoolExecutorTest.test_idle_process_reuse_multiple": _INSIDE,
    "ProcessPoolExecutorTest.test_max_tasks_per_child": _INSIDE,
    "ProcessPoolExecutorTest"
    ".test_max_tasks_per_child_defaults_to_spawn_context": _INSIDE,
    "ProcessPoolExecutorTest.test_max_tasks_early_shutdown": _INSIDE,
    "ExecutorDeadlockTest.test_exit_during_func_exec_on_worker": _WOULD_EXIT,
    "ExecutorDeadlockTest.test_exit_during_result_pickle_on_worker": _WOULD_EXIT,
    "ExecutorDeadlockTest.test_error_during_result_pickle_on_worker": (
        "a result that cannot be pickled is a PayloadError here"
    ),
    "ExecutorDeadlockTest.test_shutdown_deadlock_pickle": _INSIDE,
    "FutureTests.": _NOT_OF_EXECUTORS,
}


def load() -> types.ModuleType:
    """Return their module; skip who asks if it is not there, but fail in CI."""
    if not FOLDER.is_dir():
        if _IN_CI:
            raise FileNotFoundError(f"{FOLDER}: see tools/cpython_tests.py")
        pytest.skip("CPython's tests are not here: make test", allow_module_level=True)
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module("test_concurrent_futures")


def cases_of(module: types.ModuleType) -> dict[str, list[str]]:
    """Return the tests of each class of theirs, without those that it inherits."""
    kinds: dict[str, Any] = {
        name: kind
        for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    }
    named = {
        name: [one for one in vars(kind) if one.startswith("test")]
        for name, kind in kinds.items()
    }
    return {name: tests for name, tests in named.items() if tests}
