"""The doctor's checks, run when a person asks for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from worker_lib.client.client import default_client
from worker_lib.dashboard.filters import counted
from worker_lib.dashboard.registry import Action, Done, Form, Line
from worker_lib.doctor import examine_in_use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.dashboard.registry import Kind
    from worker_lib.doctor import Finding, Verdict

__all__ = ["CHECK"]

_KINDS: Mapping[Verdict, Kind] = {
    "ok": "good",
    "warning": "warn",
    "failed": "bad",
    "unknown": "info",
}


def _check(_form: Form) -> Done:
    found = list(examine_in_use(default_client().settings, os.environ))
    failed = sum(one.verdict == "failed" for one in found)
    warned = sum(one.verdict == "warning" for one in found)
    text = f"{counted(len(found), 'check')}: "
    if failed:
        text += f"{failed} failed, so that jobs will not run or may be lost."
    elif warned:
        text += f"it works, but {counted(warned, 'thing')} should be changed."
    else:
        text += "nothing is wrong."
    kind: Kind = "bad" if failed else "warn" if warned else "good"
    lines = tuple(map(_line, found))
    return Done(text, "doctor", len(found), lines=lines, kind=kind)


def _line(finding: Finding) -> Line:
    kind = _KINDS[finding.verdict]
    return Line(kind, finding.name, finding.text, finding.remedy)


CHECK = Action(name="check-health", run=_check)
