"""The libraries that are measured: ours, and peers in environments of their own."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .rig import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["OURS", "PEERS", "Caller", "Library", "install"]

OURS = "worker_lib"
PEERS = ("huey", "rq", "celery", "dramatiq", "saq", "arq")
_CONTENDERS = Path(__file__).parent / "contenders"
_ENVIRONMENTS = ROOT / ".venv" / "peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library that is installed.

    Attributes:
        programs: The folder of its Python and of its commands.
        version: Its own, and that of its client of Redis.
        database: Which of the server's it uses.
    """

    name: str
    programs: Path
    version: str
    database: int

    def environ(self, socket_path: str) -> dict[str, str]:
        """Return the environment of everything that uses it."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "BENCH_BIN": str(self.programs),
            "PYTHONPATH": str(_CONTENDERS),
            "REDIS_URL": f"unix://{socket_path}?db={self.database}",
        }

    def first_call(self, environ: Mapping[str, str]) -> float:
        """Return the milliseconds of a fresh process from import to stored call."""
        done = subprocess.run(
            [self.programs / "python", _CONTENDERS / "first.py", self.name],
            env=environ,
            cwd=_CONTENDERS,
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
        return float(done.stdout)


class Caller:
    """A process that uses a library as its caller, and measures it.

    Args:
        library: The library.
        environ: Of the process and of the workers that it starts.
    """

    def __init__(self, library: Library, environ: Mapping[str, str]) -> None:
        self.library = library
        self._process = subprocess.Popen(
            [library.programs / "python", _CONTENDERS / "serve.py", library.name],
            env=environ,
            cwd=_CONTENDERS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, and the workers that it has started."""
        with self._process:
            if self._process.stdin:
                self._process.stdin.close()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have it measure something; see `contenders/serve.py`.

        Raises:
            RuntimeError: it could not, or is gone.
        """
        asked, answered = self._process.stdin, self._process.stdout
        line = ""
        if asked and answered:
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps({"do": do, **arguments}), file=asked, flush=True)
                line = answered.readline()
        answer = json.loads(line or '{"error": "its process has ended"}')
        if "error" in answer:
            raise RuntimeError(f"{self.library.name}, {do}: {answer['error']}")
        return answer["ok"]


def install(peers: Sequence[str]) -> Iterator[Library]:
    """Yield ours, then these peers; each is installed once, as its file says."""
    version = importlib.metadata.version("worker-lib")
    yield Library(
        name=OURS, programs=Path(sys.executable).parent, version=version, database=0
    )
    for database, name in enumerate(peers, 1):
        folder = _ENVIRONMENTS / name
        wanted = (_CONTENDERS / f"{name}.txt").read_text(encoding="ascii")
        _create(folder, wanted)
        pins = dict(line.split("==") for line in wanted.split())
        yield Library(
            name=name,
            programs=folder / "bin",
            version=f"{pins[name]} (redis-py {pins['redis']})",
            database=database,
        )


def _create(folder: Path, wanted: str) -> None:
    done = folder / "installed.txt"
    if done.exists() and done.read_text(encoding="ascii") == wanted:
        return
    print(f"installing {folder.name} into {folder} (once)", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = str(_CONTENDERS / f"{folder.name}.txt")
    python = folder / "bin" / "python"
    subprocess.run([python, *words, "--no-deps", "--requirement", pinned], check=True)
    done.write_text(wanted, encoding="ascii")
