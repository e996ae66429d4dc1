"""The tasks that are measured; a machine imports this module, so it holds no more."""

from __future__ import annotations

from worker_lib import fly_task


@fly_task(max_machines=1)
def noop(value: int = 0) -> int:
    """Return what was given; its machine ends when nothing waits."""
    return value


@fly_task(max_machines=1, linger="20s")
def echo(value: int = 0) -> int:
    """Return what was given; its machine waits for more."""
    return value
