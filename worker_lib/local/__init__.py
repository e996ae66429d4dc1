"""The local stack: a Redis and an emulator of Fly, shared by a project's processes.

The first process of a project that needs it starts it, others join it, and it ends
two seconds after its last user has gone, however that one went: each user holds a
socket open, and the kernel closes it even after SIGKILL. For jobs that run or are due
it stays longer, up to `WORKER_LIB_LOCAL_STAY`. What is unfinished then is kept on disk
and goes on when the stack is started again.

In order: `place` says where a project's stack keeps its things; `join` finds or
starts it, and tells it this process's `surroundings`; `stack` is the process that holds
a Valkey server (`valkey`) and the emulator, watches over its users (`callers`) and over
their jobs when they have gone (`keeper`), and removes `leftovers` of older stacks.

What it does not promise: isolation. Machines are processes of the present user, or
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
from worker_lib.local.paths import Place
from worker_lib.local.surroundings import Surroundings, is_local
from worker_lib.logs import get_logger
from worker_lib.settings import Settings

__all__ = [
    "Surroundings",
    "environment",
    "find_modules_here",
    "is_local",
    "join",
    "tell_what_is_left",
    "what_is_left",
]

if TYPE_CHECKING:
    from worker_lib.store.replies import Unfinished
    from worker_lib.store.store import Store

log = get_logger("local")

_START_TIMEOUT = 15.0
# What processes of this computer run from; the API wants a name.
_NO_IMAGE = "local"


def join(settings: Settings) -> Settings:
    """Return `settings` pointed at this folder's local stack, started if need be.

    Raises:
        ConfigError: it cannot be started; the message says why and what to do.
    """
    found = _details(settings)
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
    """Return the variables that point another program at this folder's stack.

    It lives as long as this process does.

    Raises:
        ConfigError: it cannot be started, or a variable is not as it should be.
    """
    settings = Settings.load(os.environ)
    details = _details(settings)
    # What the program does not tell by itself counts as told here.
    Surroundings(Settings.load({**os.environ, **details})).mark()
    if settings.runtime == "process":
        details["WORKER_LIB_LOCAL_PATH"] = _search_path()
    return details


def find_modules_here(settings: Settings) -> Settings:
    """Return `settings` with modules and environment of this process.

    A program under `dev` has been told the rest; these `dev` cannot know.

    Raises:
        StoreUnavailable: the stack has ended.
    """
    if not is_local(settings):
        return dataclasses.replace(settings, local_path=_search_path())
    mark = Surroundings(settings).mark()
    return dataclasses.replace(settings, local_path=_search_path(), local_env=mark)


def tell_what_is_left(settings: Settings, store: Store) -> None:
    """Print, as this process ends, what the stack goes on with; never fails.

    Not to the log, which shows nothing until somebody configures it: whoever tries a
    first script must not take its jobs for lost.
    """
    with contextlib.suppress(StoreError):
        left = store.unfinished(settings.local_stay)
        text = what_is_left(left, settings.local_stay)
        if text:
            print(f"worker_lib: {text}", file=sys.stderr)


def what_is_left(left: Unfinished, stay: float) -> str:
    """Say what becomes of unfinished jobs when their caller has gone; "" if none are.

    Args:
        left: With those as `soon` that are due while the stack stays.
        stay: Seconds that it stays at most.
    """
    told = []
    count = left.running + left.soon
    if count:
        what = "running" if not left.soon else "running or waiting"
        is_are, them = ("is", "it") if count == 1 else ("are", "them")
        told.append(
            f"{_jobs(count)} {is_are} still {what}; the local stack stays up for "
            f"{them} (at most {_span(stay)})"
        )
    if left.later:
        is_are = "is" if left.later == 1 else "are"
        told.append(f"{_jobs(left.later)} {is_are} due later, with the next program")
    return "; ".join(told)


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"


def _details(settings: Settings) -> dict[str, str]:
    image = _image(settings)
    place = Place.of(Path.cwd(), settings.runtime)
    place.check_sockets()
    place.make()
    os.utime(place.data)  # in use: not for others to remove
    with place.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        channel = _connect(place) or _start(place, image)
    with channel.makefile("rb") as stream:
        details: dict[str, str] = json.loads(stream.readline())
    # Whoever started the stack may have named another one.
    details["WORKER_IMAGE"] = image
    channel.settimeout(None)
    channel.detach()  # open for as long as this process is there: that tells the stack
    log.info("local_stack_joined", extra={"folder": str(place.project)})
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


def _connect(place: Place) -> socket.socket | None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(_START_TIMEOUT)
    try:
        channel.connect(str(place.presence))
        # A stack that is about to end has stopped listening before it says good-bye.
        if channel.recv(1, socket.MSG_PEEK):
            return channel
    except OSError:
        pass
    channel.close()
    return None


def _start(place: Place, image: str) -> socket.socket:
    began = time.monotonic()
    module = "worker_lib.local.stack"
    with place.log.open("ab") as output:
        stack = subprocess.Popen(
            [sys.executable, "-m", module, str(place.project), place.runtime, image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            env=_stack_env(),
        )
    if stack.stdout is None:
        raise ConfigError("the local stack could not be started: no pipe")
    with stack.stdout:
        told = stack.stdout.readline()
    stack.returncode = 0  # it outlives this process: there is nothing to wait for
    problems = [Problem(*one) for one in json.loads(told or b"[]")]
    channel = _connect(place) if told and not problems else None
    if channel is None:
        silent = Problem("the local stack did not start", f"see {place.log}")
        raise ConfigError(*(problems or [silent]))
    log.info(
        "local_stack_started",
        extra={
            "folder": str(place.project),
            "start_s": round(time.monotonic() - began, 3),
        },
    )
    return channel


def _stack_env() -> dict[str, Any]:
    # The stack may run from a source tree that only this process knows of.
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _search_path() -> str:
    """Return what a machine must search to find what this process can import.

    A process of this computer stands in for an image that has the whole project.
    """
    own = [path or str(Path.cwd()) for path in sys.path]
    libraries = (sys.prefix, sys.base_prefix, sys.exec_prefix)
    return os.pathsep.join(path for path in own if not path.startswith(libraries))
