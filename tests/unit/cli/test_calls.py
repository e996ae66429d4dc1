"""From words to a task and its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker_lib.cli import main
from worker_lib.cli.calls import find_task, pairs, word
from worker_lib.errors import ConfigError, TaskNotRegistered

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ('["a", 1]', ["a", 1]),
        ('"1"', "1"),
        ("hello", "hello"),
        ("10m", "10m"),
        ("", ""),
        ("{broken", "{broken"),
    ],
)
def test_a_word_is_json_where_it_can_be(text: str, value: Any) -> None:
    """What is no JSON is text."""
    assert value == word(text)


def test_pairs_are_names_and_words() -> None:
    """Only the first = parts them."""
    assert {"a": 1, "b": "x=y"} == pairs("--kw", ["a=1", "b=x=y"])


@pytest.mark.parametrize("text", ["a", "=1"])
def test_a_pair_without_a_name_is_refused(text: str) -> None:
    """The sentence names the option and the form."""
    with pytest.raises(ConfigError, match=r"--kw .*NAME=VALUE"):
        pairs("--kw", [text])


def test_a_task_is_found_by_its_name() -> None:
    """As in MODULE:TASK."""
    assert "jobs:add" == find_task("jobs:add").name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("jobs:ad", "did you mean 'add'"),
        ("jobs:json", "mark it with @fly_task"),
        ("waiting:what", "has no tasks"),
        ("no_such_module:add", "no module 'no_such_module'"),
    ],
)
def test_a_task_that_is_not_there_is_told_with_what_is(name: str, said: str) -> None:
    """The nearest name is offered."""
    with pytest.raises(TaskNotRegistered, match=said):
        find_task(name)


@pytest.mark.parametrize("name", ["jobs", "jobs:", ":add"])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    """The form is told."""
    with pytest.raises(ConfigError, match="MODULE:TASK"):
        find_task(name)


@pytest.mark.parametrize(
    ("code", "said"),
    [("import no_such_library", "no_such_library"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_module_that_fails_to_load_is_told_with_its_error(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that is missing is another matter than the module itself."""
    name = f"broken_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigError, match=f"{name} cannot be imported: .*{said}"):
        find_task(f"{name}:task")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["jobs:ad"], 3),
        (["jobs"], 2),
        (["jobs:add", "1", "--option", "colour=red"], 2),
        (["jobs:add", "1", "--timeout", "soon"], 2),
        (["jobs:add", "--kw", "b"], 2),
    ],
)
def test_run_refuses_before_anything_is_stored(words: list[str], code: int) -> None:
    """No client is made for a call that cannot be made."""
    assert code == main(["run", *words])
