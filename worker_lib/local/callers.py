"""What the stack knows of its callers: environments, in memory only, and settings."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from worker_lib.emulator import HostImage
from worker_lib.errors import ConfigError, Problem
from worker_lib.local.surroundings import MARK, RULES, travelling

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Callers"]

# A program that changes a variable before each call must not fill the memory.
_MOST = 1000


class Callers:
    """Finds the environment of the caller that a machine is for.

    Args:
        environ: The stack's own, for machines that others than our launcher make.

    Attributes:
        rules: Settings of the callers, by namespace: whoever came last decides.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._own = HostImage(env=travelling(environ), python=sys.executable)
        self._images: dict[str, HostImage] = {}
        self.rules: dict[str, dict[str, Any]] = {}

    def learn(self, line: bytes) -> None:
        """Take up what a caller tells of itself.

        Raises:
            ValueError: it is not what `Surroundings` says.
        """
        told = json.loads(line)
        try:
            caller = told["caller"]
            python = str(caller["python"] or sys.executable)
            image = HostImage(env=dict(caller["env"]), python=python)
            mark = str(told["mark"])
            rules = {name: told["settings"][name] for name in RULES}
        except (KeyError, TypeError) as error:
            raise ValueError(line[:20]) from error
        self.rules[rules["namespace"]] = rules
        self._images.pop(mark, None)
        self._images[mark] = image
        while len(self._images) > _MOST:
            del self._images[next(iter(self._images))]

    def image_of(self, env: Mapping[str, str]) -> HostImage:
        """Return what stands for the image of a machine with this config's `env`.

        Raises:
            ConfigError: its caller's environment is not known any more.
        """
        mark = env.get(MARK, "")
        if not mark:
            return self._own
        found = self._images.get(mark)
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
