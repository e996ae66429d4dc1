"""Finds the app that gunicorn serves; files are read, never imported."""

from __future__ import annotations

import ast
import importlib.util
import keyword
from typing import TYPE_CHECKING

from worker_lib.checks import unknown_name
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["check_wsgi", "find_wsgi", "module_file", "sources"]

_MODULES = ("wsgi", "app", "main", "__init__")
_NAMES = ("app", "application")
_FACTORIES = ("create_app", "make_app")
_FORM = "--wsgi {!r}: write MODULE:NAME, such as app:app or shop.web:create_app()"


def sources(folder: Path) -> tuple[Path, ...]:
    """Return the folders that modules are imported from: `src` first, if any."""
    src = folder / "src"
    return (src, folder) if src.is_dir() else (folder,)


def module_file(folder: Path, module: str) -> Path | None:
    """Return the file of a module of this project; None if it has none."""
    path = module.replace(".", "/")
    for root in sources(folder):
        for file in (root / f"{path}.py", root / path / "__init__.py"):
            if file.is_file():
                return file
    return None


def find_wsgi(folder: Path) -> str:
    """Return `module:name` of the WSGI app in `folder`.

    Django's `<project>/wsgi.py` beside a `manage.py`, else `app` or `application` in
    wsgi.py, app.py or main.py, here, in `src` or in a package there, else a factory.

    Raises:
        ConfigError: there is none; the message names the option.
    """
    if (folder / "manage.py").exists():
        for path in sorted(folder.glob("*/wsgi.py")):
            return f"{path.parent.name}.wsgi:application"
    modules = list(_candidates(folder))
    for names, call in ((_NAMES, ""), (_FACTORIES, "()")):
        for module, file in modules:
            defined = set(_defined(file))
            for name in names:
                if name in defined:
                    return f"{module}:{name}{call}"
    raise ConfigError(
        f"no WSGI app was found in {folder} (looked for app or application in "
        f"{', '.join(f'{one}.py' for one in _MODULES)}, here, in src and in packages): "
        "name it with --wsgi MODULE:NAME"
    )


def check_wsgi(folder: Path, text: str) -> None:
    """Check that gunicorn can serve `text`.

    Raises:
        ConfigError: its form is wrong, or there is no such module or name.
    """
    module, name = _parts(text)
    file = module_file(folder, module)
    if file is None:
        if _is_installed(folder, module.partition(".")[0]):
            return
        raise ConfigError(
            f"--wsgi {text!r}: there is no module {module} in {folder}, nor in its src"
        )
    defined = set(_defined(file))
    if name not in defined and "*" not in defined and "__getattr__" not in defined:
        shown = {one for one in defined if not one.startswith("_")} or {"nothing"}
        raise ConfigError(f"--wsgi {text!r}: {unknown_name('name', name, shown)}")


def _parts(text: str) -> tuple[str, str]:
    """Return module and name; gunicorn takes a name, or its call with literals."""
    module, colon, expression = text.partition(":")
    words = module.split(".")
    if not colon or not all(
        w.isidentifier() and not keyword.iskeyword(w) for w in words
    ):
        raise ConfigError(_FORM.format(text))
    try:
        node = ast.parse(expression, mode="eval").body
        if isinstance(node, ast.Call):
            for given in (*node.args, *(one.value for one in node.keywords)):
                ast.literal_eval(given)
            node = node.func
    except (SyntaxError, ValueError):
        raise ConfigError(_FORM.format(text)) from None
    if not isinstance(node, ast.Name):
        raise ConfigError(_FORM.format(text))
    return module, node.id


def _is_installed(folder: Path, name: str) -> bool:
    """Whether a package that is not of this project has this name."""
    if module_file(folder, name) is not None:
        return False
    return importlib.util.find_spec(name) is not None


def _candidates(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield modules that may have the app: those outside packages first."""
    for root in sources(folder):
        for name in _MODULES[:-1]:
            yield name, root / f"{name}.py"
    for root in sources(folder):
        for package in sorted(root.glob("*/__init__.py")):
            outer = package.parent.name
            for name in _MODULES:
                inner = outer if name == "__init__" else f"{outer}.{name}"
                yield inner, package.parent / f"{name}.py"


def _defined(path: Path) -> Iterator[str]:
    """Yield the names that a module defines; none if it cannot be read.

    `*` stands for the names of a module that was not read.
    """
    try:
        body = ast.parse(path.read_text()).body
    except (OSError, SyntaxError, ValueError):
        return
    yield from _names(body)


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                stored = (one for one in ast.walk(target) if isinstance(one, ast.Name))
                yield from (one.id for one in stored)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (one.asname or one.name for one in node.names)
        else:  # names inside if, try and with
            for inner in ("body", "orelse", "finalbody"):
                yield from _names(getattr(node, inner, []))
