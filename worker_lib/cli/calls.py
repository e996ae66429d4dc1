"""From words of a command line to a task and its arguments."""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from worker_lib import context
from worker_lib.checks import unknown_name
from worker_lib.errors import CallRefused, ConfigError, TaskNotRegistered

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from worker_lib.client.handle import Job
    from worker_lib.task import Task

__all__ = ["add_call", "catch_up", "find_task", "pairs", "stored", "word"]


def add_call(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which task is called, and with what."""
    add = parser.add_argument
    add("task", metavar="MODULE:TASK", help="as in worker_lib.ping:ping")
    add("args", nargs="*", metavar="ARG", help="its arguments: JSON, else text")
    add(
        "--kw",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="its named arguments",
    )
    add(
        "--option",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="as .options() takes them: memory_mb=512 region=ams",
    )


def stored(args: argparse.Namespace) -> Job[Any]:
    """Store the call that the words of the command line ask for.

    Raises:
        ConfigError: no such form of words, or the task takes other arguments.
        TaskNotRegistered: there is no such task.
    """
    task = find_task(args.task).options(**pairs("--option", args.option))
    positional, named = [word(one) for one in args.args], pairs("--kw", args.kw)
    try:
        return task.delay(*positional, **named)
    except TypeError as error:
        raise ConfigError(str(error)) from error


def find_task(name: str) -> Task[..., Any]:
    """Return the task that `module:name` stands for, also in this folder.

    Raises:
        ConfigError: not of that form, or its module cannot be imported.
        TaskNotRegistered: no such module, or it has no such task.
    """
    from worker_lib.task import Task  # noqa: PLC0415 - not for --help

    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigError(f"{name!r} names no task: write MODULE:TASK")
    # As `python -m` does: a task is found in the folder one stands in.
    sys.path.insert(0, os.getcwd())
    module = _module(module_name)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Task):
        return found
    known = [key for key, value in vars(module).items() if isinstance(value, Task)]
    if found is not None:
        raise TaskNotRegistered(f"{name} is no task: mark it with @fly_task")
    raise TaskNotRegistered(f"{module_name}: {_suggestion(attribute, known)}")


def pairs(option: str, words: Iterable[str]) -> dict[str, Any]:
    """Return `name=value` words as names and values.

    Raises:
        ConfigError: one of them is not of that form.
    """
    found = {}
    for one in words:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise ConfigError(f"{option} {one!r}: write it as NAME=VALUE")
        found[name] = word(value)
    return found


def catch_up() -> None:
    """Have machines launched that are owed now: this program is about to end."""
    from worker_lib.client.client import default_client  # noqa: PLC0415 - not for --help

    default_client().catch_up()


def word(text: str) -> Any:
    """Return a word as JSON if it is JSON, else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _suggestion(attribute: str, known: list[str]) -> str:
    if not known:
        return "it has no tasks: mark functions with @fly_task"
    return str(unknown_name("task", attribute, known))


def _module(name: str) -> Any:
    try:
        with context.loading(name):
            return importlib.import_module(name)
    except CallRefused as error:
        raise ConfigError(str(error)) from error
    except ModuleNotFoundError as error:
        # One that the module itself imports is another matter than the module.
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise TaskNotRegistered(
                f"there is no module {error.name!r} here: run this in the folder that "
                "has it"
            ) from error
        raise ConfigError(f"{name} cannot be imported: {error}") from error
    except Exception as error:  # user code runs at import
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{name} cannot be imported: {what}") from error
