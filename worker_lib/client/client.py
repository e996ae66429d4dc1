"""The write side, and what waits for outcomes: where the parts are wired together.

`submit` encodes a call, signs it and stores it in one round trip; a slot that is owed
goes to the launcher, which works in the background. `outcome` waits in Redis until
the finishing script wakes it, then verifies and loads what the machine wrote.
"""

from __future__ import annotations

import atexit
import functools
import math
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from worker_lib import context, hooks
from worker_lib.calls import pickling
from worker_lib.calls.codec import Codec
from worker_lib.client.cloning import call_like
from worker_lib.client.edits import Edits
from worker_lib.client.encoding import Encoder
from worker_lib.client.events import Ends, enqueue
from worker_lib.client.handle import Job
from worker_lib.client.nesting import Nesting
from worker_lib.client.outage import Outage
from worker_lib.client.outcomes import Judge, load
from worker_lib.client.waiters import Waiters, in_thread
from worker_lib.errors import JobError, StoreUnavailable, WaitTimeout
from worker_lib.launcher import Launcher
from worker_lib.settings import Settings
from worker_lib.store.connection import (
    ANSWER_TIMEOUT,
    LONGEST_BLOCK,
    MAX_BLOCK,
    Connection,
)
from worker_lib.store.keys import key_prefix, new_job_id
from worker_lib.store.store import Store
from worker_lib.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker_lib.calls.plan import Plan
    from worker_lib.client.batches import Batches
    from worker_lib.client.edits import Changes
    from worker_lib.client.following import Logs
    from worker_lib.client.sharing import SharedLogs
    from worker_lib.job import JobInfo
    from worker_lib.machines.api import MachinesApi
    from worker_lib.retry import Retry
    from worker_lib.store.new_job import NewJob
    from worker_lib.store.replies import Outcome, Seen
    from worker_lib.task import Task

__all__ = ["Client", "be_quiet", "default_client"]

R = TypeVar("R")

# How long a program that is done may be held up by machines it has yet to ask for.
_FLUSH_AT_EXIT = 10.0
# The next deadline of somebody else's job is not known, but has hardly passed.
_FIRST_LOOK = 1.0
# Woken for nothing, a waiter does not look again sooner than this.
_SHORTEST_LOOK = 0.2


