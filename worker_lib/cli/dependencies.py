"""What a project declares that it needs, and how an image installs just that."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.cli.imports import closure, normalized
from worker_lib.cli.own_package import VENDOR
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PIP", "Declared", "declared"]

REQUIREMENTS = "requirements.txt"
PIP = "python3 -m pip --python /venv/bin/python install --no-compile"
_NOT_FOR_IMAGES = re.compile(r"dev|test|lint|doc|local|typing|ci\b|build")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)[ =]\s*(\S+)")
_EDITABLE = re.compile(r"(?:-e|--editable)[ =]|\.(?:\[.*\])?$|file:")
_OWN = re.compile(r"worker-lib(?![a-z0-9-])")
_WHEEL = re.compile(r"([A-Za-z0-9_.]+)-[^-/]+(?:-[^-/]+){2,4}\.whl$")
# pip alone installs a project's dependencies only together with the project.
_FROM_PROJECT = r"""python3 -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project.get('dependencies', ()), sep='\n')" \
      > requirements.txt"""
# In a folder of its own: Debian's Python lets nobody install beside its packages.
_UV_SYNC = (
    "python3 -m venv --without-pip /uv \\\n"
    " && python3 -m pip --python /uv/bin/python install uv \\\n"
    " && UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never /uv/bin/uv sync \\\n"
    "      --frozen --no-dev --inexact --no-install-project"
)
# What others declare can be written down for pip by their own tools.
_FOREIGN = {
    "poetry.lock": "poetry export -o requirements.txt",
    "pdm.lock": "pdm export --prod -o requirements.txt",
    "Pipfile": "pipenv requirements > requirements.txt",
    "setup.py": "pip-compile setup.py -o requirements.txt",
    "setup.cfg": "pip-compile setup.cfg -o requirements.txt",
    "environment.yml": "write its pip packages into requirements.txt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Where the dependencies stand, and what is known of them.

    Attributes:
        source: The file that declares them.
        copies: The files that the installing step reads.
        names: Normalized names of all that will be installed, as far as known.
        unknown: Those of them that may bring more: they are not installed here.
        hashed: Every package is pinned with its hashes.
        by_uv: `uv sync` installs it, with or without the wheel of this library.
        prepare: A command that goes before pip's, or "".
        own: How this library itself is declared, or "".
        needs_git: Something comes from a git repository.
    """

    source: str
    copies: tuple[str, ...]
    names: frozenset[str] = frozenset()
    unknown: frozenset[str] = field(default_factory=frozenset)
    hashed: bool = False
    by_uv: bool = False
    prepare: str = ""
    own: str = ""
    needs_git: bool = False

    @property
    def places_own(self) -> bool:
        """Whether it says where this library comes from, besides its name."""
        return "@" in self.own or ".whl" in self.own

    @property
    def is_vendored(self) -> bool:
        """Whether it names a wheel that init has put into the project."""
        return self.own.removeprefix("./").startswith(f"{VENDOR}/")


def declared(folder: Path, wanted: str = "") -> Declared | None:
    """Return what the project declares; None if it declares nothing.

    In order: the file that was asked for, requirements.txt, uv.lock, pyproject.toml,
    the only other file of requirements.

    Raises:
        ConfigError: it is declared in a way that only another tool reads, or in
            several files; the message says how to go on.
    """
    if wanted:
        if not (folder / wanted).is_file():
            raise ConfigError(f"--requirements {wanted!r}: there is no such file")
        return _from_requirements(folder, wanted)
    if (folder / REQUIREMENTS).is_file():
        return _from_requirements(folder, REQUIREMENTS)
    project = _project(folder)
    if (folder / "uv.lock").is_file():
        return _from_uv(folder)
    if "dependencies" in project:
        return _from_project(project)
    if "dependencies" in project.get("dynamic", ()):
        return _from_dynamic(folder)
    return _from_elsewhere(folder)


def _from_requirements(folder: Path, source: str) -> Declared:
    copies, lines = _read_requirements(folder, source)
    for line in lines:
        if _EDITABLE.match(line):
            raise ConfigError(
                f"{source} has {line!r}: an image keeps no folder to install from; "
                "leave it out, since /app and /app/src are where modules are found"
            )
    wheels = [line for line in lines if line.startswith(("./", f"{VENDOR}/"))]
    known, unknown = closure(map(_requirement, lines))
    return Declared(
        source=source,
        copies=(*copies, *(one.partition(" ")[0] for one in wheels)),
        names=frozenset(known),
        unknown=frozenset(unknown),
        hashed=any("--hash=" in line for line in lines),
        own=_own(lines),
        needs_git=any("git+" in line for line in lines),
    )


def _read_requirements(folder: Path, source: str) -> tuple[list[str], list[str]]:
    """Return all files that a file of requirements includes, and all their lines."""
    files, lines = [source], []
    for path in files:  # grows by what is included
        text = (folder / path).read_text().replace("\\\n", " ")
        for line in (one.partition(" #")[0].strip() for one in text.splitlines()):
            included = _INCLUDE.match(line)
            if included:
                inner = _beside(path, included[1])
                if inner not in files:
                    files.append(inner)
            elif line and not line.startswith("#"):
                lines.append(line)
    return files, lines


def _own(lines: list[str]) -> str:
    """Return the line that is about this library, or ""."""
    ours = (line for line in lines if _OWN.match(normalized(_requirement(line))))
    return next(ours, "")


def _beside(path: str, other: str) -> str:
    """Return the path of a file that another one names relative to itself."""
    outer, slash, _ = path.rpartition("/")
    return f"{outer}{slash}{other}"


def _requirement(line: str) -> str:
    """Return a line as name and extras, also where it is an address or a file."""
    wheel = _WHEEL.search(line.partition(" ")[0])
    if wheel:
        return wheel[1]
    named = re.search(r"#egg=([A-Za-z0-9._-]+)", line)
    return named[1] if named else line


def _project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = _toml(folder / "pyproject.toml").get("project", {})
    return found


def _from_project(project: dict[str, Any]) -> Declared:
    known, unknown = closure(project["dependencies"])
    return Declared(
        source="pyproject.toml",
        copies=("pyproject.toml",),
        names=frozenset(known),
        unknown=frozenset(unknown),
        prepare=_FROM_PROJECT,
        own=_own(project["dependencies"]),
        needs_git=any("git+" in line for line in project["dependencies"]),
    )


def _from_dynamic(folder: Path) -> Declared:
    """Read what setuptools reads for a project whose dependencies are in files."""
    tool = _toml(folder / "pyproject.toml").get("tool", {})
    told = tool.get("setuptools", {}).get("dynamic", {}).get("dependencies", {})
    files = told.get("file", []) if isinstance(told, dict) else []
    files = [files] if isinstance(files, str) else files
    if len(files) != 1:
        raise ConfigError(
            "pyproject.toml leaves its dependencies to its build: write them down for "
            "the image (pip-compile pyproject.toml -o requirements.txt), then run init "
            "again"
        )
    return _from_requirements(folder, files[0])


def _from_uv(folder: Path) -> Declared:
    """Read the lock of uv: what the project itself needs, and all that this needs."""
    packages = {
        one["name"]: one for one in _toml(folder / "uv.lock").get("package", [])
    }
    for name, one in packages.items():
        where = one.get("source", {})
        path = where.get("editable") or where.get("directory") or where.get("path")
        if path and path != "." and name != "worker-lib":
            raise ConfigError(
                f"uv.lock has {name} from {path}, which the image does not have: take "
                "it from an index or a git URL"
            )
    roots = [one for one in packages.values() if _is_root(one)]
    waiting = [need["name"] for one in roots for need in one.get("dependencies", ())]
    names: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            needed = packages.get(name, {}).get("dependencies", ())
            waiting += [need["name"] for need in needed]
    here = packages.get("worker-lib", {}).get("source", {})
    is_folder = "editable" in here or "directory" in here
    return Declared(
        source="uv.lock",
        copies=("pyproject.toml", "uv.lock"),
        names=frozenset(map(normalized, names)),
        by_uv=True,
        prepare=_UV_SYNC + (" --no-install-package worker-lib" if is_folder else ""),
        own="worker-lib @ uv.lock" if "worker-lib" in names and not is_folder else "",
        needs_git=any(
            "git" in packages.get(name, {}).get("source", {}) for name in names
        ),
    )


def _is_root(package: dict[str, Any]) -> bool:
    where = package.get("source", {})
    return "." in (where.get("virtual"), where.get("editable"))


def _from_elsewhere(folder: Path) -> Declared | None:
    found = sorted(_other_requirements(folder))
    if len(found) == 1:
        return _from_requirements(folder, found[0])
    if found:
        raise ConfigError(
            f"dependencies are declared in {', '.join(found)}: name the file for the "
            "image with --requirements FILE"
        )
    poetry = _toml(folder / "pyproject.toml").get("tool", {}).get("poetry", {})
    names = [*(["poetry.lock"] if "dependencies" in poetry else []), *_FOREIGN]
    for name in names:
        if (folder / name).is_file() or (name == "poetry.lock" and poetry):
            raise ConfigError(
                f"{name} declares the dependencies, which pip cannot read: "
                f"{_FOREIGN[name]}, then run init again"
            )
    return None


def _other_requirements(folder: Path) -> Iterator[str]:
    for pattern in ("requirements*.txt", "requirements/*.txt"):
        for path in folder.glob(pattern):
            name = str(path.relative_to(folder))
            if not _NOT_FOR_IMAGES.search(name.removeprefix("requirements")):
                yield name


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}") from error
