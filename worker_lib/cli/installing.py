"""The step of a Dockerfile that installs dependencies, and what it would lack."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from worker_lib.cli.dependencies import PIP, REQUIREMENTS, Declared, declared
from worker_lib.cli.imports import closure, foreign_imports, normalized, packages_of
from worker_lib.cli.own_package import NAME, own_package

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Dependencies", "dependencies"]

_SERVER = "gunicorn"
_GIT = (
    "RUN command -v git > /dev/null || { apt-get update && apt-get install -y "
    "--no-install-recommends git; }"
)
_HEADER = """\
# Written by worker-lib init: the imports of {wsgi}, in the versions installed here.
# Add packages that are loaded by name, such as drivers of databases.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """How the image gets what the app needs.

    Attributes:
        install: The Dockerfile's step.
        files: Files that the step reads and the project does not have.
        problems: What is missing, or not known, one sentence each.
        is_incomplete: Something is missing.
    """

    install: str
    files: dict[str, str | bytes]
    problems: tuple[str, ...]
    is_incomplete: bool


def dependencies(folder: Path, wsgi: str, wanted: str, scratch: Path) -> Dependencies:
    """Return what the image installs: what is declared, else what is imported.

    Args:
        folder: The project.
        wsgi: What gunicorn serves.
        wanted: The file of requirements that the user named, or "".
        scratch: A folder for a wheel of this library.

    Raises:
        ConfigError: what is declared cannot be read, or no wheel could be built.
    """
    files: dict[str, str | bytes] = {}
    imports = foreign_imports(folder, wsgi.partition(":")[0])
    found, own, wheel = declared(folder, wanted), "", None
    if found is None or not re.search("[@/]", found.own):  # which say where it is
        own, wheel = own_package(scratch)
    if wheel:
        files[own.removeprefix("./")] = wheel.read_bytes()
    if found is None:
        found = _generated(imports, "" if wheel else own)
        lines = "".join(f"{line}\n" for line in found.lines)
        files[REQUIREMENTS] = _HEADER.format(wsgi=wsgi) + lines
    # From an index it is for the project to declare.
    own = "" if own in found.lines or own.startswith(f"{NAME}==") else own
    missing, problems = _gaps(folder, found, own, imports)
    problems += [f"the image lacks {one}: add it to {found.source}" for one in missing]
    if REQUIREMENTS in files:
        problems.append(f"add to {REQUIREMENTS} what is loaded by name")
    return Dependencies(
        install=_install_step(found, own),
        files=files,
        problems=tuple(problems),
        is_incomplete=bool(missing),
    )


def _generated(imports: dict[str, Path], own: str) -> Declared:
    """Return what is imported, as if it were declared in a requirements.txt."""
    packages = set[str]().union(*map(packages_of, imports)) - {NAME, _SERVER}
    pinned = [f"{name}=={metadata.version(name)}" for name in packages]
    lines = sorted(filter(None, (*pinned, f"{_SERVER}>=23", own)))
    return Declared(source=REQUIREMENTS, copies=(REQUIREMENTS,), lines=tuple(lines))


def _gaps(
    folder: Path, found: Declared, own: str, imports: dict[str, Path]
) -> tuple[list[str], list[str]]:
    """Return what the image lacks, and a sentence about what it may lack."""
    names, unknown = closure(found.lines)
    if own or found.own:
        names |= {NAME} if own and found.hashed else {NAME, *closure([NAME])[0]}
    missing, gaps = [one for one in (_SERVER, NAME) if one not in names], []
    for top, file in sorted(imports.items()):
        packages = packages_of(top) or {top}
        if not {normalized(top), *packages} & (names | {NAME}):
            where = f"{file.relative_to(folder)} imports {top}"
            gaps.append(f"{' or '.join(sorted(packages))} ({where})")
    unknown -= {_SERVER, NAME, found.own}
    if not gaps or not unknown:
        return missing + gaps, []
    text = f"it is not known whether {found.source} installs {', '.join(gaps)}"
    others = ", ".join(sorted(unknown))
    return missing, [f"{text}: install {others} here, and run init again"]


def _install_step(found: Declared, own: str) -> str:
    """Return the instructions that install what is declared, and this library."""
    wheel = [own] if own.startswith("./") else []
    copies = [one.removeprefix("./") for one in (*found.copies, *wheel)]
    lines = [_GIT] if "git+" in " ".join([own, *found.lines]) else []
    lines += [f"COPY {one} ./{one}" for one in copies]
    source = REQUIREMENTS if found.prepare else found.source
    commands = [found.prepare] if found.prepare else []
    if own and found.hashed:  # pip would want a hash of it, too
        commands += [f"{PIP} -r {source}", f"{PIP} --no-deps '{own}'"]
    else:
        extra = f"'{own}' " if own else ""
        commands.append(f"{PIP} {extra}-r {source}")
    return "\n".join([*lines, "RUN " + " \\\n && ".join(commands)])
