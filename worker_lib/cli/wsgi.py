"""Finds what gunicorn should serve, by reading files and never by importing them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["find_wsgi"]

_MODULES = ("wsgi", "app", "main")
_NAMES = ("app", "application")
_FACTORIES = ("create_app", "make_app")


def find_wsgi(folder: Path) -> str:
    """Return `module:name` of the WSGI app in `folder`.

    Django's `<project>/wsgi.py` beside a `manage.py`, else `app` or `application` in
    wsgi.py, app.py or main.py, else a factory there.

    Raises:
        ConfigError: there is none; the message names the option.
    """
    if (folder / "manage.py").exists():
        for path in sorted(folder.glob("*/wsgi.py")):
            return f"{path.parent.name}.wsgi:application"
    for module in _MODULES:
        defined = set(_defined(folder / f"{module}.py"))
        for name in _NAMES:
            if name in defined:
                return f"{module}:{name}"
        for name in _FACTORIES:
            if name in defined:
                return f"{module}:{name}()"
    raise ConfigError(
        f"no WSGI app was found in {folder} (looked for app or application in "
        f"{', '.join(f'{one}.py' for one in _MODULES)}): name it with "
        "--wsgi MODULE:NAME"
    )


def _defined(path: Path) -> Iterator[str]:
    """Yield the names that a module's top level defines; none if it is no Python."""
    try:
        body = ast.parse(path.read_text()).body
    except (OSError, SyntaxError, ValueError):
        return
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (one.id for one in targets if isinstance(one, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (one.asname or one.name for one in node.names)
