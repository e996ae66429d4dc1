"""How attempts ended, in plain words: each kind that there is, with what to do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from worker_lib import errors
from worker_lib.inspection import explain
from worker_lib.job import Attempt


def kinds() -> list[str]:
    """Return the kinds of failure, which are known to type checkers alone."""
    tree = ast.parse(Path(errors.__file__).read_text())
    (found,) = (
        ast.literal_eval(node.value.slice)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "FailureKind"
        and isinstance(node.value, ast.Subscript)
    )
    return list(found)


@pytest.mark.parametrize("kind", [*kinds(), "", "of a later release"])
@pytest.mark.parametrize("exit_code", [None, 1, -11, -64])
def test_each_kind_of_failure_has_a_sentence_on_what_to_do(
    kind: str, exit_code: int | None
) -> None:
    """With what is known of the attempt, and without: the page Failed has no more."""
    told = explain(Attempt(number=1, outcome=kind, exit_code=exit_code))

    assert told.title
    assert told.text.endswith(".")
    assert told.remedy.endswith(".")


def test_the_kinds_are_told_apart() -> None:
    told = [explain(Attempt(number=1, outcome=kind)) for kind in kinds()]

    assert len({one.title for one in told}) == len(told) == 8
    assert len({one.remedy for one in told}) == len(told)


@pytest.mark.parametrize("kind", ["running", "succeeded", "cancelled", "released"])
def test_what_is_no_failure_asks_for_nothing(kind: str) -> None:
    told = explain(Attempt(number=1, outcome=kind))

    assert (True, "") == (told.text.endswith("."), told.remedy)
