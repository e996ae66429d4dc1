"""Asks a person before something is done that cannot be undone."""

from __future__ import annotations

import sys

from worker_lib.errors import ConfigError, WorkerLibError
from worker_lib.printable import printable

__all__ = ["confirm"]


def confirm(what: str, *, sure: bool) -> None:
    """Ask whether to do it; no is the default.

    Args:
        what: What would be done, as `delete 3 jobs`.
        sure: The person said so beforehand: do not ask.

    Raises:
        ConfigError: there is nobody to ask.
        WorkerLibError: the answer is no.
    """
    if sure:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"nobody can be asked whether to {what}: add --yes")
    question = printable(f"{what}? [y/N] ", keep="")
    print(question, file=sys.stderr, end="", flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise WorkerLibError(f"did not {what}")
