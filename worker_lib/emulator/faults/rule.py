"""One fault rule: its fields, their checks, and what it matches."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from worker_lib.checks import unknown_name
from worker_lib.emulator.faults.effects import (
    ACTIONS,
    CONNECTION_EFFECTS,
    EFFECTS,
    ERROR_REPLIES,
    MACHINE_EFFECTS,
    READ_ACTIONS,
    STATES,
    STATUSES,
    TRANSIENT_STATES,
    VISIBILITY_EFFECTS,
    ErrorReply,
)
from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest
from worker_lib.fly.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worker_lib.errors import Problem

ANY = "*"
_DEFAULT_ERROR = "unknown: injected fault"
_STRINGS = ("action", "state", "region", "size", "machine", "effect", "error", "code")
_INTEGERS = ("nth", "times", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine that a request or a transition is about; "" is not known."""

    region: str = ""
    size: str = ""
    name: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of it."""
        return not (self.region or self.size or self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault; a value that makes no sense raises `ConfigError`.

    Attributes:
        action: The API action that it matches, or `*`.
        state: Matches machines that enter this state, and no request.
        region: Only machines in this region.
        size: Only guests of this size, such as `shared-cpu-2x`.
        machine: Only machines whose name begins with this.
        probability: Of applying when it matches, 0 to 1.
        nth: The first match that it applies to; earlier ones pass.
        times: How often it applies at most; None for ever.
        since: Seconds after the rules were set from which on it applies.
        until: The same, up to which it applies; None for ever.
        effect: A name of the table in the package's docstring, or "".
        status: HTTP status to answer with; 0: that of the effect, or none.
        error: Text of that answer; "": that of the effect.
        code: Fly's `status` field in it; "": that of the effect.
        retry_after: Seconds for the `Retry-After` header; 0 leaves it out.
        delay: Seconds, or the minimum and the maximum of them.
        after_commit: Applies to a request after its work, not before.
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
        known = [each.name for each in fields(cls)]
        problems: list[Problem | str] = [
            unknown_name("key of a fault", str(name), known)
            for name in raw
            if name not in known
        ]
        problems += filter(
            None, (_type_problem(n, v) for n, v in raw.items() if n in known)
        )
        if problems:
            raise ConfigError(*problems)
        values: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in raw.items()
        }
        return cls(**values)

    @property
    def is_placement(self) -> bool:
        """Whether it applies to the choice of a region, not to the request itself."""
        return self.action == "create" and self.region != ""

    @property
    def is_after_work(self) -> bool:
        """Whether it applies after the work; half a reply needs a whole one."""
        return self.after_commit or self.effect == "truncate"

    @property
    def error_reply(self) -> ErrorReply | None:
        """The error that it answers with, if it does."""
        known = ERROR_REPLIES.get(self.effect)
        if known is None and self.is_placement and not self.status:
            known = ERROR_REPLIES["no_capacity"]
        if known is None and not self.status:
            return None
        status, error, code = known or ErrorReply(self.status, _DEFAULT_ERROR)
        return ErrorReply(self.status or status, self.error or error, self.code or code)

    @property
    def delay_bounds(self) -> tuple[float, float]:
        """The minimum and the maximum of its delay, in seconds."""
        if isinstance(self.delay, tuple):
            return self.delay
        return self.delay, self.delay

    def covers(self, target: Target) -> bool:
        """Whether its region, size and name match a machine."""
        return (
            self.region in ("", target.region)
            and self.size in ("", target.size)
            and target.name.startswith(self.machine)
        )


def _unknown(rule: FaultRule) -> Iterator[Problem | str]:
    known = (
        ("action", rule.action, {*ACTIONS, ANY}),
        ("state", rule.state, {*STATES, ""}),
        ("effect", rule.effect, {*EFFECTS, ""}),
        ("region", rule.region, {*REGIONS, ""}),
        ("status", str(rule.status), {*map(str, STATUSES), "0"}),
    )
    for what, value, names in known:
        if value not in names:
            yield unknown_name(f"{what} of a fault", value, names - {"", "0"})
    if rule.size and not Guest.is_name(rule.size):
        yield f"size of a fault is {rule.size!r}: use one such as shared-cpu-2x"


def _out_of_bounds(rule: FaultRule) -> Iterator[str]:
    if not 0 <= rule.probability <= 1:
        yield f"probability of a fault is {rule.probability}; it must be 0 to 1"
    if rule.nth < 1:
        yield f"nth of a fault is {rule.nth}; it must be 1 or more"
    if rule.times is not None and rule.times < 1:
        yield f"times of a fault is {rule.times}; it must be 1 or more, or null"
    least, most = rule.delay_bounds
    if not 0 <= least <= most:
        yield f"delay of a fault is {rule.delay}; it must be seconds, or [min, max]"


def _misplaced(rule: FaultRule) -> Iterator[str]:
    effect, state, states = rule.effect, rule.state, MACHINE_EFFECTS.get(rule.effect)
    if state and (rule.action != ANY or rule.after_commit or rule.error_reply):
        yield f"a fault in state {state!r} applies to machines: it answers no request"
    if states and state not in states:
        yield f"{effect} applies to machines in state {_either(states)}, not {state!r}"
    if state and effect in CONNECTION_EFFECTS | VISIBILITY_EFFECTS:
        yield f"{effect} applies to requests, not to machines in state {state!r}"
    if state and not effect and state not in TRANSIENT_STATES:
        yield f"a delay in state {state!r} needs an effect"
    is_more = effect in CONNECTION_EFFECTS or rule.delay or rule.after_commit
    if rule.is_placement and is_more:
        yield "a fault of create with a region can only answer with an error"
    if not (effect or rule.status or rule.delay or rule.is_placement):
        yield "a fault needs an effect, a status or a delay"
    if effect in VISIBILITY_EFFECTS and rule.action not in READ_ACTIONS:
        yield f"{effect} applies to {_either(READ_ACTIONS)}, not {rule.action!r}"


def _either(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))


def _type_problem(name: str, value: object) -> str:
    """Why the JSON value of a field is of the wrong type; "" if it is not."""
    if name in _STRINGS:
        kind, fits = "a string", isinstance(value, str)
    elif name in _INTEGERS:
        kind, fits = "a whole number", type(value) is int
    elif name == "after_commit":
        kind, fits = "a boolean", isinstance(value, bool)
    else:
        kind, fits = "a number", type(value) in (int, float)
    if name in ("times", "until") and value is None:
        return ""
    if name == "delay" and isinstance(value, list) and len(value) == 2:
        fits = all(type(one) in (int, float) for one in value)
    return "" if fits else f"{name} of a fault is {value!r}, which is not {kind}"
