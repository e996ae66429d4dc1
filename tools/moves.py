"""Draw the table of moves, as the README shows it: `python -m tools.moves`."""

from __future__ import annotations

from worker_lib.job import FINAL, MOVES

__all__ = ["picture"]


def picture() -> str:
    """Return the states of a job and the moves between them."""
    moves = dict.fromkeys((move.source, move.target) for move in MOVES)
    shown = {"": "[*]"}
    lines = [
        f"    {shown.get(source, source)} --> {target}: {_labels(source, target)}"
        for source, target in moves
    ]
    ends = [f"    {status} --> [*]" for status in sorted(FINAL)]
    return "\n".join(("```mermaid", "stateDiagram-v2", *lines, *ends, "```"))


def _labels(source: str, target: str) -> str:
    """Return what makes this move, and who."""
    return " / ".join(
        f"{move.when} ({move.by})"
        for move in MOVES
        if (move.source, move.target) == (source, target)
    )


if __name__ == "__main__":
    print(picture())
