"""The package's face: what is promised is there, and nothing else is."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from importlib.metadata import version
from pathlib import Path

import pytest

import worker_lib
from worker_lib import errors

PACKAGE = Path(worker_lib.__file__).parent
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages([str(PACKAGE)], "worker_lib.")
    if not found.name.endswith("__main__")
)


@pytest.mark.parametrize("name", worker_lib.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    """Each is loaded from its home on first use."""
    assert getattr(worker_lib, name) is not None


def test_public_names_are_sorted_and_listed_by_dir() -> None:
    """Completion in a shell shows them before they are loaded."""
    assert sorted(set(worker_lib.__all__)) == sorted(worker_lib.__all__)
    assert sorted(worker_lib.__all__) == dir(worker_lib)


def test_type_checkers_see_what_is_loaded_on_first_use() -> None:
    """The names below TYPE_CHECKING are those of `__all__`, each from its home."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert set(worker_lib.__all__) - {"__version__"} == set(seen)
    for name, module in seen.items():
        assert getattr(worker_lib, name) is getattr(
            importlib.import_module(module or ""), name
        )


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any other module."""
    with pytest.raises(AttributeError, match="has no attribute 'fly_taks'"):
        _ = worker_lib.fly_taks


def test_every_error_is_public_and_below_the_root() -> None:
    """`except WorkerLibError` catches all that the library raises."""
    for name in set(errors.__all__) - {"Problem"}:  # what a ConfigError lists
        assert name in worker_lib.__all__
        assert issubclass(getattr(errors, name), worker_lib.WorkerLibError)


def test_the_version_is_that_of_the_package() -> None:
    """One number, wherever it is read."""
    assert version("worker-lib") == worker_lib.__version__


@pytest.mark.parametrize("module", MODULES)
def test_all_of_each_module_names_what_is_there(module: str) -> None:
    """`__all__` neither promises too much nor repeats itself."""
    loaded = importlib.import_module(module)
    names = getattr(loaded, "__all__", [])

    assert [] == [name for name in names if not hasattr(loaded, name)]
    assert len(set(names)) == len(names)