class Client:
    """Stores calls and waits for outcomes, under one set of settings.

    Args:
        settings: With a Redis and a secret.
        env_digest: Returns the digest of this process's environment, at each call;
            None: the one in `settings`.
        folder: Returns that of the project whose local stack this is; "" if it is none.

    Raises:
        ConfigError: something is missing.
    """

    def __init__(
        self,
        settings: Settings,
        env_digest: Callable[[], str] | None = None,
        folder: Callable[[], str] = str,
    ) -> None:
        settings.require_remote()
        self.settings = settings
        prefix = key_prefix(settings.namespace)
        self.store = Store(Connection(settings.redis_url, prefix), settings.namespace)
        self.codec = Codec(
            settings.secret,
            settings.namespace,
            max_bytes=settings.max_payload_bytes,
            old_secret=settings.old_secret,
        )
        self._may_launch = bool(settings.fly_api_token)
        self.launcher = Launcher(self.store, self._make_api, self.codec, settings)
        self.sweeper = Sweeper(self.store, self.launcher, self.codec, settings)
        self._encoder = Encoder(settings, self.codec)
        self._env_digest = env_digest or (lambda: settings.local_env)
        self._nesting = Nesting(self.store, settings)
        self._ends = Ends(self.store)
        self.edits = Edits(self.store, self.codec)
        self._judge = Judge(settings.namespace, folder, self.launcher.who)
        self._waiters = Waiters(self.store, self._looked_at)

    def __repr__(self) -> str:
        """Name the app and the namespace."""
        return f"<Client {self.settings.fly_app}/{self.settings.namespace}>"

    @functools.cached_property
    def batches(self) -> Batches:
        """What many calls at once need; made when they are first made."""
        from worker_lib.client import batches  # noqa: PLC0415 - many make none

        store, sweeper = self.store, self.sweeper
        own = (self._env_digest, self._may_launch, self.settings.lease_ttl)
        parts = (store, self._encoder, self._nesting, self.launcher, sweeper, *own)
        sources = (store, self.codec, self._ends, sweeper, self._judge.outcome)
        return batches.Batches(self, batches.Parts(*parts), batches.Sources(*sources))

    def submit(
        self, task: Task[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Job[R]:
        """Store a call; see `Task.delay`."""
        if hooks.before_enqueue or hooks.after_enqueue:
            store = partial(self._submit, task, args, kwargs)
            return enqueue(task.name, task.spec.queue, new_job_id(), store)
        return self._submit(task, args, kwargs, new_job_id(), None)

    def _submit(
        self,
        task: Task[..., R],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        job_id: str,
        headers: dict[str, str] | None,
    ) -> Job[R]:
        generation = self._nesting.admit(task.name)
        spec, policy = task.spec, _policy_of(task)
        call = pickling.Call(args, kwargs, policy, generation, spec.queue, headers, 0)
        template = self._encoder.template(task, self._env_digest())
        return self._stored(template.new, job_id, template.seal(job_id, call))

    def plan_of(self, task: Task[..., Any]) -> Plan:
        """Return the pool that calls of a task belong to."""
        return self._encoder.plan(task.spec.shared, self._env_digest())

    def retry(self, job_id: str, changes: Changes | None = None) -> Job[Any]:
        """Run a job again under a new id; see `Job.retry`."""
        info = self.look(job_id).info
        self._nesting.admit(info.task)
        new = self.edits.again(job_id, may_launch=self._may_launch, changes=changes)
        job = self._stored_again(info, new)
        if changes is not None and job.id != new.id:
            raise JobError(
                f"job {job.id} runs job {job_id} again already: wait for its end, or "
                "edit or cancel that one",
                job_id=job.id,
            )
        return job

    def clone(self, job_id: str, changes: Changes) -> Job[Any]:
        """Make a new job from another; see `Job.clone`."""
        info = self.look(job_id).info
        if info.status == "succeeded":
            return call_like(info, changes)
        self._nesting.admit(info.task)
        launch = self._may_launch
        new = self.edits.again(job_id, may_launch=launch, changes=changes, clone=True)
        return self._stored_again(info, new)

    def _stored_again(self, info: JobInfo, new: NewJob) -> Job[Any]:
        if hooks.before_enqueue or hooks.after_enqueue:
            # The call keeps the headers that it has.
            return enqueue(info.task, info.queue, new.id, lambda *_: self._stored(new))
        return self._stored(new)

    def edit(self, job_id: str, changes: Changes) -> None:
        """Change a job that waits; see `Job.edit`."""
        if not self.edits.edit(job_id, changes):
            raise self._judge.not_found(job_id)
        self.sweeper.attend(job_id, changes.delay or 0.0)

    def delete(self, job_id: str) -> None:
        """Forget a job; see `Job.delete`."""
        if not self.edits.delete(job_id):
            raise self._judge.not_found(job_id)
        self.sweeper.forget(job_id)

    @functools.cached_property
    def logs(self) -> Logs:
        """What jobs print."""
        from worker_lib.client import following  # noqa: PLC0415 - many read none

        care = (self._judge.not_found, self._attend, self.sweeper.forget)
        return following.Logs(self.store, self.codec, *care)

    @functools.cached_property
    def shared_logs(self) -> SharedLogs:
        """The same, for several who follow one job."""
        from worker_lib.client import sharing  # noqa: PLC0415 - few processes serve pages

        return sharing.SharedLogs(self.logs)

    def resume(self, queue: str) -> None:
        """Let jobs of a queue run again; see `Queue.resume`."""
        self.store.resume(queue)
        self.sweeper.look_soon()

    def catch_up(self) -> None:
        """Do at once what `edit` and `resume` leave to the background.

        For a program that is about to end.
        """
        if self._may_launch:
            self.sweeper.sweep()

    def _stored(self, new: NewJob, job_id: str = "", call: bytes = b"") -> Job[Any]:
        """Store a call, and ask for the machine that is owed for it."""
        stored = self.store.enqueue(new, job_id, call)
        if stored.slot and self._may_launch:
            self.launcher.launch(stored.slot)
        next_in = stored.next_in
        if stored.status != "scheduled":  # a lease may begin at any moment
            next_in = min(next_in, self.settings.lease_ttl)
        self.sweeper.attend(stored.job_id, next_in)
        return Job(stored.job_id, self, fresh=not stored.trouble)

    def outcome(
        self, job_id: str, timeout: float | None, *, fresh: bool = False
    ) -> tuple[bool, Any]:
        """Wait for a job; return (True, value) or (False, exception).

        Args:
            timeout: Seconds; None: no limit, 0: do not wait.
            fresh: It was stored a moment ago, so look only if waiting takes long.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        outage = Outage(self.store, deadline)
        found, known, look = None, fresh, not fresh or timeout == 0
        longest = MAX_BLOCK
        while found is None:
            try:
                if look:
                    found = self._settled(job_id, deadline, known=known)
                    known, look = True, False
                else:
                    began = time.monotonic()
                    found = self._wait(job_id, timeout, deadline, longest)
                    if time.monotonic() - began >= longest:
                        longest = min(LONGEST_BLOCK, 2 * longest)
                    outage.is_over()
            except StoreUnavailable as error:
                outage.pause(error)
                # It may have ended meanwhile, or be lost.
                longest, look = MAX_BLOCK, True
        self.sweeper.forget(job_id)
        return self._load(job_id, found)

    async def aoutcome(self, job_id: str, *, fresh: bool = False) -> tuple[bool, Any]:
        """Do as `outcome` does, without a time limit or a thread that blocks.

        Cancelling it ends the wait and leaves nothing behind.
        """
        if not fresh:
            self._attend(job_id)
        found = await self._waiters.outcome(job_id, known=fresh)
        self.sweeper.forget(job_id)
        # Pickles of the user's may be large, and may do anything.
        return await in_thread(partial(self._load, job_id, found))

    def _load(self, job_id: str, found: Outcome) -> tuple[bool, Any]:
        try:
            good, value = load(self.codec, job_id, found)
        except JobError as error:
            self._ends.tell(job_id, found.status, error)
            raise
        self._ends.tell(job_id, found.status, None if good else value)
        return good, value

    def look(self, job_id: str) -> Seen:
        """Return what Redis has of a job.

        Raises:
            JobNotFound: it has nothing.
        """
        (seen,) = self.store.look(job_id)
        if seen is None:
            raise self._judge.not_found(job_id)
        return seen

    def cancel(self, job_id: str) -> bool:
        """End a job; see `Job.cancel`."""
        done = self.store.cancel(job_id)
        if done is None:
            self.look(job_id)
        self.sweeper.forget(job_id)
        if done:
            self._ends.tell(job_id, "cancelled", None)
        return bool(done)

    def watch(self, job_id: str, timeout: float | None) -> Iterator[JobInfo]:
        """Yield a job at each change; see `Job.watch`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        outage = Outage(self.store, deadline)
        before = None
        self._attend(job_id)
        while _left(deadline) > 0:
            try:
                for _ in self.store.changes(job_id, _left(deadline)):
                    info = self.look(job_id).info
                    if info != before:
                        yield info
                    if info.final:
                        self.sweeper.forget(job_id)
                        return
                    before = info
                outage.is_over()
            except StoreUnavailable as error:
                outage.pause(error)

    @property
    def has_open_jobs(self) -> bool:
        """Whether it has stored a job, or waited for one, and not seen its end."""
        return self.sweeper.has_jobs

    def close(self, timeout: float = _FLUSH_AT_EXIT) -> None:
        """Wait for machines that are being asked for, then close connections."""
        self.launcher.flush(timeout)
        self.sweeper.stop()
        self.store.close()

    def _attend(self, job_id: str) -> None:
        # Who stored the job may be gone, so who waits for it looks after it.
        self.sweeper.attend(job_id, _FIRST_LOOK)

    def _make_api(self) -> MachinesApi:
        self.settings.require_machines()
        from worker_lib.machines.api import MachinesApi  # noqa: PLC0415 - costly

        settings = self.settings
        return MachinesApi(
            settings.api_hostname, settings.fly_api_token, settings.fly_app
        )

    def _wait(
        self,
        job_id: str,
        timeout: float | None,
        deadline: float | None,
        longest: float,
    ) -> Outcome | None:
        """Wait `longest` seconds for the outcome; None if it is not there yet.

        Raises:
            WaitTimeout: the caller's time is over.
        """
        left = _left(deadline)
        if left <= 0:
            raise WaitTimeout(
                f"job {job_id} is not done after {timeout:g} s; it goes on, and "
                f"Job.get({job_id!r}).result() waits for it again"
            )
        began = time.monotonic()
        found = self.store.wait(job_id, min(left, longest))
        if found is None or not found.status:
            found = self._settled(job_id, deadline, known=True)
            if found is None and time.monotonic() - began < _SHORTEST_LOOK:
                time.sleep(_SHORTEST_LOOK)
        return found

    def _settled(
        self, job_id: str, deadline: float | None, *, known: bool
    ) -> Outcome | None:
        """Return a final job's outcome, None if it is not final.

        Raises:
            JobNotFound: it is gone; `JobLost` if it was there before.
            MachineError: it waits for a machine that only a person can bring.
        """
        patience = min(ANSWER_TIMEOUT, max(0.0, _left(deadline)))
        (seen,) = self.store.look(job_id, patience=patience)
        return self._looked_at(job_id, seen, known)

    def _looked_at(self, job_id: str, seen: Seen | None, known: bool) -> Outcome | None:
        found = self._judge.outcome(job_id, seen, known)
        if found is None:  # the look may have put a lost deadline back
            self._attend(job_id)
        return found


def _policy_of(task: Task[..., Any]) -> Retry | None:
    return task.spec.retry if task.spec.retry.max_attempts > 1 else None


_default: Client | None = None
_default_lock = threading.Lock()
_tells_unfinished = True


def be_quiet() -> None:
    """Do not tell, as this process ends, what the local stack goes on with."""
    global _tells_unfinished  # noqa: PLW0603 - of the process
    _tells_unfinished = False


def default_client() -> Client:
    """Return this process's client, made from the environment on first use.

    With neither `REDIS_URL` nor `FLY_API_TOKEN` set, the local stack of the current
    folder is started, or joined.

    Raises:
        ConfigError: the environment cannot work.
    """
    global _default  # noqa: PLW0603 - one per process, made on first use
    if _default is None and not context.in_machine():
        hooks.load(Settings.load(os.environ).hooks)  # it may make calls when imported
    with _default_lock:
        if _default is None:
            settings = Settings.load(os.environ)
            if settings.local:
                from worker_lib import local  # noqa: PLC0415 - not on Fly

                settings = local.join(settings)
            elif settings.local_path and "WORKER_LIB_SLOT" not in os.environ:
                from worker_lib import local  # noqa: PLC0415 - under `dev` only

                settings = local.find_modules_here(settings)
            folder = partial(_folder, settings, Path.cwd())
            client = Client(settings, _env_digest(settings), folder)
            atexit.register(_close_at_exit, client, os.getpid())
            hooks.before_report(_flush_before_report)
            _default = client
        return _default


def _folder(settings: Settings, here: Path) -> str:
    """Return `here` if these settings lead to its local stack, else ""."""
    if not settings.redis_url.startswith("unix:"):
        return ""
    from worker_lib.local.paths import StackPaths  # noqa: PLC0415 - not on Fly

    paths = StackPaths.of(here, settings.runtime)
    return str(paths.project) if str(paths.redis) in settings.redis_url else ""


def _env_digest(settings: Settings) -> Callable[[], str] | None:
    """Return what marks this process's environment at each call; None but locally.

    In a machine it is the environment of the call that the machine is for.
    """
    if not settings.local_env or "WORKER_LIB_SLOT" in os.environ:
        return None
    from worker_lib import local  # noqa: PLC0415 - not on Fly

    return local.CallerEnvironment(settings).digest


def _flush_before_report(_event: hooks.Event) -> None:
    # A machine's child may be killed as soon as its outcome is reported.
    if _default is not None:
        _default.launcher.flush(_FLUSH_AT_EXIT)


def _close_at_exit(client: Client, pid: int) -> None:
    if pid == os.getpid():
        client.launcher.flush(_FLUSH_AT_EXIT)
        if client.has_open_jobs and "WORKER_LIB_SLOT" not in os.environ:
            _print_unfinished(client)
        client.close()


def _print_unfinished(client: Client) -> None:
    local = sys.modules.get("worker_lib.local")  # there, if a stack was joined
    if _tells_unfinished and local is not None and local.is_local(client.settings):
        local.print_unfinished(client.settings, client.store)


def _forget() -> None:
    # Threads and sockets do not survive a fork, nor connections the sleep of a machine:
    # the next call makes another client.
    global _default, _default_lock  # noqa: PLW0603 - as above
    _default = None
    _default_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
context.on_wake(_forget)


def _left(deadline: float | None) -> float:
    return math.inf if deadline is None else deadline - time.monotonic()
