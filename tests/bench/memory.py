"""Memory of a machine that waits for calls: its supervisor and its child."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .figures import Figure, Note
from .tasks import echo

if TYPE_CHECKING:
    from .rig import Rig

__all__ = ["memory"]


def memory(rig: Rig) -> list[Figure | Note]:
    """Look at both processes after one job."""
    with rig.client(machines=False) as client:
        job = echo.delay(1)
        with rig.machine(client) as machine:
            job.result(30)
            supervisor = _kb(machine.pid)
            (child,) = _children(machine.pid)
            child_kb = _kb(child)
    found: list[Figure | Note] = [
        _figure("supervisor", supervisor["Rss"]),
        _figure("child", child_kb["Rss"]),
    ]
    shares = supervisor["Pss"] + child_kb["Pss"]
    text = f"{shares / 1024:.1f} MB, pages that both share counted once"
    return [*found, Note(name="idle machine in all", text=text)]


def _figure(who: str, kilobytes: int) -> Figure:
    name = f"resident memory of an idle machine's {who}"
    return Figure(name=name, unit="MB", samples=[kilobytes / 1024])


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def _kb(pid: int) -> dict[str, int]:
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return found
