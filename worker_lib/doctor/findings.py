"""What a check has found, as data: a verdict, a sentence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worker_lib.errors import ConfigError

__all__ = [
    "Finding",
    "Verdict",
    "failed",
    "from_error",
    "ok",
    "passed",
    "unknown",
    "warning",
]

Verdict = Literal["ok", "warning", "failed", "unknown"]
"""`warning`: it works, and should be changed. `failed`: jobs will not run, or may be
lost. `unknown`: it could not be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked, in two or three words; the same in every run.
        text: What was found. Never a secret.
        remedy: What to do, or "" if nothing has to be done.
    """

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


def ok(name: str, text: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(name=name, verdict="ok", text=text)


def warning(name: str, text: str, remedy: str) -> Finding:
    """Return a warning."""
    return Finding(name=name, verdict="warning", text=text, remedy=remedy)


def failed(name: str, text: str, remedy: str) -> Finding:
    """Return a failure."""
    return Finding(name=name, verdict="failed", text=text, remedy=remedy)


def unknown(name: str, text: str, remedy: str) -> Finding:
    """Return what could not be checked; `remedy` says how it can be."""
    return Finding(name=name, verdict="unknown", text=text, remedy=remedy)


def from_error(name: str, error: ConfigError) -> Iterator[Finding]:
    """Yield a failure for each problem of an error."""
    for problem in error.problems:
        yield failed(name, problem.text, problem.remedy)


def passed(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.verdict != "failed" for finding in findings)
