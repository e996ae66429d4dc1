"""Exit codes, the same for every command, for use in scripts."""

from __future__ import annotations

from worker_lib.errors import (
    ConfigError,
    JobNotFound,
    MachineError,
    MachineNotFound,
    StoreError,
    TaskNotRegistered,
    WaitTimeout,
    WorkerLibError,
)

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "NOT_FOUND",
    "OK",
    "TIMEOUT",
    "UNREACHABLE",
    "USAGE",
    "exit_code",
]

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
TIMEOUT = 4
UNREACHABLE = 5
INTERRUPTED = 130

_CODES: tuple[tuple[type[WorkerLibError], int], ...] = (
    (ConfigError, USAGE),
    (JobNotFound, NOT_FOUND),
    (MachineNotFound, NOT_FOUND),
    (TaskNotRegistered, NOT_FOUND),
    (WaitTimeout, TIMEOUT),
    (StoreError, UNREACHABLE),
    (MachineError, UNREACHABLE),
)


def exit_code(error: WorkerLibError) -> int:
    """Return the exit code for this error; 1 if it has none of its own."""
    codes = (code for kind, code in _CODES if isinstance(error, kind))
    return next(codes, FAILED)
