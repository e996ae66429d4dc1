"""Runs a job's call again in this process, as it was made: to see why it failed.

It is verified as on a machine before anything of it is unpickled. Nothing is told to
Redis: the job stays as it is.
"""

from __future__ import annotations

import inspect
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib import context
from worker_lib.calls import codec, pickling
from worker_lib.client.client import default_client
from worker_lib.client.edits import loaded, place_of
from worker_lib.errors import JobError, PayloadError, TaskNotRegistered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from worker_lib.client.client import Client
    from worker_lib.job import JobInfo

__all__ = ["Replay", "recorded"]


class Replay(NamedTuple):
    """A job that has ended badly, ready to be loaded.

    Attributes:
        image: That its machines run; "" if Redis no longer knows it.
        env: What the task's option of this name says; likewise.
        python: Minor version of the Python that pickled it, as `3.11`.
        call: Verified, not unpickled yet.
        code: Of a function that travels by value, likewise; else b"".
    """

    info: JobInfo
    image: str
    env: Mapping[str, str]
    python: str
    call: bytes | bytearray
    code: bytes | bytearray

    def load(self) -> Callable[[Callable[[str], None]], Any]:
        """Return what runs the call; it takes what is told of its progress.

        This imports the task's module and unpickles the arguments.

        Raises:
            PayloadError: the arguments cannot be loaded here.
            TaskNotRegistered: there is no such task here.
        """
        task = self.info.task
        with context.loading(task):
            function = (
                pickling.load_code(self.code) if self.code else pickling.resolve(task)
            )
            call = loaded(self.call, self.info.id)
        return lambda report: _run(self, function, call, report)


def recorded(job_id: str, *, any_python: bool = False) -> Replay:
    """Return a job that failed, was cancelled or expired, its call verified.

    Args:
        job_id: Of the job.
        any_python: Also one that another minor version of Python has pickled, if its
            function does not travel by value.

    Raises:
        JobNotFound: there is no such job.
        JobError: it has not ended, or succeeded, so that its call is not kept.
        SignatureMismatch: it is not signed with our secret.
        UnknownVersion: another minor version of Python has pickled it.
        TaskNotRegistered: the code of its function is no longer in Redis.
    """
    client = default_client()
    info = client.look(job_id).info
    record = client.store.record(job_id)
    if not info.final or "call" not in record:
        raise JobError(
            f"job {job_id} is {info.status}: only one that failed, was cancelled or "
            "expired can be replayed",
            job_id=job_id,
        )
    code_hash = record.get("code", b"").decode()
    spec, code = client.store.views.origin(info.pool, code_hash)
    pool = _spec(client, info.pool, spec)
    call = client.codec.open(
        record["call"],
        kind=codec.CALL,
        job_id=job_id,
        fence=place_of(record),
        any_python=any_python,
    )
    return Replay(
        info=info,
        image=str(pool.get("image", "")),
        env=_users_part(pool.get("env", {})),
        python=".".join(map(str, codec.python_of(record["call"]))),
        call=call,
        code=_code(client, info.task, code_hash, code),
    )


def _spec(client: Client, pool: str, sealed: bytes) -> dict[str, Any]:
    """Return what a pool's machines are; {} if Redis no longer knows that."""
    try:
        spec = client.codec.open(sealed, kind=codec.SPEC, job_id=pool)
    except PayloadError:
        return {}
    found: dict[str, Any] = json.loads(spec)
    return found


def _users_part(env: Mapping[str, str]) -> dict[str, str]:
    """Leave out what this library tells its machines."""
    local_path = env.get("WORKER_LIB_LOCAL_PATH")
    own = {"PYTHONPATH"} if env.get("PYTHONPATH") == local_path else set()
    return {
        name: value
        for name, value in env.items()
        if not (name in own or name.startswith("WORKER_LIB_"))
    }


def _code(
    client: Client, task: str, code_hash: str, sealed: bytes
) -> bytes | bytearray:
    if not code_hash:
        return b""
    if not sealed:
        raise TaskNotRegistered(f"the code of {task} is no longer in Redis")
    return client.codec.open(sealed, kind=codec.CODE, job_id=code_hash)


def _run(
    job: Replay,
    function: Callable[..., Any],
    call: pickling.Call,
    report: Callable[[str], None],
) -> Any:
    info = job.info
    present = context.CurrentJob(
        info.id,
        max(1, info.attempt),
        info.task,
        report,
        generation=call.generation,
        headers=call.headers,
    )
    with _environment({**job.env, context.GENERATION: str(call.generation)}):
        context.enter(present)
        try:
            if call.items:  # a chunk: each of its calls, up to the first that fails
                return [_value(function, args, call.kwargs) for args in call.args]
            return _value(function, call.args, call.kwargs)
        finally:
            context.enter(None)


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    """Have these variables for a while."""
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _value(function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> Any:
    value = function(*args, **kwargs)
    if not inspect.iscoroutine(value):
        return value
    import asyncio  # noqa: PLC0415 - only for tasks that are coroutines

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())
