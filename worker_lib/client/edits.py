"""What people do with a job that is stored: run it again, edit it, delete it.

A call stays sealed on its way: verified as it was stored, signed for where it goes.
It is unpickled here, after its signature held, only if a part of its arguments is to
be another: not if all are replaced.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib import labels
from worker_lib.calls import codec, pickling
from worker_lib.calls.preview import call_preview
from worker_lib.checks import duration
from worker_lib.errors import (
    ConfigError,
    JobError,
    PayloadError,
    PayloadTooLarge,
    Problem,
)
from worker_lib.job import FIELDS, FINAL, WAITING
from worker_lib.store.keys import new_job_id
from worker_lib.store.new_job import NewJob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker_lib.calls.codec import Codec
    from worker_lib.checks import Check
    from worker_lib.store.store import Store

__all__ = ["Edits", "loaded", "place_of"]

# How often a job may move on between the look and the edit.
_TRIES = 5
# What a job that is run again has from the one before it, besides its sealed call.
_KEPT = {"task", "pool", "max_attempts"} | {
    field.name
    for field in FIELDS.values()
    if field.option or field.kept == "unless_succeeded"
}


class Changes(NamedTuple):
    """What to change of a job; None: nothing.

    Attributes:
        timeout: Seconds; only of a job that is run again.
    """

    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    queue: str | None = None
    priority: int | None = None
    delay: float | None = None
    first: bool = False
    timeout: float | None = None

    @classmethod
    def of(cls, **wanted: Any) -> Changes:
        """Return the changes wanted, each checked.

        Raises:
            ConfigError: one of them cannot be, or there is none.
        """
        if not any(
            value is not None and value is not False for value in wanted.values()
        ):
            remedy = "give args=, kwargs=, queue=, priority=, delay= or first=True"
            raise ConfigError(Problem("edit() has nothing to change", remedy))
        return cls.checked(**wanted)

    @classmethod
    def checked(cls, **wanted: Any) -> Changes:
        """Return the changes wanted, each checked; there may be none."""
        checked = {
            name: check(wanted[name], name)
            for name, check in _CHECKS.items()
            if wanted.get(name) is not None
        }
        return cls(**{**wanted, **checked})

    @property
    def has_arguments(self) -> bool:
        """Whether there are new arguments."""
        return self.args is not None or self.kwargs is not None


_CHECKS: dict[str, Check[Any]] = {
    "queue": labels.queue_name,
    "priority": labels.priority,
    "delay": duration(0.0),
    "timeout": duration(0.1),
}
_NO_CHANGES = Changes()


class Edits:
    """Changes to jobs of one namespace.

    Args:
        store: Has the jobs.
        codec_: Verifies and signs their calls.
    """

    def __init__(self, store: Store, codec_: Codec) -> None:
        self._store = store
        self._codec = codec_

    def again(
        self,
        job_id: str,
        *,
        may_launch: bool,
        new_id: str = "",
        record: Mapping[str, bytes] | None = None,
        changes: Changes | None = None,
        clone: bool = False,
    ) -> NewJob:
        """Return a call like that of a job that has not succeeded.

        Args:
            job_id: The job.
            may_launch: As `NewJob.may_launch`.
            new_id: Of the new job; "" for any.
            record: Of the job; None to look it up.
            changes: What the new job has otherwise; None for nothing.
            clone: It is a job of its own, without the key, whatever the other does;
                else it runs that one again, which has ended.

        Raises:
            JobError: it is not final, unless this is a clone, or succeeded.
            SignatureMismatch: its call is not signed with our secret.
        """
        changes = changes or _NO_CHANGES
        if record is None:
            record = self._store.record(job_id)
        status = _text(record, "status")
        if status == "succeeded" or not (clone or status in FINAL):
            raise JobError(
                f"job {job_id} is {status}: only one that failed, was cancelled or "
                "expired is run again; call the task for another run",
                job_id=job_id,
            )
        new_id = new_id or new_job_id()
        kept = {name: value for name, value in record.items() if name in _KEPT}
        kept |= _changed(changes)
        if clone:
            kept.pop("key", None)
        call = self._call(job_id, record, changes, (new_id, place_of(kept)))
        return NewJob(
            id=new_id,
            record={**kept, "call": call},
            tags=json.loads(record.get("tags", b"{}")),
            delay=changes.delay or 0.0,
            retry_of="" if clone else job_id,
            may_launch=may_launch,
        )

    def edit(self, job_id: str, changes: Changes) -> bool:
        """Change a job that waits; False if Redis has no such job.

        Raises:
            JobError: it runs, or has ended.
        """
        status = ""
        for _ in range(_TRIES):
            record = self._store.record(job_id)
            status = _text(record, "status") if record else "gone"
            if status in WAITING:
                status = self._edit(job_id, record, changes)
            if status in {"changed", "gone"}:
                return status == "changed"
            if status not in WAITING:
                break
        raise JobError(
            f"job {job_id} is {status}: only one that waits can be edited",
            job_id=job_id,
        )

    def delete(self, job_id: str) -> bool:
        """Forget a job that waits or has ended; False if Redis has no such job.

        Raises:
            JobError: it runs.
        """
        verdict = self._store.delete(job_id)
        if verdict == "running":
            raise JobError(
                f"job {job_id} is running: cancel it before it is deleted",
                job_id=job_id,
            )
        return verdict == "deleted"

    def _edit(self, job_id: str, record: Mapping[str, bytes], changes: Changes) -> str:
        fields = {}
        if changes.has_arguments:
            to = job_id, place_of(record)
            fields["call"] = self._call(job_id, record, changes, to)
        queue, priority = changes.queue, changes.priority
        return self._store.edit(
            job_id,
            fence=_text(record, "fence"),
            queue=_text(record, "queue") if queue is None else queue,
            priority=int(_text(record, "priority")) if priority is None else priority,
            delay=changes.delay,
            first=changes.first,
            fields=fields,
        )

    def _call(
        self,
        job_id: str,
        record: Mapping[str, bytes],
        changes: Changes,
        to: tuple[str, str],
    ) -> bytes:
        """Return a job's call, sealed for another job and place or for its own."""
        new_id, new_place = to
        where: Any = {"kind": codec.CALL, "job_id": job_id, "fence": place_of(record)}
        envelope = record["call"]
        if not changes.has_arguments:
            return self._codec.reseal(
                envelope, **where, new_job_id=new_id, new_fence=new_place
            )
        task = _text(record, "task")
        body, call = self._with_arguments(job_id, record, changes)
        preview = self._codec.preview(envelope, **where)
        if preview is not None:
            names = () if record.get("code") else _names(task)
            preview = call_preview(names, call.args, call.kwargs)
        try:
            return self._codec.seal(
                body, kind=codec.CALL, job_id=new_id, fence=new_place, preview=preview
            )
        except PayloadTooLarge as error:
            raise error.of(task) from None

    def _with_arguments(
        self, job_id: str, record: Mapping[str, bytes], changes: Changes
    ) -> tuple[pickling.Body, pickling.Call]:
        """Return a call with new arguments, and what these are."""
        task, place = _text(record, "task"), place_of(record)
        args, kwargs = changes.args, changes.kwargs
        body: pickling.Body
        if args is not None and kwargs is not None:
            call = pickling.Call(tuple(args), dict(kwargs), None)
            old = self._codec.open(
                record["call"], kind=codec.CALL, job_id=job_id, fence=place
            )
            body = pickling.with_arguments(task, old, call.args, call.kwargs)
        else:
            call = self._opened(job_id, record, place)
            call = call._replace(
                args=call.args if args is None else tuple(args),
                kwargs=call.kwargs if kwargs is None else dict(kwargs),
            )
            body = pickling.dump_call(task, call)
        if not record.get("code"):
            _check_signature(task, call)
        return body, call

    def call(self, job_id: str) -> pickling.Call:
        """Return what a job that has not succeeded was called with.

        Raises:
            JobError: Redis no longer has it.
            PayloadError: it is not signed with our secret, or cannot be loaded here.
        """
        record = self._store.record(job_id)
        if "call" not in record:
            raise JobError(
                f"Redis no longer has the call of job {job_id}", job_id=job_id
            )
        return self._opened(job_id, record, place_of(record))

    def _opened(
        self, job_id: str, record: Mapping[str, bytes], place: str
    ) -> pickling.Call:
        body = self._codec.open(
            record["call"], kind=codec.CALL, job_id=job_id, fence=place
        )
        return loaded(body, job_id)


