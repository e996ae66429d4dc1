"""What the stack knows of its callers: environments, in memory only, and settings."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from worker_lib.emulator import HostImage
from worker_lib.errors import ConfigError, Problem
from worker_lib.local.caller_env import CALLER_SETTINGS, DIGEST_VARIABLE, machine_env

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Callers"]

# A program that changes a variable before each call must not fill the memory.
_MOST = 1000


class Callers:
    """Finds the environment of the caller that a machine is for.

    Args:
        environ: The stack's own, for machines that our launcher did not create.

    Attributes:
        settings: Those of the last caller in each namespace.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._own = HostImage(env=machine_env(environ), python=sys.executable)
        self._images: dict[str, HostImage] = {}
        self.settings: dict[str, dict[str, Any]] = {}

    def learn(self, line: bytes) -> None:
        """Store what a caller has sent.

        Raises:
            ValueError: it is not what `CallerEnvironment` sends.
        """
        sent = json.loads(line)
        try:
            caller = sent["caller"]
            python = str(caller["python"] or sys.executable)
            image = HostImage(env=dict(caller["env"]), python=python)
            digest = str(sent["digest"])
            settings = {name: sent["settings"][name] for name in CALLER_SETTINGS}
        except (KeyError, TypeError) as error:
            raise ValueError(line[:20]) from error
        self.settings[settings["namespace"]] = settings
        self._images.pop(digest, None)
        self._images[digest] = image
        while len(self._images) > _MOST:
            del self._images[next(iter(self._images))]

    def image_of(self, env: Mapping[str, str]) -> HostImage:
        """Return what stands for the image of a machine whose config has this `env`.

        Raises:
            ConfigError: the environment of its caller is no longer known.
        """
        digest = env.get(DIGEST_VARIABLE, "")
        if not digest:
            return self._own
        found = self._images.get(digest)
        if found is None:
            raise ConfigError(
                Problem(
                    "the environment that the call was made with is gone, as the local "
                    "stack was started again since",
                    "run the program once more with the variables that it had then, "
                    "or cancel the job and call again",
                )
            )
        return found
