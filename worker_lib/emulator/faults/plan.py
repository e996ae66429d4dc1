"""Fault rules as a file or a request holds them, with the seed of random choices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_lib.checks import unknown_name
from worker_lib.emulator.faults.rule import FaultRule
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_KEYS = ("rules", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """All rules of an emulator, in the order in which they apply."""

    rules: tuple[FaultRule, ...] = ()
    seed: int = 0

    @classmethod
    def of(cls, raw: object) -> FaultPlan:
        """Read `{"seed": 7, "rules": [...]}`, or the list of rules alone.

        Raises:
            ConfigError: all that is wrong with it, each with the rule's number.
        """
        table: Any = {"rules": raw} if isinstance(raw, list) else raw
        if not isinstance(table, dict) or "rules" not in table:
            raise ConfigError("faults are a list of rules, or an object with `rules`")
        problems = [
            str(unknown_name("key beside the rules", str(name), _KEYS))
            for name in table
            if name not in _KEYS
        ]
        seed, listed = table.get("seed", 0), table["rules"]
        if type(seed) is not int or not isinstance(listed, list):
            problems.append("seed must be a whole number and rules a list")
        if problems:
            raise ConfigError(*problems)
        return cls(rules=_rules(listed), seed=seed)

    @classmethod
    def read(cls, path: Path) -> FaultPlan:
        """Read it from a file.

        Raises:
            ConfigError: the file cannot be read, is not JSON, or is not a plan.
        """
        try:
            raw = json.loads(path.read_text())
        except OSError as exc:
            raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc
        except ValueError as exc:
            raise ConfigError(f"{path} is not JSON: {exc}") from exc
        return cls.of(raw)


def _rules(listed: list[object]) -> tuple[FaultRule, ...]:
    rules: list[FaultRule] = []
    problems: list[str] = []
    for number, raw in enumerate(listed, start=1):
        try:
            rules.append(FaultRule.of(raw))
        except ConfigError as exc:
            problems += [f"rule {number}: {problem}" for problem in exc.problems]
    if problems:
        raise ConfigError(*problems)
    return tuple(rules)
