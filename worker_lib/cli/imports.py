"""What a web app imports, found by reading it, and which packages bring that.

Read, never imported: what is loaded by name (drivers of databases, plugins) and what
code computes at run time is not seen.
"""

from __future__ import annotations

import ast
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

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_OPTIONAL = frozenset({"ImportError", "ModuleNotFoundError", "Exception"})
# Of this one it is known also where it is not installed, as on a desk.
_BRINGS_LITTLE = frozenset({"gunicorn"})
_TESTS = frozenset({"tests", "test", "conftest"})


def normalized(name: str) -> str:
    """Return a distribution's name as all spellings of it read (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def foreign_imports(folder: Path, module: str) -> dict[str, Path]:
    """Return what `module` and all that it imports here imports from elsewhere.

    Args:
        folder: The project.
        module: Where to begin; Django's apps are found by name, so beside a manage.py
            it is begun in every package.

    Returns:
        Dotted names, each with a file that imports it; the standard library is left
        out, as is what may be missing by the code's own word.
    """
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    waiting = _entries(folder, module)
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for name, local in _resolved(folder, file):
            waiting += local
            if not local and name.partition(".")[0] not in sys.stdlib_module_names:
                found.setdefault(name, file)
    return found


def _entries(folder: Path, module: str) -> list[Path]:
    """Return the files to begin with."""
    found = [file] if (file := module_file(folder, module)) else []
    if (folder / "manage.py").exists():
        found += [
            path
            for package in folder.glob("*/__init__.py")
            for path in package.parent.rglob("*.py")
            if not _TESTS & {*path.relative_to(folder).parts, path.stem}
        ]
    return found


def packages_of(name: str) -> list[str]:
    """Return the installed distributions that have this module; [] if none has."""
    top = name.partition(".")[0]
    found = {normalized(one) for one in _by_module().get(top, ())}
    if len(found) > 1:  # a namespace that several share: whose file is it?
        path = name.replace(".", "/")
        found = {one for one in found if _has_file(one, path)}
    return sorted(found)


def closure(requirements: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the names of all that comes with these requirements.

    Returns:
        Also those of the requirements themselves that are not installed here: they
        may bring more than is known. What they need in turn may not be here because
        it is for other platforms, and counts as known.
    """
    waiting = list(requirements)
    first = {normalized(head[1]) for one in waiting if (head := _NAME.match(one))}
    known, unknown, seen = set(first), set[str](), set[str]()
    while waiting:
        head = _NAME.match(waiting.pop())
        if head is None or head[0] in seen:
            continue
        seen.add(head[0])
        known.add(normalized(head[1]))
        extras = {one.strip() for one in (head[2] or "").split(",") if one.strip()}
        try:
            needed = metadata.requires(head[1]) or []
        except metadata.PackageNotFoundError:
            unknown |= {normalized(head[1])} & first - _BRINGS_LITTLE
            continue
        waiting += [one for one in needed if _is_meant(one, extras)]
    return known, unknown


def _is_meant(requirement: str, extras: set[str]) -> bool:
    """Whether a requirement holds with these extras; other markers are let pass."""
    wanted = _EXTRA.search(requirement)
    return wanted is None or wanted[1] in extras


@cache
def _by_module() -> dict[str, list[str]]:
    return {
        "worker_lib": ["worker-lib"],  # an editable install may not list its files
        **{
            name: list(owners)
            for name, owners in metadata.packages_distributions().items()
        },
    }


def _has_file(package: str, path: str) -> bool:
    files = metadata.files(package) or []
    return any(str(one) in (f"{path}.py", f"{path}/__init__.py") for one in files)


def _resolved(folder: Path, file: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield each name that a file imports, and its files if it is of this project."""
    try:
        body = ast.parse(file.read_text()).body
    except (OSError, SyntaxError, ValueError):
        return
    for name in _imported(body, _package(folder, file)):
        parts = name.split(".")
        steps = (".".join(parts[: size + 1]) for size in range(len(parts)))
        local = [one for step in steps if (one := module_file(folder, step))]
        is_local = local or any((root / parts[0]).is_dir() for root in sources(folder))
        if is_local and not local:
            continue  # a folder without __init__.py: what is below it comes by itself
        yield name, local


def _package(folder: Path, file: Path) -> list[str]:
    """Return the names of the packages that a file is in."""
    root = next(root for root in sources(folder) if file.is_relative_to(root))
    return list(file.parent.relative_to(root).parts)


def _imported(body: list[ast.stmt], package: list[str]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, package)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _imported(node.orelse, package)
        elif isinstance(node, ast.Try) and _is_optional(node):
            yield from _imported([*node.orelse, *node.finalbody], package)
        else:
            yield from _imported(list(_inner(node)), package)


def _imported_from(node: ast.ImportFrom, package: list[str]) -> Iterator[str]:
    outer = package[: len(package) - node.level + 1] if node.level else []
    base = ".".join([*outer, *filter(None, [node.module])])
    if node.level:  # what is imported may be a module, or a name in this one
        yield from (f"{base}.{one.name}".strip(".") for one in node.names)
    elif base:
        yield base
        yield from (f"{base}.{one.name}" for one in node.names if one.name != "*")


def _is_optional(node: ast.Try) -> bool:
    """Whether the code goes on without what it tries to import."""
    names = (
        one.id
        for handler in node.handlers
        if handler.type is not None
        for one in ast.walk(handler.type)
        if isinstance(one, ast.Name)
    )
    return bool(_OPTIONAL & set(names))


def _inner(node: ast.stmt) -> Iterator[ast.stmt]:
    for field in ("body", "orelse", "finalbody"):
        found = getattr(node, field, [])
        yield from (one for one in found if isinstance(one, ast.stmt))
    for handler in getattr(node, "handlers", []):
        yield from handler.body
