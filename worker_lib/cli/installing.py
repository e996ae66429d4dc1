"""The step of a Dockerfile that installs dependencies, and what it would lack."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from worker_lib.cli.dependencies import PIP, REQUIREMENTS, Declared, declared
from worker_lib.cli.imports import closure, foreign_imports, normalized, packages_of
from worker_lib.cli.own_package import NAME, OwnPackage, own_package

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Dependencies", "dependencies"]

_SERVER = "gunicorn"
_SERVER_IF_NEW = "gunicorn>=23"
_GIT = (
    "RUN command -v git > /dev/null || { apt-get update && apt-get install -y "
    "--no-install-recommends git; }"
)
_HEADER = """\
# Written by worker-lib init: what {wsgi} and the modules it imports import, in the
# versions that are installed here. Packages that are loaded by name, such as drivers
# of databases, cannot be seen: add them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """How the image gets what the app needs.

    Attributes:
        install: The Dockerfile's step.
        files: What that step reads and the project has not.
        problems: What is missing, or cannot be known, a sentence each.
        is_incomplete: The image would lack something.
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
        wanted: The file that was named, or "".
        scratch: A folder for a wheel of this library; needed until all is written.

    Raises:
        ConfigError: what is declared cannot be read, or no wheel could be built.
    """
    found = declared(folder, wanted)
    if found is not None and found.places_own and not found.is_vendored:
        return _from_declared(folder, wsgi, found, None)
    own = own_package(scratch)
    if found is not None:
        return _from_declared(folder, wsgi, found, own)
    return _from_imports(folder, wsgi, own)


def _from_imports(folder: Path, wsgi: str, own: OwnPackage) -> Dependencies:
    text, gaps = _generated(folder, wsgi, own)
    problems = [f"no installed package has {gap}: add what brings it" for gap in gaps]
    problems.append(
        f"{REQUIREMENTS} has what is imported; add what is loaded by name, such as "
        "drivers of databases"
    )
    source = Declared(
        source=REQUIREMENTS,
        copies=(REQUIREMENTS, *([own.place] if own.wheel else [])),
        needs_git=own.needs_git,
    )
    return Dependencies(
        install=_install_step(source, None),
        files={REQUIREMENTS: text, **_vendored(own)},
        problems=tuple(problems),
        is_incomplete=bool(gaps),
    )


def _from_declared(
    folder: Path, wsgi: str, found: Declared, own: OwnPackage | None
) -> Dependencies:
    problems = []
    files = _vendored(own) if own else {}
    if own and own.wheel and found.is_vendored and own.place not in found.own:
        problems.append(f"{found.source} has {found.own}, and here it is {own.place}")
    # From an index it is for the project to declare; so is a wheel that it names.
    if own and (own.is_from_index or found.places_own):
        own = None
    missing = _lacking(folder, wsgi, found, own.requirement if own else "")
    problems += [f"the image lacks {one}: add it to {found.source}" for one in missing]
    untold = _unsure(folder, wsgi, found)
    if untold:
        problems.append(
            f"not known here whether {found.source} brings {', '.join(untold)}: "
            "install it in this environment and run init again, or see for yourself"
        )
    return Dependencies(
        install=_install_step(found, own),
        files=files,
        problems=tuple(problems),
        is_incomplete=bool(missing),
    )


def _vendored(own: OwnPackage) -> dict[str, str | bytes]:
    return {own.place: own.wheel.read_bytes()} if own.wheel else {}


def _generated(folder: Path, wsgi: str, own: OwnPackage) -> tuple[str, list[str]]:
    """Return a requirements.txt for a project that declares nothing, and its gaps.

    A gap is an import that no installed package has: nobody can know what brings it.
    """
    lines, gaps = {_SERVER: _pinned(_SERVER) or _SERVER_IF_NEW}, []
    for top, (packages, file) in _by_top(folder, wsgi).items():
        if not packages:
            gaps.append(f"{top} ({file.relative_to(folder)})")
        lines |= {one: _pinned(one) or one for one in packages if one != NAME}
    text = _HEADER.format(wsgi=wsgi) + "".join(
        f"{line}\n" for _, line in sorted({**lines, NAME: own.requirement}.items())
    )
    return text, sorted(gaps)


def _lacking(folder: Path, wsgi: str, found: Declared, own: str) -> list[str]:
    """Return what the app imports and the image would not have, as far as known.

    Args:
        folder: The project.
        wsgi: What gunicorn serves.
        found: What is declared.
        own: This library's requirement, if it is installed besides; else "".
    """
    names = found.names | (closure([NAME])[0] if own and not found.hashed else set())
    names |= {NAME} if own else set()
    missing = [] if _SERVER in names else [_SERVER]
    if NAME not in names:
        missing.append(NAME)
    for top, (packages, file) in _by_top(folder, wsgi).items():
        if top == "worker_lib" or {normalized(top), *packages} & names:
            continue
        where = file.relative_to(folder)
        if packages and not found.unknown:
            missing.append(f"{' or '.join(packages)} ({where} imports {top})")
    return missing


def _unsure(folder: Path, wsgi: str, found: Declared) -> list[str]:
    """Return the imports of which it is not known whether the image has them."""
    return [
        f"{top} ({file.relative_to(folder)})"
        for top, (packages, file) in _by_top(folder, wsgi).items()
        if top != "worker_lib"
        and not {normalized(top), *packages} & found.names
        and (found.unknown or not packages)
    ]


def _install_step(found: Declared, own: OwnPackage | None) -> str:
    """Return the instructions that install what was declared.

    Args:
        found: What is declared.
        own: This library, if it is to be installed besides; else None.
    """
    lines = [_GIT] if found.needs_git or (own and own.needs_git) else []
    copies = [*found.copies]
    if own and own.wheel:
        copies.append(own.place)
    lines += _copied(copies)
    extra = f"'{own.requirement}'" if own else ""
    commands = [found.prepare] if found.prepare else []
    if found.by_uv:
        commands += [f"{PIP} --no-deps {extra}"] if own else []
    elif found.hashed:
        commands.append(f"{PIP} -r {found.source}")
        commands += [f"{PIP} --no-deps {extra}"] if own else []
    else:
        source = REQUIREMENTS if found.prepare else found.source
        commands.append(" ".join(filter(None, [PIP, extra, f"-r {source}"])))
    return "\n".join([*lines, "RUN " + " \\\n && ".join(commands)])


def _copied(paths: list[str]) -> list[str]:
    """Return one COPY for each folder, since COPY does not keep them."""
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        clean = path.removeprefix("./")
        folder = clean.rpartition("/")[0]
        files = by_folder.setdefault(folder, [])
        if clean not in files:
            files.append(clean)
    return [
        f"COPY {' '.join(files)} ./{folder + '/' if folder else ''}"
        for folder, files in by_folder.items()
    ]


def _by_top(folder: Path, wsgi: str) -> dict[str, tuple[list[str], Path]]:
    """Return the packages of each foreign module, and a file that imports it."""
    found: dict[str, tuple[set[str], Path]] = {}
    for name, file in foreign_imports(folder, wsgi.partition(":")[0]).items():
        packages, _ = found.setdefault(name.partition(".")[0], (set(), file))
        packages.update(packages_of(name))
    return {top: (sorted(names), file) for top, (names, file) in sorted(found.items())}


def _pinned(package: str) -> str:
    """Return `name==version` as installed here, or ""."""
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""
