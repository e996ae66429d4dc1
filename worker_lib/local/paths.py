"""Where a project's local stack keeps its files."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from worker_lib.errors import ConfigError, Problem
from worker_lib.sockets import check_path

__all__ = ["StackPaths"]

_PROJECT_FILES = ("pyproject.toml", "setup.py", "fly.toml", ".git")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPaths:
    """The folders of one project's stack; only the present user can open them.

    Attributes:
        project: The project's folder.
        runtime: `process` or `docker`; a project has one stack for each that it uses.
        data: Jobs, logs and the signing key; kept between runs.
        run: Sockets. Its path is short, as the length of a socket's path is limited.
        sockets_variable: The variable that decides where `run` is.
    """

    project: Path
    runtime: str
    data: Path
    run: Path
    sockets_variable: str

    @classmethod
    def of(cls, folder: Path, runtime: str = "process") -> StackPaths:
        """Return the paths of the project that `folder` is in.

        The project is the nearest folder upwards that has a pyproject.toml, setup.py,
        fly.toml or .git; without one it is `folder` itself.
        """
        here = folder.resolve()
        projects = (
            one
            for one in (here, *here.parents)
            if any((one / name).exists() for name in _PROJECT_FILES)
        )
        project = next(projects, here)
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
            sockets_variable="XDG_RUNTIME_DIR" if sockets else "TMPDIR",
        )

    def make(self) -> None:
        """Create the folders, and check that they can be written.

        Raises:
            ConfigError: they cannot, or another user owns one of them.
        """
        for folder, variable in (
            (self.data, "XDG_STATE_HOME"),
            (self.run.parent, self.sockets_variable),
            (self.run, self.sockets_variable),
        ):
            _make(folder, variable)

    def check_sockets(self) -> None:
        """Check the lengths of the sockets' paths.

        Raises:
            ConfigError: one is too long; the message names the variable.
        """
        for path in (self.presence, self.redis):
            check_path(path, self.sockets_variable)

    @property
    def lock(self) -> Path:
        """Locked while a process finds the stack or starts it."""
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
        """The log of the stack's process."""
        return self.data / "stack.log"


def _make(folder: Path, variable: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
        if owner == os.getuid():
            with tempfile.TemporaryFile(dir=folder):
                return
    except OSError as error:
        raise ConfigError(
            Problem(
                f"the local stack keeps its files in {folder}, which cannot be made or "
                f"written ({error.strerror})",
                f"set {variable} to a folder of yours that can",
                variable,
            )
        ) from error
    raise ConfigError(
        Problem(
            f"{folder} belongs to another user, so the local stack will not use it",
            f"set {variable} to a folder of yours",
            variable,
        )
    )
