"""From a call of a task to what is stored of it: planned, pickled and signed."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from worker_lib.calls import codec, pickling
from worker_lib.calls.plan import Plan
from worker_lib.calls.preview import call_preview
from worker_lib.errors import PayloadTooLarge
from worker_lib.job import FIELDS
from worker_lib.store.new_job import NewJob

if TYPE_CHECKING:
    from worker_lib.calls.codec import Codec
    from worker_lib.calls.options import TaskOptions
    from worker_lib.calls.pickling import Body
    from worker_lib.settings import Settings
    from worker_lib.task import Task

    # By which name and environment it is known.
    _Known = tuple[tuple[str, str], "Template"]

__all__ = ["Encoder", "Template"]

_MAX_NAME = 200
_MAX_PLANS = 256
# Options that stand in a job's record as they are.
_OPTIONS = {field.name: field.option for field in FIELDS.values() if field.option}
_NONE = None, None


class Template(NamedTuple):
    """What all calls of a task with the same options have in common.

    Attributes:
        new: A job to store, but for its id and its call.
        task: Its name, for people.
        place: What is signed along with each call.
        bound: How many arguments are not the caller's: 1 for the instance.
        codec: Signs.
        names: Of its positional arguments, for previews; None: there are to be none.
    """

    new: NewJob
    task: str
    place: str
    bound: int
    codec: Codec
    names: tuple[str, ...] | None = None

    def seal(self, job_id: str, call: pickling.Call) -> bytes:
        """Return a call pickled and signed; raises as `pickled` and `sealed` do."""
        return self.sealed(job_id, self.pickled(call), self.preview(call))

    def preview(self, call: pickling.Call) -> bytes | None:
        """Return the arguments as text; None if they are not to be shown."""
        if self.names is None:
            return None
        if not call.items:
            return call_preview(self.names, call.args, call.kwargs)
        first = call_preview(self.names, call.args[0], {})
        return b"%d calls, the first: %b" % (call.items, first)

    def pickled(self, call: pickling.Call) -> Body:
        """Return a call as bytes.

        Raises:
            ArgumentsNotEncodable: an argument cannot be pickled.
        """
        return pickling.dump_call(self.task, call, bound=self.bound)

    def sealed(self, job_id: str, body: Body, preview: bytes | None = None) -> bytes:
        """Return a pickled call signed.

        Raises:
            PayloadTooLarge: it is over the limit; the message names the task.
        """
        try:
            return self.codec.seal(
                body,
                kind=codec.CALL,
                job_id=job_id,
                fence=self.place,
                preview=preview,
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
        self._templates: WeakKeyDictionary[Task[..., Any], _Known] = WeakKeyDictionary()

    def template(self, task: Task[..., Any], local_env: str) -> Template:
        """Return what all calls of a task with these options have in common.

        Args:
            task: With the options of the calls.
            local_env: Digest of this process's environment, "" on Fly.

        Raises:
            ArgumentsNotEncodable: the function cannot be pickled.
            PayloadTooLarge: it is over the limit; the message names the task.
        """
        name = pickling.reference(pickling.bare(task))[:_MAX_NAME]
        known_by, template = self._templates.get(task, _NONE)
        if template and known_by == (name, local_env):
            return template
        plan = self.plan(task.spec.shared, local_env)
        try:
            template = self._template(task, plan, name)
        except PayloadTooLarge as error:
            raise error.of(task.name) from None
        if name:  # by value, it travels as it is at each call
            self._templates[task] = (name, local_env), template
        return template

    def _plan_of(self, options: TaskOptions, local_env: str) -> Plan:
        settings = self._settings
        if local_env != settings.local_env:
            settings = dataclasses.replace(settings, local_env=local_env)
        return Plan.of(options, settings, self._codec)

    def _template(self, task: Task[..., Any], plan: Plan, name: str) -> Template:
        options, code_hash, code = task.spec, "", b""
        if not name:
            name, code_hash, code = self._by_value(task)
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
            size=plan.size,
            queues=plan.queues,
            max_machines=plan.max_machines,
            linger=options.linger,
            isolate=plan.isolate,
            target_latency=plan.target_latency,
            may_launch=self._may_launch,
        )
        bound = len(task.first)
        names = self._names(task)
        return Template(new, task.name, place, bound, self._codec, names)

    def _names(self, task: Task[..., Any]) -> tuple[str, ...] | None:
        """Return what its positional arguments are called; None for no previews."""
        if not task.spec.preview or self._settings.previews == "off":
            return None
        code = getattr(pickling.bare(task), "__code__", None)
        return code.co_varnames[: code.co_argcount] if code else ()

    def _by_value(self, task: Task[..., Any]) -> tuple[str, str, bytes]:
        """Return its name, and hash and sealed code."""
        body = pickling.dump_code(pickling.bare(task))
        code_hash = codec.content_hash(body)
        code = self._codec.seal(body, kind=codec.CODE, job_id=code_hash)
        return task.name[:_MAX_NAME], code_hash, code
