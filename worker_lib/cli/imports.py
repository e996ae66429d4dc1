"""Which packages a web app imports; its files are read, never imported.

Modules that are loaded by name (drivers of databases, plugins) are not seen.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from worker_lib.cli.wsgi import module_file, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["closure", "foreign_imports", "normalized", "packages_of"]

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?(?![+:/])")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_OPTIONAL = frozenset({"ImportError", "ModuleNotFoundError", "Exception"})
_TESTS = frozenset({"tests", "test", "conftest"})
_distributions = cache(metadata.packages_distributions)


def normalized(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def foreign_imports(folder: Path, module: str) -> dict[str, Path]:
    """Return the modules of others that `module` and what it imports here import.

    Top-level names, each with a file that imports it. Left out are the standard library
    and imports that the code can do without.
    """
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    waiting = list(_entries(folder, module))
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in _imported(folder, file):
            top, files = name.partition(".")[0], _files(folder, name)
            waiting += files
            is_here = files or any((root / top).is_dir() for root in sources(folder))
            if not is_here and top not in sys.stdlib_module_names:
                found.setdefault(top, file)
    return found


def packages_of(module: str) -> set[str]:
    """Return the installed distributions that have this top-level module."""
    return {normalized(name) for name in _distributions().get(module, ())}


def closure(requirements: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the names of all distributions that these requirements install.

    The second set has those that are not installed here, or not given by name: what
    else they install is not known.
    """
    names, unknown, seen = set[str](), set[str](), set[str]()
    waiting = [(one, True) for one in requirements]
    while waiting:
        requirement, is_direct = waiting.pop()
        if requirement in seen:
            continue
        seen.add(requirement)
        head = _NAME.match(requirement)
        name = normalized(head[1]) if head else requirement
        extras = head[2].replace(" ", "").split(",") if head and head[2] else []
        names.add(name)
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            if is_direct:  # what others need may be for another platform
                unknown.add(name)
            continue
        for one in needed:
            extra = _EXTRA.search(one)
            if extra is None or extra[1] in extras:
                waiting.append((one, False))
    return names, unknown


def _entries(folder: Path, module: str) -> Iterator[Path]:
    """Yield the files to begin with; Django finds its apps by name, so all of them."""
    file = module_file(folder, module)
    if file:
        yield file
    packages = folder.glob("*/__init__.py") if (folder / "manage.py").exists() else ()
    for path in (one for package in packages for one in package.parent.rglob("*.py")):
        if not _TESTS & {*path.relative_to(folder).parts, path.stem}:
            yield path


def _files(folder: Path, name: str) -> list[Path]:
    """Return the files of this project that an import of `name` runs."""
    parts = name.split(".")
    steps = (".".join(parts[: size + 1]) for size in range(len(parts)))
    return [file for step in steps if (file := module_file(folder, step))]


def _imported(folder: Path, file: Path) -> list[str]:
    """Return the dotted names that a file imports; none if it is no Python."""
    root = next(root for root in sources(folder) if file.is_relative_to(root))
    visitor = _Imports(".".join(file.parent.relative_to(root).parts))
    try:
        visitor.visit(ast.parse(file.read_text()))
    except (OSError, SyntaxError, ValueError):
        return []
    return visitor.names


class _Imports(ast.NodeVisitor):
    def __init__(self, package: str) -> None:
        self._package = package
        self.names: list[str] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [one.name for one in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = "." * node.level + (node.module or "")
        try:
            base = importlib.util.resolve_name(base, self._package)
        except ImportError:  # above the project's top
            return
        self.names += [base, *(f"{base}.{one.name}" for one in node.names)]

    def visit_If(self, node: ast.If) -> None:
        is_for_checkers = "TYPE_CHECKING" in ast.dump(node.test)
        for one in node.orelse if is_for_checkers else (*node.body, *node.orelse):
            self.visit(one)

    def visit_Try(self, node: ast.Try) -> None:
        caught = [one for handler in node.handlers for one in ast.walk(handler)]
        names = {one.id for one in caught if isinstance(one, ast.Name)}
        if not names & _OPTIONAL:  # else the code can do without the import
            self.generic_visit(node)
