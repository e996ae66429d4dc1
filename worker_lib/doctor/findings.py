"""What a check has found, as data: a verdict, a sentence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.errors import ConfigError

__all__ = ["Finding", "Verdict", "bad", "good", "passed", "poor", "refused", "unknown"]

Verdict = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the examination.

    Attributes:
        name: What was looked at, in two or three words; the same in every run.
        verdict: `ok`; `warning` (it works, and should be changed); `failed` (jobs
            will not run, or may be lost); `unknown` (it could not be looked at).
        text: What was found. Never a secret.
        remedy: What to do, or "" if nothing is to be done.
    """

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


def good(name: str, text: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(name=name, verdict="ok", text=text)


def poor(name: str, text: str, remedy: str) -> Finding:
    """Return a warning."""
    return Finding(name=name, verdict="warning", text=text, remedy=remedy)


def bad(name: str, text: str, remedy: str) -> Finding:
    """Return a failure."""
    return Finding(name=name, verdict="failed", text=text, remedy=remedy)


def refused(name: str, error: ConfigError) -> Iterator[Finding]:
    """Yield a failure for each problem of an error."""
    for problem in error.problems:
        yield bad(name, problem.text, problem.remedy)


def unknown(name: str, text: str, remedy: str) -> Finding:
    """Return what was not looked at, and how it can be."""
    return Finding(name=name, verdict="unknown", text=text, remedy=remedy)


def passed(findings: list[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.verdict != "failed" for finding in findings)
