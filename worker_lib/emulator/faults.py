"""The one place where a request can be made to go wrong on purpose.

Each request passes `before` ahead of its work and `after` behind it: a fault in
`after` is the ambiguous kind, where the machine exists and the caller does not know.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.messages import ApiRefusal
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ANY = "*"
_NO_CAPACITY = 422


class ReplyLost(WorkerLibError):
    """The connection is to be closed without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One scripted fault.

    Attributes:
        action: The action it strikes (`create`, `get`, ...), or `*`.
        status: Answer with this status; 0 lets the request through.
        delay: Hold it back for so many seconds first.
        drop: Close the connection without an answer.
        after_commit: Strike when the work is done, not before.
        times: How often; None for ever.
        region: For `create`: this region has no room; `status` is then 422 unless set.
        error: Text of the error.
        code: Fly's `status` field of the error.
    """

    action: str = _ANY
    status: int = 0
    delay: float = 0.0
    drop: bool = False
    after_commit: bool = False
    times: int | None = None
    region: str = ""
    error: str = "unknown: scripted fault"
    code: str = ""

    @classmethod
    def of(cls, raw: object) -> FaultRule:
        """Read a rule from JSON.

        Raises:
            ApiRefusal: 400, not an object or a name is unknown.
        """
        known = {each.name: each.default for each in fields(cls)}
        if not isinstance(raw, dict) or not all(
            name in known and _fits(value, known[name]) for name, value in raw.items()
        ):
            raise ApiRefusal(
                400, f"invalid_argument: a fault has {', '.join(sorted(known))}"
            )
        return cls(**raw)


@dataclass(slots=True, kw_only=True)
class _Armed:
    rule: FaultRule
    left: int | None

    def strikes(self, action: str, *, after_commit: bool, region: str) -> bool:
        rule = self.rule
        return (
            self.left != 0
            and rule.action in (_ANY, action)
            and rule.after_commit == after_commit
            and rule.region == region
        )


class Faults:
    """The rules in force.

    Args:
        reply_delays: By action, seconds; lasting, whatever is scripted.
    """

    def __init__(self, reply_delays: Mapping[str, float]) -> None:
        self._reply_delays = reply_delays
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def script(self, rules: Iterable[FaultRule]) -> None:
        """Put these rules in the place of all earlier ones."""
        armed = [_Armed(rule=rule, left=rule.times) for rule in rules]
        with self._lock:
            self._armed = armed

    def rules(self) -> list[dict[str, Any]]:
        """The rules with how often each will still strike."""
        with self._lock:
            return [
                {name.name: getattr(each.rule, name.name) for name in fields(FaultRule)}
                | {"times": each.left}
                for each in self._armed
            ]

    def before(self, action: str) -> None:
        """Pass a request in, ahead of its work.

        Raises:
            ApiRefusal: A rule forces a status.
            ReplyLost: A rule drops it.
        """
        self._suffer(action, after_commit=False)

    def after(self, action: str) -> None:
        """Pass a request out, its work done; raises as `before` does."""
        self._closing.wait(self._reply_delays.get(action, 0.0))
        self._suffer(action, after_commit=True)

    def place(self, regions: Iterable[str]) -> str:
        """The first of these regions that has room.

        Raises:
            ApiRefusal: None of them has; 422 with `insufficient_capacity` by default.
        """
        refusing = None
        for region in regions:
            refusing = self._take("create", after_commit=False, region=region)
            if refusing is None:
                return region
        rule = refusing or FaultRule()
        raise ApiRefusal(
            rule.status or _NO_CAPACITY,
            "could not find a candidate host" if not rule.status else rule.error,
            code=rule.code or "insufficient_capacity",
        )

    def close(self) -> None:
        """Let every held request go."""
        self._closing.set()

    def _suffer(self, action: str, *, after_commit: bool) -> None:
        rule = self._take(action, after_commit=after_commit, region="")
        if rule is None:
            return
        self._closing.wait(rule.delay)
        if rule.drop:
            raise ReplyLost
        if rule.status:
            raise ApiRefusal(rule.status, rule.error, code=rule.code)

    def _take(
        self, action: str, *, after_commit: bool, region: str
    ) -> FaultRule | None:
        with self._lock:
            for each in self._armed:
                if each.strikes(action, after_commit=after_commit, region=region):
                    each.left = None if each.left is None else each.left - 1
                    return each.rule
        return None


def _fits(value: object, default: object) -> bool:
    """Whether a value is of the kind of the field that has this default."""
    if default is None:
        return value is None or type(value) is int
    if isinstance(default, float):
        return type(value) in (int, float)
    return type(value) is type(default)
