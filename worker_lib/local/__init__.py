"""The local stack: a Redis and an emulator of Fly, shared by a project's processes.

The first process of a project that needs it starts it, and others join it. It ends two
seconds after its last user has ended: each user holds a socket open, and the kernel
closes it even after SIGKILL. While jobs run or are due, it stays longer, up to
`WORKER_LIB_LOCAL_STAY`. Unfinished jobs are then kept on disk; they go on when the
stack is started again.

In order: `paths` says where a project's stack keeps its files. `join` finds the stack
or starts it, and sends it the environment of this process (`caller_env`). `stack` is
its process: it runs a Valkey server (`valkey`) and the emulator, remembers its users
(`callers`), sweeps for them when they have ended (`job_watch`), and removes the files
of older stacks (`cleanup`).

It does not promise isolation. Machines are processes of the present user, or
(`WORKER_LIB_RUNTIME=docker`) containers that share this computer's network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker_lib.errors import ConfigError, Problem, StoreError
from worker_lib.local.caller_env import CallerEnvironment, is_local
from worker_lib.local.paths import StackPaths
from worker_lib.logs import get_logger
from worker_lib.settings import Settings

__all__ = [
    "CallerEnvironment",
    "environment",
    "find_modules_here",
    "is_local",
    "join",
    "print_unfinished",
    "unfinished_text",
]

if TYPE_CHECKING:
    from worker_lib.store.replies import Unfinished
    from worker_lib.store.store import Store

log = get_logger("local")

_START_TIMEOUT = 15.0
# The API needs the name of an image, also for machines that are processes.
_NO_IMAGE = "local"


def join(settings: Settings) -> Settings:
    """Return `settings` that point to this folder's local stack; start it if needed.

    Raises:
        ConfigError: it cannot be started; the message says why and what to do.
    """
    found = _joined(settings)
    joined = dataclasses.replace(
        settings,
        redis_url=found["REDIS_URL"],
        secret=found["WORKER_LIB_SECRET"],
        fly_api_token=found["FLY_API_TOKEN"],
        api_hostname=found["FLY_API_HOSTNAME"],
        fly_app=found["FLY_TASKS_APP"],
        image=found["WORKER_IMAGE"],
        region="",
    )
    here = find_modules_here(joined)
    # Containers have the modules and the variables of their image.
    return here if settings.runtime == "process" else joined


def environment() -> dict[str, str]:
    """Return the variables that point another program to this folder's stack.

    The stack stays up for as long as this process runs.

    Raises:
        ConfigError: it cannot be started, or a variable is wrong.
    """
    settings = Settings.load(os.environ)
    details = _joined(settings)
    # The stack knows this environment then, even if the program never sends its own.
    CallerEnvironment(Settings.load({**os.environ, **details})).digest()
    if settings.runtime == "process":
        details["WORKER_LIB_LOCAL_PATH"] = _search_path()
    return details


def find_modules_here(settings: Settings) -> Settings:
    """Return `settings` with the module path and the environment of this process.

    For a program under `worker-lib dev`, which cannot know these two.

    Raises:
        StoreUnavailable: the stack has ended.
    """
    if not is_local(settings):
        return dataclasses.replace(settings, local_path=_search_path())
    digest = CallerEnvironment(settings).digest()
    return dataclasses.replace(settings, local_path=_search_path(), local_env=digest)


def print_unfinished(settings: Settings, store: Store) -> None:
    """Print, as this process ends, which jobs the stack goes on with; never fails.

    Not to the log, which shows nothing until somebody configures it: whoever tries a
    first script should not think that its jobs are lost.
    """
    with contextlib.suppress(StoreError):
        found = store.unfinished(settings.local_stay)
        text = unfinished_text(found, settings.local_stay)
        if text:
            print(f"worker_lib: {text}", file=sys.stderr)


def unfinished_text(found: Unfinished, stay: float) -> str:
    """Return what happens to unfinished jobs when their caller ends; "" without any.

    Args:
        found: `soon` counts jobs that are due while the stack stays.
        stay: The most seconds that it stays.
    """
    parts = []
    count = found.running + found.soon
    if count:
        what = "running" if not found.soon else "running or waiting"
        is_are, them = ("is", "it") if count == 1 else ("are", "them")
        parts.append(
            f"{_jobs(count)} {is_are} still {what}; the local stack stays up for "
            f"{them} (at most {_span(stay)})"
        )
    if found.later:
        is_are = "is" if found.later == 1 else "are"
        parts.append(f"{_jobs(found.later)} {is_are} due later, with the next program")
    return "; ".join(parts)


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"


def _joined(settings: Settings) -> dict[str, str]:
    image = _image(settings)
    paths = StackPaths.of(Path.cwd(), settings.runtime)
    paths.check_sockets()
    paths.make()
    os.utime(paths.data)  # in use: no other stack may remove it
    with paths.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        channel = _connect(paths) or _start(paths, image)
    with channel.makefile("rb") as stream:
        details: dict[str, str] = json.loads(stream.readline())
    # The process that started the stack may use another image.
    details["WORKER_IMAGE"] = image
    channel.settimeout(None)
    channel.detach()  # it stays open until this process ends: then the stack knows
    log.info("local_stack_joined", extra={"folder": str(paths.project)})
    return details


def _image(settings: Settings) -> str:
    if settings.runtime == "process":
        return _NO_IMAGE
    if not settings.image:
        raise ConfigError(
            Problem(
                "WORKER_IMAGE is not set, and WORKER_LIB_RUNTIME="
                f"{settings.runtime} runs machines as containers",
                "set it to an image that the Docker engine has",
                "WORKER_IMAGE",
            )
        )
    return settings.image


def _connect(paths: StackPaths) -> socket.socket | None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(_START_TIMEOUT)
    try:
        channel.connect(str(paths.presence))
        # A stack that is ending closes connections without sending a byte.
        if channel.recv(1, socket.MSG_PEEK):
            return channel
    except OSError:
        pass
    channel.close()
    return None


def _start(paths: StackPaths, image: str) -> socket.socket:
    began = time.monotonic()
    module = "worker_lib.local.stack"
    with paths.log.open("ab") as output:
        stack = subprocess.Popen(
            [sys.executable, "-m", module, str(paths.project), paths.runtime, image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            env=_stack_env(),
        )
    if stack.stdout is None:
        raise ConfigError("the local stack could not be started: no pipe")
    with stack.stdout:
        line = stack.stdout.readline()
    stack.returncode = 0  # it outlives this process: there is nothing to wait for
    problems = [Problem(*one) for one in json.loads(line or b"[]")]
    channel = _connect(paths) if line and not problems else None
    if channel is None:
        silent = Problem("the local stack did not start", f"see {paths.log}")
        raise ConfigError(*(problems or [silent]))
    log.info(
        "local_stack_started",
        extra={
            "folder": str(paths.project),
            "start_s": round(time.monotonic() - began, 3),
        },
    )
    return channel


def _stack_env() -> dict[str, Any]:
    # worker_lib may be in a source tree that only this process has on its path.
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _search_path() -> str:
    """Return the folders in which a machine finds the modules of this process.

    On Fly, the image has the whole project.
    """
    own = [path or str(Path.cwd()) for path in sys.path]
    libraries = (sys.prefix, sys.base_prefix, sys.exec_prefix)
    return os.pathsep.join(path for path in own if not path.startswith(libraries))
