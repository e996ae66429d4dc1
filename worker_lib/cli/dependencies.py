"""What a project declares that it needs, and the commands that install just that."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PIP", "REQUIREMENTS", "Declared", "declared"]

REQUIREMENTS = "requirements.txt"
PIP = "python3 -m pip --python /venv/bin/python install --no-compile"
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)[ =]\s*(\S+)")
_FOLDER = re.compile(r"(?:-e|--editable)[ =]|\.(?:\[.*\])?$|file:")
_OWN = re.compile(r"(?:\S*/)?worker[-_.]lib(?!-?[A-Za-z])", re.IGNORECASE)
# pip alone installs a project's dependencies only together with the project.
_FROM_PROJECT = r"""python3 -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project.get('dependencies', ()), sep='\n')" \
      > requirements.txt"""
# How other tools write their dependencies down for pip.
_EXPORTS = {
    "uv.lock": "uv export --no-dev --no-emit-project -o requirements.txt",
    "poetry.lock": "poetry export -o requirements.txt",
    "pdm.lock": "pdm export --prod -o requirements.txt",
    "Pipfile": "pipenv requirements > requirements.txt",
    "environment.yml": "write its pip packages into requirements.txt",
    "setup.py": "pip-compile setup.py -o requirements.txt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The dependencies of a project.

    Attributes:
        source: The file that declares them.
        copies: The files that the installing step reads.
        lines: The requirements.
        prepare: A command that goes before pip's, or "".
    """

    source: str
    copies: tuple[str, ...]
    lines: tuple[str, ...]
    prepare: str = ""

    @property
    def own(self) -> str:
        """The line about this library, or ""."""
        return next((line for line in self.lines if _OWN.match(line)), "")

    @property
    def hashed(self) -> bool:
        """Whether packages are pinned with hashes: then pip wants one of each."""
        return any("--hash=" in line for line in self.lines)


def declared(folder: Path, wanted: str = "") -> Declared | None:
    """Return what the project declares; None if it declares nothing.

    In order: the `wanted` file, requirements.txt, pyproject.toml.

    Raises:
        ConfigError: it is declared in another file, or in a way that only another tool
            reads; the message says how to go on.
    """
    if wanted and not (folder / wanted).is_file():
        raise ConfigError(f"--requirements {wanted!r}: there is no such file")
    if wanted or (folder / REQUIREMENTS).is_file():
        return _from_requirements(folder, wanted or REQUIREMENTS)
    pyproject = _toml(folder / "pyproject.toml")
    project = pyproject.get("project", {})
    locks = ("uv.lock", "poetry.lock", "pdm.lock")
    if "dependencies" not in project or any((folder / one).exists() for one in locks):
        _refuse_other_tools(folder, pyproject)
        return None
    return Declared(
        source="pyproject.toml",
        copies=("pyproject.toml",),
        lines=tuple(project["dependencies"]),
        prepare=_FROM_PROJECT,
    )


def _from_requirements(folder: Path, source: str) -> Declared:
    """Read a file of requirements, with the files that it includes."""
    files, lines = [source], []
    for path in files:  # grows by what is included
        text = (folder / path).read_text().replace("\\\n", " ")
        for line in (one.partition(" #")[0].strip() for one in text.splitlines()):
            included = _INCLUDE.match(line)
            if included:
                outer, slash, _ = path.rpartition("/")
                inner = f"{outer}{slash}{included[1]}"
                files += [] if inner in files else [inner]
            elif line and not line.startswith("#"):
                lines.append(line)
    for line in lines:
        if _FOLDER.match(line):
            text = f"{source} has {line!r}: the image has no folder to install from"
            remedy = "leave it out, since modules are found in /app and /app/src"
            raise ConfigError(Problem(text, remedy))
    local = [line.split()[0] for line in lines if line.startswith(("./", "vendor/"))]
    named = tuple(line for line in lines if not line.startswith("-"))
    return Declared(source=source, copies=(*files, *local), lines=named)


def _refuse_other_tools(folder: Path, pyproject: dict[str, Any]) -> None:
    found = [name for name in _EXPORTS if (folder / name).is_file()]
    if "dependencies" in pyproject.get("tool", {}).get("poetry", {}):
        found.insert(0, "poetry.lock")
    if "dependencies" in pyproject.get("project", {}).get("dynamic", ()):
        found.append("pyproject.toml")
    if found:
        text = f"{found[0]} declares the dependencies, which pip cannot read"
        export = _EXPORTS.get(found[0], "pip-compile -o requirements.txt")
        remedy = f"{export}, then run init again"
        raise ConfigError(Problem(text, remedy))
    others = [*folder.glob("requirements*.txt"), *folder.glob("requirements/*.txt")]
    if others:
        files = ", ".join(sorted(str(one.relative_to(folder)) for one in others))
        remedy = "name the file for the image with --requirements FILE"
        raise ConfigError(Problem(f"dependencies are declared in {files}", remedy))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}") from error
