"""Scripts that people copy: a machine that imports them makes no call."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from worker_lib import context

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CALLS = {"delay", "adelay", "remote", "delay_many", "map", "submit"}


def scripts() -> Iterator[Any]:
    """Yield each Python block of each page."""
    for page in PAGES:
        for number, block in enumerate(_BLOCK.findall(page.read_text()), 1):
            yield pytest.param(block, id=f"{page.name}-{number}")


def calls_when_imported(text: str) -> list[str]:
    """Return what a module calls at its top level, outside of functions and guards."""
    return [
        ast.unparse(node)
        for node in ast.parse(text).body
        if not isinstance(node, _DEFINITIONS) and "__main__" not in ast.unparse(node)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute) and inner.attr in _CALLS
    ]


@pytest.mark.parametrize("text", list(scripts()))
def test_a_block_that_has_tasks_makes_no_call_when_it_is_imported(text: str) -> None:
    """Else whoever saves it as a module has a job bomb."""
    if "@fly_task" in text:
        assert [] == calls_when_imported(text)


def test_such_calls_would_be_found() -> None:
    """The test above can fail."""
    assert ["f.delay(1)"] == calls_when_imported("@fly_task\ndef f(x): ...\nf.delay(1)")


def test_the_readme_has_scripts() -> None:
    """The tests above have something to look at."""
    assert any("@fly_task" in str(one.values[0]) for one in scripts())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_can_be_imported_by_a_machine(path: Path) -> None:
    """It makes its calls only when it is run as a program."""
    assert '__name__ == "__main__"' in path.read_text()
    with context.loading(f"{path.stem}:task"):
        assert runpy.run_path(str(path))


def test_the_page_on_security_names_every_kind_of_key() -> None:
    """Whoever adds one has to say whether it is sealed."""
    folder = ROOT / "worker_lib" / "store" / "lua"
    source = "".join(path.read_text() for path in folder.glob("*.lua"))
    kinds = re.findall(r"(?:key\('|P \.\. ':)([a-z]+):?'", source)
    page = (ROOT / "docs" / "security.md").read_text()

    assert len(set(kinds)) > 15
    assert [] == sorted({kind for kind in kinds if f"`{kind}" not in page})
