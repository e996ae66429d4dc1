"""From a call of a task to what is stored of it: planned, pickled and signed."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.calls import codec, pickling
from worker_lib.calls.plan import Plan
from worker_lib.errors import PayloadTooLarge
from worker_lib.job import FIELDS
from worker_lib.store.new_job import NewJob

if TYPE_CHECKING:
    from worker_lib.calls.codec import Codec
    from worker_lib.calls.options import TaskOptions
    from worker_lib.calls.pickling import Body
    from worker_lib.settings import Settings
    from worker_lib.task import Task

__all__ = ["Encoder", "Template"]

_MAX_NAME = 200
_MAX_PLANS = 256
# Options that stand in a job's record as they are.
_OPTIONS = {field.name: field.option for field in FIELDS.values() if field.option}


class Template(NamedTuple):
    """What all calls of a task with the same options have in common.

    Attributes:
        new: A job to store, but for its id and its call.
        task: Its name, for people.
        place: What is signed along with each call.
        bound: How many arguments are not the caller's: 1 for the instance.
        codec: Signs.
    """

    new: NewJob
    task: str
    place: str
    bound: int
    codec: Codec

    def job(self, job_id: str, call: pickling.Call) -> NewJob:
        """Return a call as a job to store; raises as `seal` does."""
        record = {**self.new.record, "call": self.seal(job_id, call)}
        return dataclasses.replace(self.new, id=job_id, record=record)

    def seal(self, job_id: str, call: pickling.Call) -> bytes:
        """Return a call pickled and signed; raises as `pickled` and `sealed` do."""
        return self.sealed(job_id, self.pickled(call))

    def pickled(self, call: pickling.Call) -> Body:
        """Return a call as bytes.

        Raises:
            ArgumentsNotEncodable: an argument cannot be pickled.
        """
        return pickling.dump_call(self.task, call, bound=self.bound)

    def sealed(self, job_id: str, body: Body) -> bytes:
        """Return a pickled call signed.

        Raises:
            PayloadTooLarge: it is over the limit; the message names the task.
        """
        try:
            return self.codec.seal(
                body, kind=codec.CALL, job_id=job_id, fence=self.place
            )
        except PayloadTooLarge as error:
            raise error.of(self.task) from None


class Encoder:
    """Makes jobs of calls, under one set of settings.

    Args:
        settings: Which pool a call belongs to follows from them and its options.
        codec_: Signs.
    """

    def __init__(self, settings: Settings, codec_: Codec) -> None:
        self._settings = settings
        self._codec = codec_
        self._may_launch = bool(settings.fly_api_token)
        self.plan = functools.lru_cache(_MAX_PLANS)(self._plan_of)

    def encode(
        self, task: Task[..., Any], call: pickling.Call, job_id: str, local_env: str
    ) -> NewJob:
        """Return a call as a job to store.

        Args:
            task: With the options of this call.
            call: Its arguments, and what travels with them.
            job_id: Of the new job.
            local_env: Digest of this process's environment, "" on Fly.

        Raises:
            ArgumentsNotEncodable: the function or an argument cannot be pickled.
            PayloadTooLarge: they are over the limit; the message names the task.
        """
        return self.template(task, local_env).job(job_id, call)

    def template(self, task: Task[..., Any], local_env: str) -> Template:
        """Return what all calls of a task with these options have in common.

        Args:
            task: With the options of the calls.
            local_env: Digest of this process's environment, "" on Fly.

        Raises:
            ArgumentsNotEncodable: the function cannot be pickled.
            PayloadTooLarge: it is over the limit; the message names the task.
        """
        plan = self.plan(task.spec.shared, local_env)
        try:
            return self._template(task, plan)
        except PayloadTooLarge as error:
            raise error.of(task.name) from None

    def _plan_of(self, options: TaskOptions, local_env: str) -> Plan:
        settings = self._settings
        if local_env != settings.local_env:
            settings = dataclasses.replace(settings, local_env=local_env)
        return Plan.of(options, settings, self._codec)

    def _template(self, task: Task[..., Any], plan: Plan) -> Template:
        options = task.spec
        name, code_hash, code = self._function(task)
        place = codec.call_place(
            code_hash or name,
            pool=plan.pool,
            timeout=options.timeout,
            policy=plan.policy,
        )
        record = {
            **plan.record,
            **{name: getattr(options, of) for name, of in _OPTIONS.items()},
            "task": name,
            "code": code_hash,
        }
        if options.expires is not None:
            record["pending"] = options.expires
        new = NewJob(
            id="",
            record=record,
            tags=dict(options.tags),
            code=code,
            delay=options.delay,
            unique_for=options.unique_for,
            pool_spec=plan.spec,
            queues=plan.queues,
            max_machines=plan.max_machines,
            linger=options.linger,
            isolate=plan.isolate,
            target_latency=plan.target_latency,
            may_launch=self._may_launch,
        )
        return Template(new, task.name, place, len(task.first), self._codec)

    def _function(self, task: Task[..., Any]) -> tuple[str, str, bytes]:
        """Return its name, and hash and sealed code if it travels by value."""
        name = pickling.reference(pickling.bare(task))
        if name:
            return name[:_MAX_NAME], "", b""
        body = pickling.dump_code(pickling.bare(task))
        code_hash = codec.content_hash(body)
        code = self._codec.seal(body, kind=codec.CODE, job_id=code_hash)
        return task.name[:_MAX_NAME], code_hash, code
