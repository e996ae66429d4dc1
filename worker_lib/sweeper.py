"""Sweeps at the right time: this module decides when, `sweep` does what is due.

No process runs only to sweep. One that has jobs under way sweeps when the next deadline
passes, or when a machine calls for a launcher, and no longer once no deadline is left.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from worker_lib.errors import StoreError
from worker_lib.logs import get_logger
from worker_lib.store.changes import Wakeup
from worker_lib.sweep import Sweep

if TYPE_CHECKING:
    from worker_lib.calls.codec import Codec
    from worker_lib.launcher import Launcher
    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings
    from worker_lib.store.calls import Calls
    from worker_lib.store.store import Store
    from worker_lib.sweep import SweepReport

__all__ = ["Sweeper"]

log = get_logger("sweeper")

# Sweep this long after a deadline: a machine that is just renewing may be in time.
_GRACE = 0.25
_NEVER = float("inf")
# poll() takes no longer wait than some weeks.
_LONGEST_WAIT = 86400.0
# Seconds from one sweep to the next, at least.
_MIN_PAUSE = 2.0
_MAX_OPEN_JOBS = 10_000
# Whether parked machines are of an old image is looked at now and then, for some pools.
_POOLS_EVERY, _POOLS_AT_ONCE = 600.0, 20
# For those who only look.
_LOOKED_AT_EVERY = 60.0


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
        self._wakeup: Wakeup | None = None  # there while the thread runs
        self._sweep_at = _NEVER
        self._swept_at = -_NEVER
        self._look_at_pools_at = -_NEVER
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

    def look_soon(self) -> None:
        """Sweep in the background as soon as may be, if this process has a token."""
        if self._settings.fly_api_token:
            self._arm(0.0)

    def look_for_viewer(self) -> int:
        """Sweep once in the background, if this process has not for a minute.

        For who looks at jobs of others; no thread stays for them. A process without a
        token does nothing, and so does one whose jobs are under way: it sweeps anyway.

        Returns:
            How many commands that takes where nothing is lost: 1, or 0 if it does not.
        """
        now = time.monotonic()
        with self._lock:
            is_idle = self._wakeup is None and not self._stopped
            is_due = now >= self._swept_at + _LOOKED_AT_EVERY
            if not (self._settings.fly_api_token and is_idle and is_due):
                return 0
            self._swept_at = now
        name = "worker_lib-sweeper"
        threading.Thread(target=self._sweep_once, name=name, daemon=True).start()
        return 1

    def _sweep_once(self) -> None:
        try:
            self.sweep()
        except Exception as error:  # nobody waits for this one
            log.warning("sweep_failed", exc_info=not isinstance(error, StoreError))

    def forget(self, job_id: str) -> None:
        """Note that a job was seen to end."""
        with self._lock:
            self._open_jobs.discard(job_id)

    @property
    def has_jobs(self) -> bool:
        """Whether a job is attended that was not seen to end."""
        return bool(self._open_jobs)

    def _arm(self, next_in: float) -> None:
        """Sweep in so many seconds at the latest; start the thread if there is none."""
        now = time.monotonic()
        at = now + next_in + _GRACE if next_in > 0 else now
        with self._lock:
            at = max(at, self._swept_at + _MIN_PAUSE)
            if self._stopped or at > self._sweep_at - _GRACE:
                return
            self._sweep_at = at
            if self._wakeup is not None:
                self._wakeup.notify()
                return
            self._wakeup = wakeup = Wakeup()
        name = "worker_lib-sweeper"
        threading.Thread(
            target=self._run, args=(wakeup,), name=name, daemon=True
        ).start()

    def stop(self) -> None:
        """Sweep no more: one that has begun is the last."""
        with self._lock:
            self._stopped = True
            if self._wakeup is not None:
                self._wakeup.notify()

    def sweep(self) -> SweepReport:
        """Take up what is overdue; machines are launched in the background.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        sweep = self._begin()
        sweep.take_up_overdue(parking=self._pools_to_look_at())
        if sweep.has_lost_any():  # there may be others that nobody knows of
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
        sweep.take_up_overdue(parking=_POOLS_AT_ONCE)
        sweep.reap()
        self._launcher.flush(launch_within)
        return sweep.report()

    def orphans(self) -> dict[str, Machine]:
        """Return the machines that `reap` would destroy, by their slots.

        Raises:
            StoreUnavailable: Redis cannot be reached.
            MachineError: Fly does not say what machines there are.
            ConfigError: this process has no token, or knows no app.
        """
        self._settings.require_machines()
        return self._begin().orphans()

    def reap(self) -> SweepReport:
        """Destroy machines of ours that Redis does not know, once they are old enough.

        Raises:
            StoreUnavailable: Redis cannot be reached.
            ConfigError: this process has no token, or knows no app.
        """
        self._settings.require_machines()
        sweep = self._begin()
        sweep.reap()
        return sweep.report()

    def _pools_to_look_at(self) -> int:
        now = time.monotonic()
        if now < self._look_at_pools_at:
            return 0
        self._look_at_pools_at = now + _POOLS_EVERY
        return _POOLS_AT_ONCE

    def _begin(self) -> Sweep:
        return Sweep(self._store, self._launcher, self._codec, self._settings)

    def _run(self, wakeup: Wakeup) -> None:
        # Most jobs end so soon that their sweeper never opens a connection.
        wakeup.wait(min(_MIN_PAUSE, self._time_left()))
        while not self._may_end(wakeup):
            try:
                with self._store.calls() as calls:
                    self._sweep_in_time(calls, wakeup)
                    while not self._may_end(wakeup, is_connected=True):
                        self._sweep_in_time(calls, wakeup)
            except Exception as error:  # the thread must outlive any one sweep
                log.warning("sweep_failed", exc_info=not isinstance(error, StoreError))
                wakeup.wait(random.uniform(1, 3))
                self._sweep_within(0.0)
            else:
                return  # from now on a deadline is another thread's

    def _time_left(self) -> float:
        with self._lock:
            return max(0.0, self._sweep_at - time.monotonic())

    def _may_end(self, wakeup: Wakeup, *, is_connected: bool = False) -> bool:
        """Say whether the thread must end, as there is nothing to sweep for."""
        with self._lock:
            is_due = self._sweep_at <= time.monotonic()
            is_wanted = is_due or is_connected or bool(self._open_jobs)
            if is_wanted and self._sweep_at < _NEVER and not self._stopped:
                return False
            self._wakeup, self._sweep_at = None, _NEVER
        wakeup.close()
        return True

    def _sweep_in_time(self, calls: Calls, wakeup: Wakeup) -> None:
        """Sweep at the next deadline, or as soon as a machine calls for a launcher."""
        is_called = calls.wait(wakeup, min(self._time_left(), _LONGEST_WAIT))
        if self._stopped or not (is_called or self._time_left() <= 0):
            return
        with self._lock:
            self._swept_at, self._sweep_at = time.monotonic(), _NEVER
            known = frozenset(self._open_jobs)
        next_in = self.sweep().next_in
        if next_in is not None:
            self._sweep_within(next_in)
            return
        with self._lock:  # no deadline is left, so these jobs have ended
            self._open_jobs -= known

    def _sweep_within(self, next_in: float) -> None:
        """Sweep again after so many seconds, if not sooner."""
        at = time.monotonic() + max(next_in, _GRACE) + _GRACE
        with self._lock:
            self._sweep_at = min(self._sweep_at, at)
