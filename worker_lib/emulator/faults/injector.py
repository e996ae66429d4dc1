"""The rules in force: where every request and every machine passes."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.faults.effects import ACCIDENTS, REFUSALS, SIGHTS
from worker_lib.emulator.faults.rule import ANY, FaultRule
from worker_lib.emulator.messages import ApiRefusal, Reply
from worker_lib.emulator.visibility import CLEAR, Sight
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from worker_lib.emulator.faults.effects import Refusal
    from worker_lib.emulator.state import Machine
    from worker_lib.emulator.visibility import Subject

_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_BAD_GATEWAY = 502


class _PageRefusal(ApiRefusal):
    """An error that comes from a proxy, and not as JSON."""

    def reply(self) -> Reply:
        return Reply(status=self.status, body=_HTML)


class ReplyLost(WorkerLibError):
    """The connection is to end without an answer; `reset`: by RST."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset
        super().__init__("the reply is lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What is in store for a machine in the state that it has entered.

    Attributes:
        dwell: Seconds that it stays there for longer.
        accidents: `kill`, `lose_host` or `migrate`, each with the seconds until then.
    """

    dwell: float = 0.0
    is_wedged: bool = False
    fails_to_launch: bool = False
    accidents: tuple[tuple[str, float], ...] = ()

    @property
    def is_none(self) -> bool:
        """Whether nothing is in store."""
        return self == _NOTHING


_NOTHING = Fate()


@dataclass(slots=True, kw_only=True)
class _Armed:
    """A rule in force; needs the book's lock held."""

    rule: FaultRule
    draw: random.Random
    fitted: int = 0
    struck: int = 0

    def strikes(self, age: float) -> bool:
        """Count one more that fits, and decide on it."""
        rule = self.rule
        if rule.times is not None and self.struck >= rule.times:
            return False
        if age < rule.since or (rule.until is not None and age >= rule.until):
            return False
        self.fitted += 1
        # Drawn for those that are let pass too, so that nth shifts no other draw.
        is_drawn = self.draw.random() < rule.probability
        if self.fitted < rule.nth or not is_drawn:
            return False
        self.struck += 1
        return True

    def delay(self) -> float:
        least, most = self.rule.bounds
        return least if least == most else self.draw.uniform(least, most)


@dataclass(slots=True, kw_only=True)
class _Book:
    """The rules that were scripted together."""

    armed: list[_Armed] = field(default_factory=list)
    since: float = 0.0


class Faults:
    """The rules in force.

    Args:
        reply_delays: By action, seconds; lasting, whatever is scripted.
        clock: For `since` and `until`.
    """

    def __init__(
        self,
        reply_delays: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reply_delays = reply_delays
        self._clock = clock
        self._book = _Book()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def script(self, rules: Iterable[FaultRule], *, seed: int = 0) -> None:
        """Put these rules in the place of all earlier ones."""
        armed = [
            _Armed(rule=rule, draw=random.Random(f"{seed}:{number}"))
            for number, rule in enumerate(rules)
        ]
        with self._lock:
            self._book = _Book(armed=armed, since=self._clock())

    def rules(self) -> list[dict[str, Any]]:
        """The rules, each with how often it has `struck`."""
        with self._lock:
            return [
                dataclasses.asdict(each.rule) | {"struck": each.struck}
                for each in self._book.armed
            ]

    @property
    def is_empty(self) -> bool:
        """Whether no rule is in force."""
        return not self._book.armed

    def before(self, action: str, subject: Subject) -> Sight:
        """Pass a request in, ahead of its work; returns how it sees machines.

        Raises:
            ApiRefusal: A rule refuses it.
            ReplyLost: A rule ends its connection.
        """
        seen = []
        for rule, delay in self._requested(action, subject, late=False):
            if rule.effect in SIGHTS:
                seen.append((rule, delay))
            else:
                self._suffer(rule, delay)
                if rule.effect == "garble":
                    raise _PageRefusal(rule.status or _BAD_GATEWAY, "a page of HTML")
        return Sight(seen) if seen else CLEAR

    def after(self, action: str, subject: Subject, reply: Reply) -> Reply:
        """Pass a request out, its work done; raises as `before` does."""
        self._closing.wait(self._reply_delays.get(action, 0.0))
        for rule, delay in self._requested(action, subject, late=True):
            self._suffer(rule, delay)
            if rule.effect == "garble":
                return Reply(status=rule.status or reply.status, body=_HTML)
            if rule.effect == "truncate":
                return dataclasses.replace(reply, is_cut=True)
        return reply

    def place(self, regions: Iterable[str], subject: Subject) -> str:
        """The first of these regions that has room.

        Raises:
            ApiRefusal: None of them has, in the words for the last.
        """
        refusal = REFUSALS["no_capacity"]
        for region in regions:
            there = dataclasses.replace(subject, region=region)
            struck = next(self._placed(there), None)
            if struck is None:
                return region
            refusal = struck.refusal or refusal
        raise _refused(refusal)

    def fate(self, state: str, machine: Machine) -> Fate:
        """What happens to a machine in the state that it enters."""
        if self.is_empty:
            return _NOTHING
        subject = machine.subject

        def fits(rule: FaultRule) -> bool:
            return rule.state == state and rule.covers(subject)

        struck = [(rule.effect, delay) for rule, delay in self._struck(fits)]
        effects = {effect for effect, _ in struck}
        return Fate(
            dwell=sum(delay for effect, delay in struck if effect not in ACCIDENTS),
            is_wedged="wedge" in effects,
            fails_to_launch="launch_failed" in effects,
            accidents=tuple(one for one in struck if one[0] in ACCIDENTS),
        )

    def close(self) -> None:
        """Let every held request go."""
        self._closing.set()

    def _requested(
        self, action: str, subject: Subject, *, late: bool
    ) -> Iterator[tuple[FaultRule, float]]:
        def fits(rule: FaultRule) -> bool:
            return (
                not rule.state
                and not rule.is_placement
                and rule.action in (ANY, action)
                and rule.is_late == late
                and (subject.is_anybody or rule.covers(subject))
            )

        return self._struck(fits)

    def _placed(self, subject: Subject) -> Iterator[FaultRule]:
        def fits(rule: FaultRule) -> bool:
            return rule.is_placement and rule.covers(subject)

        return (rule for rule, _ in self._struck(fits))

    def _struck(
        self, fits: Callable[[FaultRule], bool]
    ) -> Iterator[tuple[FaultRule, float]]:
        """The rules that strike, one by one: who stops asking spares the rest."""
        book = self._book
        for each in book.armed:
            if not fits(each.rule):
                continue
            with self._lock:
                strikes = each.strikes(self._clock() - book.since)
                delay = each.delay() if strikes else 0.0
            if strikes:
                yield each.rule, delay

    def _suffer(self, rule: FaultRule, delay: float) -> None:
        self._closing.wait(delay)
        if rule.effect in ("drop", "reset"):
            raise ReplyLost(reset=rule.effect == "reset")
        if rule.refusal is not None and rule.effect != "garble":
            raise _refused(rule.refusal, rule.retry_after)


def _refused(refusal: Refusal, retry_after: float = 0.0) -> ApiRefusal:
    return ApiRefusal(
        refusal.status, refusal.error, code=refusal.code, retry_after=retry_after
    )
