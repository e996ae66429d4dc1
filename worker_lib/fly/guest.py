"""The size of a machine: kind of CPU, number of CPUs, memory.

Every `Guest` is one that Fly offers: the constructor checks it against Fly's table, so
that a wrong size fails where it is written and not at the first launch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from worker_lib.errors import ConfigError

__all__ = ["Guest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What Fly offers of one kind of CPU; memory in MB per CPU.

    Source: fly-go, machine_types.go (`MachinePresets` and the memory bounds per CPU).
    The steps are flyctl's; for performance CPUs Fly's guide says 2048 MB where flyctl
    takes 1024, so the API may refuse some. The sizes with 32 CPUs and more are not in
    fly-go's presets and not available to every organization.
    """

    prefix: str
    cpus: tuple[int, ...]
    least_mb: int
    most_mb: int
    step_mb: int


_LIMITS: Final = {
    "shared": _Limits(
        prefix="shared-cpu",
        cpus=(1, 2, 4, 6, 8),
        least_mb=256,
        most_mb=2048,
        step_mb=256,
    ),
    "performance": _Limits(
        prefix="performance",
        cpus=(1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128),
        least_mb=2048,
        most_mb=8192,
        step_mb=1024,
    ),
}
_NAMES: Final = [
    f"{limits.prefix}-{cpus}x" for limits in _LIMITS.values() for cpus in limits.cpus
]
_MACHINE: Final = re.compile(r"(shared|performance)(?:-cpu)?-([0-9]{1,6})x(?:@(.*))?")
_MEMORY: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(mb?|gb?)?")


@dataclass(frozen=True, slots=True)
class Guest:
    """A size of machine that Fly offers; anything else raises `ConfigError`.

    Attributes:
        cpu_kind: `shared` or `performance`.
        cpus: Number of virtual CPUs.
        memory_mb: Memory in MB.
    """

    cpu_kind: str
    cpus: int
    memory_mb: int

    def __post_init__(self) -> None:
        limits = _LIMITS.get(self.cpu_kind)
        if limits is None:
            kinds = " or ".join(map(repr, _LIMITS))
            raise ConfigError(f"cpu_kind {self.cpu_kind!r} is unknown: use {kinds}")
        _check_cpus(self.cpus, limits)
        _check_memory(self.memory_mb, self.cpus, limits)

    @classmethod
    def parse(
        cls, machine: str = "shared-cpu-1x", memory_mb: int | str | None = None
    ) -> Guest:
        """Read a size as people write it.

        Args:
            machine: `shared-cpu-2x`, `performance-4x`, flyctl's short `shared-2x`,
                each with an optional `@1gb`.
            memory_mb: MB as a number, or text with a unit (`512`, `"512mb"`,
                `"1.5gb"`). None: what `machine` says, else the least that Fly offers
                for these CPUs, which is the default of its presets.

        Raises:
            ConfigError: Fly offers no such size; names the value, what is allowed
                and the nearest valid one.
        """
        kind, cpus, suffix = _split(machine)
        if suffix is not None and memory_mb is not None:
            raise ConfigError(
                f"machine {machine!r} and memory_mb {memory_mb!r} both set the memory: "
                "leave one of them out"
            )
        memory = suffix if memory_mb is None else memory_mb
        if memory is None:
            return cls.smallest(kind, cpus)
        return cls(kind, cpus, _megabytes(memory))

    @classmethod
    def smallest(cls, cpu_kind: str, cpus: int) -> Guest:
        """Return the size with the least memory that Fly offers for these CPUs."""
        limits = _LIMITS.get(cpu_kind)
        return cls(cpu_kind, cpus, cpus * limits.least_mb if limits else 0)

    @staticmethod
    def is_name(text: str) -> bool:
        """Whether this is Fly's name of a size, such as `shared-cpu-2x`."""
        return text in _NAMES

    @property
    def name(self) -> str:
        """Fly's name of the preset with these CPUs, such as `shared-cpu-2x`."""
        return f"{_LIMITS[self.cpu_kind].prefix}-{self.cpus}x"

    def as_config(self) -> dict[str, str | int]:
        """Return the `guest` object of a machine's config, in the API's names."""
        return {
            "cpu_kind": self.cpu_kind,
            "cpus": self.cpus,
            "memory_mb": self.memory_mb,
        }

    def __str__(self) -> str:
        return f"{self.name}@{self.memory_mb}mb"


def _check_cpus(cpus: int, limits: _Limits) -> None:
    if cpus in limits.cpus:
        return
    nearest = min(limits.cpus, key=lambda valid: abs(valid - cpus))
    allowed = ", ".join(map(str, limits.cpus))
    raise ConfigError(
        f"{limits.prefix}-{cpus}x does not exist: CPUs are {allowed}; "
        f"the nearest is {limits.prefix}-{nearest}x"
    )


def _check_memory(memory_mb: int, cpus: int, limits: _Limits) -> None:
    least, most, step = cpus * limits.least_mb, cpus * limits.most_mb, limits.step_mb
    nearest = min(max(round(memory_mb / step) * step, least), most)
    if memory_mb == nearest:
        return
    raise ConfigError(
        f"memory_mb {memory_mb} does not fit {limits.prefix}-{cpus}x: "
        f"it takes {least} to {most} in steps of {step}; the nearest is {nearest}"
    )


def _split(machine: str) -> tuple[str, int, str | None]:
    found = _MACHINE.fullmatch(machine.strip().lower())
    if found is None:
        import difflib  # noqa: PLC0415 - only on the way to an error

        nearest = difflib.get_close_matches(machine.lower(), _NAMES, n=1, cutoff=0.0)
        raise ConfigError(
            f"machine {machine!r} is unknown: use shared-cpu-<cpus>x or "
            f"performance-<cpus>x; the nearest is {nearest[0]}"
        )
    return found[1], int(found[2]), found[3]


def _megabytes(memory: int | str) -> int:
    if isinstance(memory, int):
        return memory
    found = _MEMORY.fullmatch(str(memory).strip().lower())
    if found is None:
        raise ConfigError(
            f"memory_mb {memory!r} is not an amount: "
            "use MB as a number, or text such as '512mb' or '1gb'"
        )
    amount = float(found[1]) * (1024 if (found[2] or "").startswith("g") else 1)
    if not amount.is_integer():
        raise ConfigError(
            f"memory_mb {memory!r} is not a whole number of MB: "
            f"the nearest is {round(amount)}"
        )
    return int(amount)
