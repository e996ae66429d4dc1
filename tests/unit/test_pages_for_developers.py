"""ARCHITECTURE.md and CONTRIBUTING.md name what there is, and the README lists it."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import cli_page
from worker_lib import cli
from worker_lib.calls.options import TaskOptions
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
PAGES = {
    "ARCHITECTURE.md": ARCHITECTURE,
    "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(),
}
README = (ROOT / "README.md").read_text()
# Paths on the pages are relative to these.
FOLDERS = (ROOT, ROOT / "worker_lib", ROOT / "worker_lib" / "store" / "lua")
_PATH = re.compile(r"(?<![\w/.])(?:[a-z_]+/)*[a-z_]+(?:\.(?:py|lua|md|toml)\b|/(?=`))")
_NAME_IN_FILE = re.compile(r"`(\w+)`\s+in\s+`([\w/.]+)`")
_OURS = {"worker_lib", "worker", "demo", "app"}
# Variables that only the local stack sets.
_INTERNAL = {"local_path", "local_env"}


def found(path: str) -> Path | None:
    """Return the file or folder that a page means, if there is one."""
    return next((one / path for one in FOLDERS if (one / path).exists()), None)


def rows(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row of all tables."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield tuple(cell.strip() for cell in line.strip("|").split("|"))


def words(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def imports(path: Path) -> set[str]:
    """Return the third-party libraries that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return names - sys.stdlib_module_names - _OURS


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    """In text, tables and pictures alike."""
    named = set(_PATH.findall(PAGES[page]))

    assert len(named) > 30
    assert [] == sorted(path for path in named if found(path) is None)


@pytest.mark.parametrize("page", PAGES)
def test_every_name_is_in_the_file_that_a_page_says(page: str) -> None:
    """Written as `NAME` in `file`."""
    named = _NAME_IN_FILE.findall(PAGES[page])
    wrong = [
        (name, path)
        for name, path in named
        if not re.search(rf"\b{name}\b", (found(path) or ROOT / path).read_text())
    ]

    assert len(named) > 4
    assert [] == wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    """By its name alone, wherever it is."""
    named = re.findall(r"`(test_\w+)`", PAGES[page])
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert [] == [name for name in named if f"def {name}(" not in tests]


def test_the_page_places_every_module_in_its_layer() -> None:
    """As the import contract does."""
    contract = (ROOT / "pyproject.toml").read_text()
    drawn = ARCHITECTURE.partition("## Layers")[2].partition("| Library |")[0]
    layers = re.split(r"\*\*(L\d): ", drawn)
    page = {
        layer: {path.rstrip("/").partition("/")[0] for path in _PATH.findall(text)}
        for layer, text in zip(layers[1::2], layers[2::2], strict=True)
    }
    (text,) = re.findall(r"(?s)\nlayers = \[\n(.*?)\n\]\n", contract)
    parts = re.split(r"  # (L\d): .*\n", text)
    for layer, lines in zip(parts[1::2], parts[2::2], strict=True):
        modules = re.findall(r"\w+", lines)
        wanted = {one if found(f"{one}/") else f"{one}.py" for one in modules}
        assert wanted <= page[layer], layer


def test_third_parties_are_imported_where_the_page_says() -> None:
    """In these files and no others; import-linter holds the library to it as well."""
    (table,) = re.findall(r"(?s)(\| Library \|.*?)\n\n", ARCHITECTURE)
    told = {
        (library, path)
        for names, *places in rows(table)
        for library in words(names)
        for path in words(" ".join(places))
    }
    code = [
        path
        for folder in ("worker_lib", "worker", "demo", "app.py")
        for path in ([ROOT / folder] if folder.endswith(".py") else [])
        or sorted((ROOT / folder).rglob("*.py"))
    ]
    seen = {
        (library, _place(path.relative_to(ROOT)))
        for path in code
        for library in imports(path)
    }

    assert told == seen


def _place(path: Path) -> str:
    """Return a file as the page names it, or the folder that has many such files."""
    place = str(path).removeprefix("worker_lib/")
    folder = place.partition("/")[0]
    return f"{folder}/" if folder in {"demo", "dashboard"} else place


def test_the_page_on_the_command_line_has_every_argument() -> None:
    """`python -m tools.cli_page` writes its reference anew."""
    text = cli_page.PAGE.read_text()

    assert cli_page.page(text) == text


def test_the_readme_has_a_row_for_every_command() -> None:
    """And none for others."""
    told = re.findall(r"(?m)^\| `worker-lib ([a-z]+)", README)

    assert sorted(cli._COMMANDS) == sorted(set(told))


def test_the_readme_has_a_row_for_every_setting() -> None:
    """By the variable that sets it."""
    told = {word for cell, *_ in rows(README) for word in words(cell)}
    wanted = {
        one.metadata["env"][0] for one in fields(Settings) if one.name not in _INTERNAL
    }

    assert set() == wanted - told


def test_the_readme_has_a_row_for_every_option() -> None:
    """Of tasks and of single calls."""
    told = {word for cell, *_ in rows(README) for word in words(cell)}

    assert set() == {one.name for one in fields(TaskOptions)} - told
