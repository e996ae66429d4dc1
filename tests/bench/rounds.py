"""Measures all libraries in turn, so that a slow moment of the computer slows all."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from .bare import BareRedis, run_python
from .counting import relay
from .crowds import crowds
from .libraries import OURS, Caller
from .rig import ROOT, Rig
from .rows import BARE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .figures import Figure
    from .libraries import Library

__all__ = ["QUICK", "Measured", "Size", "measure"]

_NAP = 0.01
_LONG_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: Of all but the next one.
        long_rounds: Of what takes seconds: two workers.
    """

    rounds: int = 7
    long_rounds: int = _LONG_ROUNDS
    calls: int = 2000
    bulk: int = 5000
    trips: int = 300
    jobs: int = 3000
    naps: int = 1000
    large: int = 20_000_000
    many: int = 20_000
    crowd: float = 1.0

    @classmethod
    def of(cls, rounds: int) -> Size:
        """Return the usual size, with so many rounds."""
        return cls(rounds=rounds, long_rounds=min(rounds, _LONG_ROUNDS))


QUICK = Size(
    rounds=1,
    long_rounds=1,
    calls=50,
    bulk=100,
    trips=10,
    jobs=100,
    naps=20,
    large=100_000,
    many=200,
    crowd=0.01,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        samples: For each row and library, in the order of the rounds.
        failures: What could not be measured, and why.
        figures: Of this library alone.
        about: For each library, its version and how it was used.
    """

    samples: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    failures: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    about: dict[str, dict[str, str]] = field(default_factory=dict)


def measure(rig: Rig, libraries: Sequence[Library], size: Size) -> Measured:
    """Measure all of them on one server."""
    found = Measured()
    with contextlib.ExitStack() as stack:
        callers = [
            stack.enter_context(Caller(one, _environ(rig, one, rig.socket_path)))
            for one in libraries
        ]
        bare = stack.enter_context(BareRedis(rig.socket_path))
        for caller in callers:
            about = caller.ask("about")
            found.about[caller.library.name] = {
                "version": caller.library.version,
                **about,
            }
        run = _Run(rig, size, found, bare)
        for number in range(size.rounds):
            first = number % len(callers)
            run.round(callers[first:] + callers[:first], number)
        run.try_(OURS, partial(_crowds, run, callers[0]))
    for library in libraries:
        run.try_(library.name, partial(_commands, run, library))
    return found


class _Run:
    """One server, and what is found on it."""

    def __init__(self, rig: Rig, size: Size, found: Measured, bare: BareRedis) -> None:
        self.rig = rig
        self.size = size
        self.found = found
        self._bare = bare

    def round(self, callers: Sequence[Caller], number: int) -> None:
        """Take each figure of each library once."""
        steps: list[Callable[[Caller], None]] = [self._store, self._one, self._start]
        if number < self.size.long_rounds:
            steps.append(self._two)
        if number == 0:
            steps.append(self._many)
        for step in steps:
            self._bare_figures(step)
            for caller in callers:
                _progress(f"round {number + 1}: {caller.library.name}")
                self.try_(caller.library.name, partial(step, caller))
                with contextlib.suppress(RuntimeError):
                    caller.ask("stop")
                self.flush(caller.library)

    def try_(self, name: str, step: Callable[[], None]) -> None:
        """Do it; note it if it fails, for the others are to be measured."""
        try:
            step()
        except (RuntimeError, OSError) as error:
            _progress("")
            print(f"{name}: {error}", file=sys.stderr)
            self.found.failures.append(f"{name}: {error}")

    def note(self, row: str, name: str, value: float | None) -> None:
        """Keep a sample; None if the library has no such thing."""
        if value is not None:
            self.found.samples[row][name].append(value)

    def _store(self, caller: Caller) -> None:
        name = caller.library.name
        self.note("accepted", name, caller.ask("accepted", calls=self.size.calls))
        used = self._memory_of_keys(caller.library)
        self.note("waiting", name, used / (self.size.calls + 1))
        self.flush(caller.library)
        self.note("bulk", name, caller.ask("bulk", calls=self.size.bulk))

    def _one(self, caller: Caller) -> None:
        name = caller.library.name
        caller.ask("start", workers=1)
        self.note("trips", name, caller.ask("trips", calls=self.size.trips))
        self.note("large", name, caller.ask("large", size=self.size.large))
        drained = caller.ask("drained", jobs=self.size.jobs)
        self.note("drained1", name, drained["rate"])

    def _start(self, caller: Caller) -> None:
        library = caller.library
        self.note("cold", library.name, caller.ask("cold"))
        environ = _environ(self.rig, library, self.rig.socket_path)
        self.note("first", library.name, library.first_call(environ))
        self.rig.destroy_machines()

    def _two(self, caller: Caller) -> None:
        name, jobs = caller.library.name, self.size.naps
        caller.ask("start", workers=2, alone=True)
        drained = caller.ask("drained", jobs=self.size.jobs)
        self.note("drained2", name, drained["rate"])
        took = caller.ask("naps", jobs=jobs, seconds=_NAP)
        self.note("naps", name, (took / (jobs * _NAP / 2) - 1) * 100)

    def _many(self, caller: Caller) -> None:
        caller.ask("start", workers=1)
        self.note(
            "memory", caller.library.name, caller.ask("memory", jobs=self.size.many)
        )

    def _bare_figures(self, step: Callable[[Caller], None]) -> None:
        if step == self._store:
            self.note("accepted", BARE, self._bare.accepted(self.size.calls))
        elif step == self._one:
            self.note("trips", BARE, self._bare.trips(self.size.trips))
            self.note("large", BARE, self._bare.large(self.size.large))
        elif step == self._start:
            self.note("first", BARE, run_python("pass"))

    def _memory_of_keys(self, library: Library) -> int:
        """Return the bytes of all that the library's database has.

        What the whole server uses would tell of others, too: of the buffers of their
        connections, which shrink seconds later.
        """
        with redis.Redis(
            unix_socket_path=self.rig.socket_path, db=library.database
        ) as connection:
            reader = connection.pipeline(transaction=False)
            for key in connection.scan_iter(count=1000):
                reader.memory_usage(key, samples=0)
            return sum(size or 0 for size in reader.execute())

    def flush(self, library: Library) -> None:
        """Empty the library's database."""
        with redis.Redis(
            unix_socket_path=self.rig.socket_path, db=library.database
        ) as connection:
            connection.flushdb(asynchronous=False)
            # Else the allocator gives it back bit by bit, while the next is measured.
            connection.memory_purge()


def _crowds(run: _Run, caller: Caller) -> None:
    """Measure this library among many jobs and pools."""
    _progress("100,000 jobs, 1,000 pools")
    size = run.size
    found = crowds(
        caller,
        partial(run.flush, caller.library),
        rounds=size.long_rounds,
        jobs=size.jobs,
        scale=size.crowd,
    )
    run.found.figures.extend(found)


def _commands(run: _Run, library: Library) -> None:
    """Count what a library sends for a job, warm and drained."""
    _progress(f"commands: {library.name}")
    size = run.size
    path = Path(run.rig.socket_path).with_name(f"relay-{library.name}")
    with contextlib.ExitStack() as stack:
        count = stack.enter_context(relay(str(path), run.rig.socket_path))
        rig = stack.enter_context(Rig.on(path)) if library.name == OURS else run.rig
        environ = _environ(rig, library, str(path))
        caller = stack.enter_context(Caller(library, environ))
        caller.ask("start", workers=1)
        before = count()
        caller.ask("trips", calls=size.trips)
        run.note("commands_warm", library.name, (count() - before) / (size.trips + 20))
        before = count()
        looks = caller.ask("drained", jobs=size.jobs)["looks"]
        sent = count() - before - looks
        run.note("commands_drained", library.name, sent / size.jobs)


def _environ(rig: Rig, library: Library, socket_path: str) -> dict[str, str]:
    environ = library.environ(socket_path)
    if library.name == OURS:
        environ |= rig.variables(f"bench-{secrets.token_hex(4)}")
        environ["PYTHONPATH"] += os.pathsep + str(ROOT)
        environ["WORKER_LIB_LOCAL_PATH"] = environ["PYTHONPATH"]
    return environ


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
