"""One scripted fault: the data, and what is refused of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from worker_lib.checks import unknown_name
from worker_lib.emulator.faults.effects import (
    ACTIONS,
    BREAKS,
    DWELLS,
    EFFECTS,
    FATES,
    READS,
    REFUSALS,
    SIGHTS,
    STATES,
    STATUSES,
    Refusal,
)
from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest
from worker_lib.fly.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.emulator.visibility import Subject

ANY = "*"
_SCRIPTED = "unknown: scripted fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One scripted fault; a value that makes no sense raises `ConfigError`.

    Attributes:
        action: The API action it strikes, or `*`.
        state: Strikes machines that enter this state, and no request.
        region: Only what is in this region.
        size: Only guests of this size, such as `shared-cpu-2x`.
        machine: Only machines whose name begins so.
        probability: Of striking where it fits, 0 to 1.
        nth: It lets those that fit before the nth one pass.
        times: How often it strikes; None for ever.
        since: Seconds after it was scripted, from when on it strikes.
        until: The same, until when; None for ever.
        effect: A word of the table in the package's docstring, or "".
        status: HTTP status to answer with; 0: that of the effect, or none.
        error: Text of that answer; "": that of the effect.
        code: Fly's `status` field in it; "": that of the effect.
        retry_after: Seconds for its `Retry-After`; 0 leaves it out.
        delay: Seconds, or the least and the most of them.
        after_commit: Strikes a request when its work is done, not before.
    """

    action: str = ANY
    state: str = ""
    region: str = ""
    size: str = ""
    machine: str = ""
    probability: float = 1.0
    nth: int = 1
    times: int | None = None
    since: float = 0.0
    until: float | None = None
    effect: str = ""
    status: int = 0
    error: str = ""
    code: str = ""
    retry_after: float = 0.0
    delay: float | tuple[float, float] = 0.0
    after_commit: bool = False

    def __post_init__(self) -> None:
        problems = [*_unknown(self), *_out_of_bounds(self), *_misplaced(self)]
        if problems:
            raise ConfigError(*problems)

    @classmethod
    def of(cls, raw: object) -> FaultRule:
        """Read a rule from JSON data.

        Raises:
            ConfigError: all that is wrong, with the nearest known names.
        """
        if not isinstance(raw, dict):
            raise ConfigError(f"a fault is an object, not {raw!r}")
        defaults = {each.name: each.default for each in fields(cls)}
        problems = [
            str(unknown_name("key of a fault", str(name), defaults))
            for name in raw
            if name not in defaults
        ]
        problems += [
            f"{name} of a fault is {value!r}, which is not {_kind(name)}"
            for name, value in raw.items()
            if name in defaults and not _fits(name, value, defaults[name])
        ]
        if problems:
            raise ConfigError(*problems)
        values: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in raw.items()
        }
        return cls(**values)

    @property
    def is_placement(self) -> bool:
        """Whether it strikes the choice of a region, not the request itself.

        Without an effect or a status it says that there is no room.
        """
        return self.action == "create" and self.region != ""

    @property
    def is_late(self) -> bool:
        """Whether it strikes when the work is done; half a reply needs a whole one."""
        return self.after_commit or self.effect == "truncate"

    @property
    def refusal(self) -> Refusal | None:
        """What it answers with, if it refuses."""
        known = REFUSALS.get(self.effect)
        if known is None and self.is_placement and not self.status:
            known = REFUSALS["no_capacity"]
        if known is None and not self.status:
            return None
        status, error, code = known or Refusal(self.status, _SCRIPTED)
        return Refusal(self.status or status, self.error or error, self.code or code)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most of its delay."""
        if isinstance(self.delay, tuple):
            return self.delay
        return self.delay, self.delay

    def covers(self, subject: Subject) -> bool:
        """Whether a machine is one of those it is for."""
        return (
            self.region in ("", subject.region)
            and self.size in ("", subject.size)
            and subject.name.startswith(self.machine)
        )


def _unknown(rule: FaultRule) -> Iterator[str]:
    known: tuple[tuple[str, str, set[str]], ...] = (
        ("action", rule.action, {*ACTIONS, ANY}),
        ("state", rule.state, {*STATES, ""}),
        ("effect", rule.effect, {*EFFECTS, ""}),
        ("region", rule.region, {*REGIONS, ""}),
        ("status", str(rule.status), {*map(str, STATUSES), "0"}),
    )
    for what, value, names in known:
        if value not in names:
            yield str(unknown_name(f"{what} of a fault", value, names - {"", "0"}))
    if rule.size and not _is_size(rule.size):
        yield f"size of a fault is {rule.size!r}: name one, such as shared-cpu-2x"


def _is_size(size: str) -> bool:
    try:
        return Guest.parse(size).name == size
    except ConfigError:
        return False


def _out_of_bounds(rule: FaultRule) -> Iterator[str]:
    if not 0 <= rule.probability <= 1:
        yield f"probability of a fault is {rule.probability}; it must be 0 to 1"
    if rule.nth < 1:
        yield f"nth of a fault is {rule.nth}; the first is 1"
    if rule.times is not None and rule.times < 1:
        yield f"times of a fault is {rule.times}; it must be 1 or more, or null"
    least, most = rule.bounds
    if not 0 <= least <= most:
        yield f"delay of a fault is {rule.delay}; it must be seconds, or least and most"


def _misplaced(rule: FaultRule) -> Iterator[str]:
    effect, state = rule.effect, rule.state
    if state and (rule.action != ANY or rule.after_commit or rule.refusal):
        yield f"a fault in state {state!r} strikes machines: no action can be refused"
    if effect in FATES and state not in FATES[effect]:
        yield f"{effect} strikes a machine in {_either(FATES[effect])}, not {state!r}"
    if state and effect in {*BREAKS, *SIGHTS}:
        yield f"{effect} strikes a request, not a machine in state {state!r}"
    if state and not effect and state not in DWELLS:
        yield f"a delay in state {state!r} needs an effect after it"
    if rule.is_placement and (effect in BREAKS or rule.delay or rule.after_commit):
        yield "a fault of create in one region refuses it there, and does nothing else"
    if not (effect or rule.status or rule.delay or rule.is_placement):
        yield "a fault has an effect, a status or a delay: this one does nothing"
    if effect in SIGHTS and rule.action not in READS:
        yield f"{effect} strikes the action {_either(READS)}, not {rule.action!r}"


def _either(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))


def _kind(name: str) -> str:
    kinds = {"times": "a whole number", "nth": "a whole number", "status": "a status"}
    numbers = ("probability", "since", "until", "retry_after", "delay")
    known = kinds | dict.fromkeys(numbers, "a number") | {"after_commit": "a boolean"}
    return known.get(name, "a text")


def _fits(name: str, value: object, default: object) -> bool:
    """Whether a value is of the kind of the field that has this default."""
    if name == "delay" and isinstance(value, list | tuple):
        return len(value) == 2 and all(type(one) in (int, float) for one in value)
    if name == "until":
        return value is None or type(value) in (int, float)
    if default is None:
        return value is None or type(value) is int
    if isinstance(default, float):
        return type(value) in (int, float)
    return type(value) is type(default)
