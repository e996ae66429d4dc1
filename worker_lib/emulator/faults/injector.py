"""Applies the fault rules in force to requests and to machines."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.faults.effects import (
    DISRUPTIONS,
    ERROR_REPLIES,
    VISIBILITY_EFFECTS,
)
from worker_lib.emulator.faults.rule import ANY, FaultRule
from worker_lib.emulator.messages import ApiError, Reply
from worker_lib.emulator.visibility import FULL_VISIBILITY, Visibility
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from worker_lib.emulator.faults.effects import ErrorReply
    from worker_lib.emulator.faults.rule import Target
    from worker_lib.emulator.state import Machine

_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_BAD_GATEWAY = 502


class _HtmlError(ApiError):
    """An error of a proxy: a page of HTML instead of JSON."""

    def reply(self) -> Reply:
        return Reply(status=self.status, body=_HTML)


class ReplyLost(WorkerLibError):
    """The connection is closed without an answer; `reset`: by RST."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset
        super().__init__("the reply is lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEffects:
    """What the rules do to a machine in the state that it enters.

    Attributes:
        delay: Seconds that it stays there longer.
        hangs: It stays there for ever.
        disruptions: Those of `DISRUPTIONS`, each with the seconds until then.
    """

    delay: float = 0.0
    hangs: bool = False
    fails_to_launch: bool = False
    disruptions: tuple[tuple[str, float], ...] = ()


NO_EFFECTS = StateEffects()


@dataclass(slots=True, kw_only=True)
class _ActiveRule:
    """A rule in force with its counts; needs the injector's lock held."""

    rule: FaultRule
    random: random.Random
    matched: int = 0
    applied: int = 0

    def applies(self, age: float) -> bool:
        """Count a match, `age` seconds after the rules were set; decide on it."""
        rule = self.rule
        if rule.times is not None and self.applied >= rule.times:
            return False
        if age < rule.since or (rule.until is not None and age >= rule.until):
            return False
        self.matched += 1
        # Drawn before nth is checked, so that nth changes no other random choice.
        is_drawn = self.random.random() < rule.probability
        if self.matched < rule.nth or not is_drawn:
            return False
        self.applied += 1
        return True

    def delay(self) -> float:
        least, most = self.rule.delay_bounds
        return least if least == most else self.random.uniform(least, most)


class FaultInjector:
    """Applies the rules in force; `clock` counts `since` and `until`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rules: list[_ActiveRule] = []
        self._set_at = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def set_rules(self, rules: Iterable[FaultRule], *, seed: int = 0) -> None:
        """Replace all rules in force."""
        active = [
            _ActiveRule(rule=rule, random=random.Random(f"{seed}:{number}"))
            for number, rule in enumerate(rules)
        ]
        with self._lock:
            self._rules, self._set_at = active, self._clock()

    def rules(self) -> list[dict[str, Any]]:
        """The rules as JSON data, each with how often it was `applied`."""
        with self._lock:
            return [
                asdict(each.rule) | {"applied": each.applied} for each in self._rules
            ]

    @property
    def is_empty(self) -> bool:
        """Whether no rule is in force."""
        return not self._rules

    def before(self, action: str, target: Target) -> Visibility:
        """Apply faults to a request before its work; return how it sees machines.

        Raises:
            ApiError: A rule answers it with an error.
            ReplyLost: A rule closes its connection.
        """
        seen = []
        for rule, delay in self._for_request(action, target, after_work=False):
            if rule.effect in VISIBILITY_EFFECTS:
                seen.append((rule, delay))
            else:
                self._apply(rule, delay)
                if rule.effect == "html":
                    raise _HtmlError(rule.status or _BAD_GATEWAY, "a page of HTML")
        return Visibility(seen) if seen else FULL_VISIBILITY

    def after(self, action: str, target: Target, reply: Reply) -> Reply:
        """Apply faults to a request after its work; raises as `before` does."""
        for rule, delay in self._for_request(action, target, after_work=True):
            self._apply(rule, delay)
            if rule.effect == "html":
                return Reply(status=rule.status or reply.status, body=_HTML)
            if rule.effect == "truncate":
                return replace(reply, is_truncated=True)
        return reply

    def place(self, regions: Iterable[str], target: Target) -> str:
        """The first of these regions that has capacity.

        Raises:
            ApiError: None of them has; the error of the last one.
        """
        error = ERROR_REPLIES["no_capacity"]
        for region in regions:
            rule = next(self._for_placement(replace(target, region=region)), None)
            if rule is None:
                return region
            error = rule.error_reply or error
        raise _api_error(error)

    def on_state(self, state: str, machine: Machine) -> StateEffects:
        """What happens to a machine in the state that it enters."""
        if self.is_empty:
            return NO_EFFECTS
        target = machine.target
        found = [
            (rule.effect, delay)
            for rule, delay in self._applied(
                lambda rule: rule.state == state and rule.covers(target)
            )
        ]
        effects = {effect for effect, _ in found}
        return StateEffects(
            delay=sum(delay for effect, delay in found if effect not in DISRUPTIONS),
            hangs="hang" in effects,
            fails_to_launch="launch_failed" in effects,
            disruptions=tuple(one for one in found if one[0] in DISRUPTIONS),
        )

    def pause(self, delay: float) -> None:
        """Hold up a request, but not beyond `close`."""
        self._closing.wait(delay)

    def close(self) -> None:
        """Release every delayed request."""
        self._closing.set()

    def _for_request(
        self, action: str, target: Target, *, after_work: bool
    ) -> Iterator[tuple[FaultRule, float]]:
        return self._applied(
            lambda rule: (
                not rule.state
                and not rule.is_placement
                and rule.action in (ANY, action)
                and rule.is_after_work == after_work
                and (target.is_unknown or rule.covers(target))
            )
        )

    def _for_placement(self, target: Target) -> Iterator[FaultRule]:
        applied = self._applied(lambda one: one.is_placement and one.covers(target))
        return (rule for rule, _ in applied)

    def _applied(
        self, matches: Callable[[FaultRule], bool]
    ) -> Iterator[tuple[FaultRule, float]]:
        """The rules that apply, lazily: a rule that is not reached is not counted."""
        rules, set_at = self._rules, self._set_at
        for each in rules:
            if not matches(each.rule):
                continue
            with self._lock:
                applies = each.applies(self._clock() - set_at)
                delay = each.delay() if applies else 0.0
            if applies:
                yield each.rule, delay

    def _apply(self, rule: FaultRule, delay: float) -> None:
        self.pause(delay)
        if rule.effect in ("drop", "reset"):
            raise ReplyLost(reset=rule.effect == "reset")
        if rule.error_reply is not None and rule.effect != "html":
            raise _api_error(rule.error_reply, rule.retry_after)


def _api_error(reply: ErrorReply, retry_after: float = 0.0) -> ApiError:
    return ApiError(reply.status, reply.error, code=reply.code, retry_after=retry_after)