def _changed(changes: Changes) -> dict[str, bytes]:
    """Return the fields of a record that changes make others."""
    words = {
        "queue": changes.queue,
        "priority": changes.priority,
        "timeout": changes.timeout,
    }
    return {
        name: str(value).encode() for name, value in words.items() if value is not None
    }


def _text(record: Mapping[str, bytes], name: str) -> str:
    return record[name].decode() if name in record else FIELDS[name].default


def place_of(record: Mapping[str, bytes]) -> str:
    """Return what the call was signed along with, besides its job."""
    return codec.call_place(
        _text(record, "code") or _text(record, "task"),
        pool=_text(record, "pool"),
        timeout=float(_text(record, "timeout")),
        policy=_text(record, "policy"),
    )


def loaded(body: bytes | bytearray, job_id: str) -> pickling.Call:
    """Return the call of verified bytes.

    Raises:
        PayloadError: its arguments cannot be loaded here.
    """
    try:
        return pickling.load_call(body)
    except Exception as error:
        raise PayloadError(
            f"the arguments of job {job_id} cannot be loaded here ({error}): do this "
            "in a program that has the modules of who made the call"
        ) from error


def _names(task: str) -> tuple[str, ...]:
    """Return the names of a task's positional arguments, if its module is at hand."""
    if task.partition(":")[0] not in sys.modules:
        return ()
    code = getattr(pickling.resolve(task), "__code__", None)
    return code.co_varnames[: code.co_argcount] if code else ()


def _check_signature(task: str, call: pickling.Call) -> None:
    """Check the arguments of a function that is at hand.

    Raises:
        TypeError: it does not take them.
    """
    if task.partition(":")[0] not in sys.modules:  # its machine will tell
        return
    try:
        inspect.signature(pickling.resolve(task)).bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise TypeError(f"{task} cannot be called so: {error}") from None
