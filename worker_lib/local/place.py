"""Where a project's local stack keeps its things."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from worker_lib.errors import ConfigError

__all__ = ["Place"]

_MARKS = ("pyproject.toml", "setup.py", "fly.toml", ".git")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Folders of one project's stack; both are open to the present user only.

    Attributes:
        project: The project's folder.
        runtime: What machines are; a project has a stack for each kind that it uses.
        data: Jobs, logs and the signing key; kept between runs.
        run: Sockets. Its path is short, since a socket's may have 107 characters.
    """

    project: Path
    runtime: str
    data: Path
    run: Path

    @classmethod
    def of(cls, folder: Path, runtime: str = "process") -> Place:
        """Return the place of the project that `folder` is in.

        The project is the nearest folder upwards that has a pyproject.toml, setup.py,
        fly.toml or .git; without one it is `folder` itself.
        """
        here = folder.resolve()
        marked = (
            one
            for one in (here, *here.parents)
            if any((one / mark).exists() for mark in _MARKS)
        )
        project = next(marked, here)
        name = hashlib.sha256(str(project).encode()).hexdigest()[:12]
        name += "" if runtime == "process" else f"-{runtime}"
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        sockets = os.environ.get("XDG_RUNTIME_DIR")
        top = Path(sockets or tempfile.gettempdir()) / f"worker_lib-{os.getuid()}"
        return cls(
            project=project,
            runtime=runtime,
            data=Path(state) / "worker_lib" / name,
            run=top / name,
        )

    def make(self) -> None:
        """Create the folders.

        Raises:
            ConfigError: somebody else owns one of them, or it cannot be made.
        """
        for folder in (self.data, self.run.parent, self.run):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(
                    f"the local stack cannot make {folder} ({error.strerror}): set "
                    "XDG_STATE_HOME and XDG_RUNTIME_DIR to folders of yours"
                ) from error
            if folder.stat().st_uid != os.getuid():
                raise ConfigError(
                    f"{folder} belongs to another user, so the local stack will not "
                    "use it: set XDG_RUNTIME_DIR to a folder of yours"
                )

    @property
    def lock(self) -> Path:
        """Held while a process looks for the stack or starts it."""
        return self.run / "lock"

    @property
    def presence(self) -> Path:
        """The socket that each user holds open."""
        return self.run / "stack"

    @property
    def redis(self) -> Path:
        """The Valkey server's socket."""
        return self.run / "redis"

    @property
    def log(self) -> Path:
        """What the stack itself has to say."""
        return self.data / "stack.log"
