"""How a machine parks itself when its pool is empty, and what it is when it wakes up.

A parked machine is not paid for but for its disk, and is there again sooner than a new
one. Small ones are suspended, with their memory: they ask Fly for it by their own
socket. Others end: Fly keeps a stopped machine whose config says so, and boots it
again. One that is to be parked no more destroys itself; if that fails, a sweep does it.

Source: "Machine Suspend and Resume".
"""

from __future__ import annotations

import json
import sys

from worker_lib.errors import ConfigError, Problem
from worker_lib.fly.protocol import PARKING_VARIABLE
from worker_lib.runtime.machine_api import Refused, ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from worker_lib.runtime.stop import Stop

__all__ = ["Parking"]

_TIMEOUT = 5.0
# Fly lets a machine be read five times a second, and ten times at once.
_LOOK_EVERY = 0.2
# Seconds for which it waits, awake, for the suspend that it has asked for.
_PATIENCE = 30.0
# So often in a row may it be woken for nothing.
_MOST_WAKES = 3


class Parking:
    """Parks this machine.

    Args:
        how: `suspend`, or `stop`.
        most: Machines of this pool that may be parked.
        lasts: Seconds after which it is destroyed if nobody wakes it.

    Attributes:
        limits: The latter two.
        has_parked: This process is to end, and its machine is stopped by that.
    """

    def __init__(self, how: str, most: int, lasts: float) -> None:
        self.limits = (most, lasts)
        self.has_parked = False
        self._how = how
        self._wakes = 0

    @classmethod
    def read(cls, told: str) -> Parking:
        """Return what the launcher has told this machine.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            how, most, lasts = told.split()
            return cls(how, int(most), float(lasts))
        except ValueError:
            text = f"{PARKING_VARIABLE}={told!r} cannot be read"
            remedy = "the launcher sets it; launch machines with the image's version"
            raise ConfigError(Problem(text, remedy, PARKING_VARIABLE)) from None

    def worked(self) -> None:
        """Note that this machine had something to do."""
        self._wakes = 0

    def park(self, stop: Stop) -> bool:
        """Stand still until somebody wakes this machine up.

        Returns:
            False if this process must end instead: the machine is stopped by that, or
            was asked to stop.
        """
        self._wakes += 1
        if self._how == "suspend" and self._wakes <= _MOST_WAKES:
            try:
                return self._suspend(stop)
            except OSError as error:
                said = f"worker_lib: this machine stops, as it cannot suspend: {error}"
                print(said, file=sys.stderr, flush=True)
        self.has_parked = not stop.asked
        return False

    def vanish(self) -> None:
        """Destroy this machine, if it is not to be parked; nothing comes after this."""
        if self.has_parked:
            return
        try:
            ask("DELETE", "?force=true", timeout=_TIMEOUT)
        except OSError as error:
            said = f"worker_lib: a sweep must destroy this machine: {error}"
            print(said, file=sys.stderr, flush=True)

    def _suspend(self, stop: Stop) -> bool:
        before = _latest(_about_me())
        try:
            ask("POST", "/suspend", timeout=_TIMEOUT)
        except Refused:
            raise
        except OSError:
            pass  # it may have been done all the same
        awake = 0.0
        while not self._is_awake(before):
            if awake >= _PATIENCE:
                raise Refused(f"it still runs after {_PATIENCE:g} s")
            stop.wait(_LOOK_EVERY)
            awake += _LOOK_EVERY
            if stop.asked:
                return False
        return True

    def _is_awake(self, before: Any) -> bool:
        """Say whether this machine runs again; `before`: its event before it parked."""
        try:
            seen = _about_me()
        except OSError:  # too many questions, or a connection that slept as well
            return False
        # Right after the request it may still be shown as it was.
        return seen.get("state") == "started" and _latest(seen) != before


def _about_me() -> dict[str, Any]:
    try:
        seen: dict[str, Any] = json.loads(ask("GET", "", timeout=_TIMEOUT))
    except ValueError as error:
        raise OSError(f"the machine's API gave no JSON: {error}") from error
    return seen


def _latest(seen: dict[str, Any]) -> Any:
    """Return what tells the latest event of a machine from others; newest first."""
    return (seen.get("events") or [{}])[0].get("id")
