"""How long Fly takes for each step of a machine's life.

What Fly publishes: a boot takes about 300 ms, a start well under a second, a resume a
few hundred milliseconds ("Fly Machines", "Machine Suspend and Resume"). The rest was
seen live by third parties and is unofficial: a create is answered after 1.1 to 2.5 s,
the machine stays `created` for about 6 s with a small image and 70 to 100 s with a
large one, and a start may be refused for up to 8 s after a stop. How long a suspend
takes is not known: it writes the memory to a disk.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final, Self

from worker_lib.checks import seconds, unknown_name
from worker_lib.errors import ConfigError, Problem

__all__ = ["FLY", "Latencies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Seconds that each step takes on top of what it takes anyway.

    Attributes:
        create: Until a create is answered.
        pull: A new machine, until its image is there.
        boot: A new machine, from then on.
        start: A machine that is stopped.
        resume: A machine that is suspended.
        suspend: From the request until the machine stands still.
        settle: From the end of a machine until it may be started again.
    """

    create: float = 0.0
    pull: float = 0.0
    boot: float = 0.0
    start: float = 0.0
    resume: float = 0.0
    suspend: float = 0.0
    settle: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `fly`, `pull=30s,start=0.5`, or both: `fly,pull=90`.

        Raises:
            ConfigError: a name is unknown, or a value is no duration.
        """
        values: dict[str, float] = {}
        names = [one.name for one in dataclasses.fields(cls)]
        for entry in text.split(","):
            name, is_pair, value = entry.strip().partition("=")
            if name == "fly" and not is_pair:
                values |= dataclasses.asdict(FLY)
            elif name not in names:
                raise ConfigError(unknown_name("latency", name, ["fly", *names]))
            elif not is_pair:
                raise ConfigError(
                    Problem(f"latency {name!r} has no value", f"write {name}=2s", name)
                )
            else:
                values[name] = seconds(value, name)
        return cls(**values)


FLY: Final = Latencies(
    create=1.5, pull=4.0, boot=0.3, start=0.8, resume=0.3, suspend=0.5, settle=2.0
)
"""Middle values of what is known; those of `suspend` and `settle` are guesses."""
