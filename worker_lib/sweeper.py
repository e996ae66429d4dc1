"""Puts right what was lost: slots nobody launched, machines nobody hears of.

Nobody runs while nothing runs, so the sweep belongs to whoever is awake: a process
that has jobs under way looks when the next deadline passes, or when a machine calls
for a launcher, and stops looking as soon as no deadline is left. This module says
when, `sweep` says what is done.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from worker_lib.errors import StoreError
from worker_lib.logs import get_logger
from worker_lib.store.changes import Bell
from worker_lib.sweep import Sweep

if TYPE_CHECKING:
    from worker_lib.calls.codec import Codec
    from worker_lib.launcher import Launcher
    from worker_lib.settings import Settings
    from worker_lib.store.calls import Calls
    from worker_lib.store.store import Store
    from worker_lib.sweep import SweepReport

__all__ = ["Sweeper"]

log = get_logger("sweeper")

# Look this long after a deadline, so that who is just renewing gets the chance.
_GRACE = 0.25
_NEVER = float("inf")
# poll() takes no longer wait than some weeks.
_LONGEST_WAIT = 86400.0
_PATIENCE = 2.0
_MAX_OPEN_JOBS = 10_000


class Sweeper:
    """Sweeps while jobs are under way; one background thread, none when idle.

    Args:
        store: Of this namespace.
        launcher: Launches what is owed.
        codec: Signs the failure of a job that may not run again.
        settings: Deadlines.
    """

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        codec: Codec,
        settings: Settings,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._codec = codec
        self._settings = settings
        self._lock = threading.Lock()
        # Stored here, or waited for, and not seen to end; enough of them to know
        # that jobs are under way.
        self._open_jobs: set[str] = set()
        self._bell: Bell | None = None  # there while the thread runs
        self._look_at = _NEVER
        self._looked = -_NEVER
        self._stopped = False

    def attend(self, job_id: str, next_in: float) -> None:
        """Sweep until this job is forgotten, or no deadline is left; returns at once.

        A process without a token only remembers the job: its sweep would take up
        what somebody with one could launch.

        Args:
            job_id: Stored by this process, or waited for.
            next_in: Seconds to the next deadline, as far as the caller knows.
        """
        with self._lock:
            if len(self._open_jobs) < _MAX_OPEN_JOBS:
                self._open_jobs.add(job_id)
        if self._settings.fly_api_token:
            self._arm(next_in)

    def forget(self, job_id: str) -> None:
        """Note that a job was seen to end."""
        with self._lock:
            self._open_jobs.discard(job_id)

    @property
    def has_jobs(self) -> bool:
        """Whether a job is attended that was not seen to end."""
        return bool(self._open_jobs)

    def _arm(self, next_in: float) -> None:
        now = time.monotonic()
        at = now + next_in + _GRACE if next_in > 0 else now
        with self._lock:
            at = max(at, self._looked + _PATIENCE)
            if self._stopped or at > self._look_at - _GRACE:
                return
            self._look_at = at
            if self._bell is not None:
                self._bell.ring()
                return
            self._bell = Bell()
        threading.Thread(
            target=self._watch,
            args=(self._bell,),
            name="worker_lib-sweeper",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Sweep no more: a look that has begun is the last."""
        with self._lock:
            self._stopped = True
            if self._bell is not None:
                self._bell.ring()

    def sweep(self) -> SweepReport:
        """Take up what is overdue; machines are launched in the background.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        sweep = self._begin()
        sweep.take_up_overdue()
        if sweep.has_lost_any():  # where one machine went astray, look for others
            sweep.reap()
        return sweep.report()

    def sweep_and_reap(self, launch_within: float) -> SweepReport:
        """Sweep, look for machines whose slot nobody knows, wait for the launches.

        Args:
            launch_within: Seconds; what is not launched by then is `launch_pending`.

        Raises:
            StoreUnavailable: Redis cannot be reached.
            ConfigError: no machine could be launched: the sweep would take up what
                others could launch.
        """
        self._settings.require_machines()
        sweep = self._begin()
        sweep.take_up_overdue()
        sweep.reap()
        self._launcher.flush(launch_within)
        return sweep.report()

    def _begin(self) -> Sweep:
        return Sweep(self._store, self._launcher, self._codec, self._settings)

    def _watch(self, bell: Bell) -> None:
        # Most jobs are over so soon that they cost no command at all.
        bell.wait(min(_PATIENCE, self._time_left()))
        while not self._is_over(bell):
            try:
                with self._store.calls() as calls:
                    self._look_in_time(calls, bell)
                    while not self._is_over(bell, begun=True):
                        self._look_in_time(calls, bell)
            except Exception as error:  # the thread must outlive any one sweep
                log.warning("sweep_failed", exc_info=not isinstance(error, StoreError))
                bell.wait(random.uniform(1, 3))
                self._plan(0.0)

    def _time_left(self) -> float:
        with self._lock:
            return max(0.0, self._look_at - time.monotonic())

    def _is_over(self, bell: Bell, *, begun: bool = False) -> bool:
        """Say whether there is nothing to look after; the thread must then end."""
        with self._lock:
            is_due = self._look_at <= time.monotonic()
            wanted = is_due or begun or bool(self._open_jobs)
            if wanted and self._look_at < _NEVER and not self._stopped:
                return False
            self._bell, self._look_at = None, _NEVER
        bell.close()
        return True

    def _look_in_time(self, calls: Calls, bell: Bell) -> None:
        """Sweep when the next deadline has passed, or when called."""
        called = calls.wait(bell, min(self._time_left(), _LONGEST_WAIT))
        if self._stopped or not (called or self._time_left() <= 0):
            return
        with self._lock:
            self._looked, self._look_at = time.monotonic(), _NEVER
            known = frozenset(self._open_jobs)
        next_in = self.sweep().next_in
        if next_in is not None:
            self._plan(next_in)
            return
        with self._lock:
            self._open_jobs -= known

    def _plan(self, next_in: float) -> None:
        """Look again after so many seconds, if not sooner."""
        at = time.monotonic() + max(next_in, _GRACE) + _GRACE
        with self._lock:
            self._look_at = min(self._look_at, at)
