"""What the image is made of: pinned, told by labels, and the same for everybody."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS: dict[str, list[str]] = {"requirements.lock": [], "build.lock": ["--build"]}


def declared(*options: str) -> list[Requirement]:
    """Return what the image is to have, as pyproject.toml says."""
    told = subprocess.run(
        [sys.executable, "tools/requirements.py", *options],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [Requirement(line) for line in told.stdout.splitlines()]


def pinned(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes by name."""
    text = (ROOT / "worker" / lock).read_text()
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n", "", text).strip())
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in entries:
        name, _, version = entry.split()[0].partition("==")
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}", entry)
        found[canonicalize_name(name)] = (version, hashes)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_pins_all_that_is_declared(lock: str) -> None:
    """Every declared name, in a version that is allowed, each with hashes."""
    found = pinned(lock)

    for wanted in declared(*LOCKS[lock]):
        version, _ = found[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), wanted
    assert all(version and hashes for version, hashes in found.values())


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_index(lock: str) -> None:
    """Whoever builds takes the index that they use."""
    text = (ROOT / "worker" / lock).read_text()

    assert "://" not in text
    assert "index" not in text
    assert "find-links" not in text


def test_the_image_installs_from_the_locks_alone() -> None:
    """Each install of something foreign wants hashes and builds nothing."""
    text = (ROOT / "worker" / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip --python \S+ (?:install|wheel) [^&\n]*", text)

    foreign = [one for one in installs if "--no-deps" not in one]
    assert 2 == len(foreign)
    assert all("--require-hashes" in one for one in foreign)
    assert all("--only-binary :all:" in one for one in foreign)


def test_make_image_fills_in_every_label() -> None:
    """Version, source and revision come from the checkout."""
    dockerfile = (ROOT / "worker" / "Dockerfile").read_text()
    makefile = (ROOT / "Makefile").read_text()

    labels = re.findall(r'org\.opencontainers\.image\.(\w+)="\$\{(\w+)\}"', dockerfile)
    assert [(name.lower(), name) for _, name in labels] == labels
    assert {"version", "source", "revision"} == {label for label, _ in labels}
    for _, name in labels:
        assert f"--build-arg {name}=" in makefile


def test_what_the_image_needs_is_sent_to_the_builder() -> None:
    """Each COPY finds its source among what .dockerignore lets through."""
    dockerfile = (ROOT / "worker" / "Dockerfile").read_text()
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}

    sources = [
        source.replace("[s]", "s").partition("/")[0]
        for line in dockerfile.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert sources
    assert set(sources) <= allowed
    assert allowed <= {*sources}, "what no COPY takes need not be sent"


def test_the_version_is_where_make_looks_for_it() -> None:
    """The Makefile reads it with sed, line by line."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f'\nversion = "{version}"\n' in (ROOT / "pyproject.toml").read_text()
