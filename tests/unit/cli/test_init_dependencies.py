"""What the image installs: what a project declares, else what it imports."""

from __future__ import annotations

import subprocess
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from worker_lib.cli import main
from worker_lib.cli.own_package import own_package
from worker_lib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
APP = """
import os, xml.etree.ElementTree
import boto3
import yaml
from PIL import Image
from typing import TYPE_CHECKING
from flask import Flask
from shop.tasks import add
if TYPE_CHECKING:
    import never_there
try:
    import ujson
except ImportError:
    ujson = None
app = Flask(__name__)
"""
TASKS = """
from worker_lib import fly_task
from . import prices
@fly_task
def add(a, b):
    import requests
    return a + b
"""
ALL = "flask\nPyYAML\nboto3\npillow\nrequests\ngunicorn\nworker_lib\n"


@pytest.fixture(autouse=True)
def origin(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Where pip took this library from: an index, unless a test says otherwise."""
    told: dict[str, Any] = {}
    monkeypatch.setattr("worker_lib.cli.own_package._origin", lambda: told)
    return told


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A wheel of this clone, as an address: built once, since that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        told = {"url": ROOT.as_uri()}
        patch.setattr("worker_lib.cli.own_package._origin", lambda: told)
        _, found = own_package(tmp_path_factory.mktemp("wheel"))
    assert found is not None
    return found.as_uri()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app that imports four packages, and one in a module of its own."""
    made = tmp_path / "web"
    (made / "shop").mkdir(parents=True)
    (made / "app.py").write_text(APP)
    (made / "shop" / "__init__.py").touch()
    (made / "shop" / "tasks.py").write_text(TASKS)
    (made / "shop" / "prices.py").write_text("from decimal import Decimal\n")
    monkeypatch.chdir(made)
    return made


def step(folder: Path) -> str:
    """Return the Dockerfile's step that installs dependencies."""
    text = (folder / "Dockerfile").read_text()
    return text.partition("a layer of its own.\n")[2].partition("\nCOPY . /app/")[0]


def test_a_project_that_declares_nothing_gets_what_it_imports(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the versions of this environment; what cannot be seen is said."""
    assert 0 == main(["init"])

    lines = (folder / "requirements.txt").read_text().splitlines()
    wanted = ("boto3", "flask", "pillow", "pyyaml", "requests")
    for name in wanted:
        assert f"{name}=={metadata.version(name)}" in lines
    names = {
        line.partition("=")[0].partition(">")[0] for line in lines if line[0] != "#"
    }
    assert {*wanted, "gunicorn", "worker-lib"} == names
    assert "add to requirements.txt what is loaded by name" in (capsys.readouterr().err)


def test_an_import_that_nothing_brings_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is never left out in silence, and the exit code says so."""
    (folder / "shop" / "prices.py").write_text("import unheard_of\n")

    assert 1 == main(["init"])
    assert "the image lacks unheard_of (shop/prices.py imports unheard_of)" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        ("PyYAML", "the image lacks pyyaml (app.py imports yaml)"),
        ("pillow", "the image lacks pillow (app.py imports PIL)"),
        ("gunicorn", "the image lacks gunicorn: add it to requirements.txt"),
        ("worker_lib", "the image lacks worker-lib: add it to requirements.txt"),
    ],
)
def test_what_is_declared_is_held_against_what_is_imported(
    folder: Path, left_out: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A requirements file of the user's own is never rewritten."""
    text = ALL.replace(f"{left_out}\n", "")
    (folder / "requirements.txt").write_text(text)

    assert 1 == main(["init"])
    assert told in capsys.readouterr().err
    assert text == (folder / "requirements.txt").read_text()


def test_what_comes_with_a_requirement_is_not_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flask brings werkzeug, and this library requests."""
    (folder / "requirements.txt").write_text(ALL.replace("requests\n", ""))
    (folder / "shop" / "prices.py").write_text("import werkzeug\n")

    main(["init"])

    assert "lacks" not in capsys.readouterr().err


def test_what_cannot_be_known_here_is_said_and_no_fault(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that is not installed here may bring whatever is imported."""
    (folder / "requirements.txt").write_text(ALL + "not-installed-here\n")
    (folder / "shop" / "prices.py").write_text("import unheard_of\n")

    assert 0 == main(["init"])
    told = capsys.readouterr().err
    assert "it is not known whether requirements.txt installs unheard_of" in told
    assert "install not-installed-here here" in told


def test_included_files_reach_the_builder(folder: Path) -> None:
    """Each keeps its folder, so that -r finds what it names."""
    (folder / "requirements").mkdir()
    (folder / "requirements" / "base.txt").write_text(ALL)
    (folder / "requirements.txt").write_text("-r requirements/base.txt\n-c c.txt\n")
    (folder / "c.txt").write_text("flask<9\n")

    assert 0 == main(["init"])
    for path in ("requirements.txt", "c.txt", "requirements/base.txt"):
        assert f"COPY {path} ./{path}\n" in step(folder)


def test_several_files_are_asked_about(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None is guessed; the option names one."""
    (folder / "requirements").mkdir()
    for name in ("base.txt", "production.txt"):
        (folder / "requirements" / name).write_text(ALL)

    assert 2 == main(["init"])
    assert "requirements/base.txt, requirements/production.txt" in (
        capsys.readouterr().err
    )
    assert not (folder / "Dockerfile").exists()
    assert 0 == main(["init", "--requirements", "requirements/base.txt"])
    assert step(folder).endswith("-r requirements/base.txt")
    assert 2 == main(["init", "--requirements", "nowhere.txt"])


def quoted(text: str) -> str:
    return ", ".join(f"'{one}'" for one in text.split())


def test_a_project_file_is_installed_from(folder: Path) -> None:
    """Its dependencies alone, so that the layer is kept while code changes."""
    (folder / "pyproject.toml").write_text(
        f"[project]\ndependencies = [{quoted(ALL)}]\n"
    )

    assert 0 == main(["init"])
    assert "COPY pyproject.toml ./pyproject.toml\n" in step(folder)
    assert not (folder / "requirements.txt").exists()


def test_a_project_file_that_declares_nothing_is_no_declaration(folder: Path) -> None:
    """Many hold the settings of tools, and nothing else."""
    (folder / "pyproject.toml").write_text("[tool.ruff]\nline-length = 88\n")

    assert 0 == main(["init"])
    assert "flask==" in (folder / "requirements.txt").read_text()


def test_a_setup_file_beside_a_project_file_changes_nothing(folder: Path) -> None:
    """Many are left from older tools, and declare nothing."""
    (folder / "setup.py").write_text("from setuptools import setup\nsetup()\n")
    test_a_project_file_is_installed_from(folder)


def test_a_lock_beside_a_project_file_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the image would have other versions than the lock."""
    (folder / "pyproject.toml").write_text("[project]\ndependencies = ['flask']\n")
    (folder / "uv.lock").touch()

    assert 2 == main(["init"])
    assert "uv export --no-dev --no-emit-project" in capsys.readouterr().err


DYNAMIC = "[project]\ndynamic = ['dependencies']\n"
POETRY = "[tool.poetry.dependencies]\nflask = '*'\n"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("pyproject.toml", DYNAMIC, "pip-compile -o requirements.txt"),
        ("pyproject.toml", POETRY, "poetry export -o requirements.txt"),
        ("pyproject.toml", "not [toml", "pyproject.toml cannot be read"),
        ("uv.lock", "", "uv export --no-dev --no-emit-project"),
        ("poetry.lock", "", "poetry export -o requirements.txt"),
        ("pdm.lock", "", "pdm export --prod -o requirements.txt"),
        ("Pipfile", "", "pipenv requirements > requirements.txt"),
        ("setup.py", "", "pip-compile setup.py"),
        ("environment.yml", "", "its pip packages into requirements.txt"),
        ("requirements.txt", "-e .\n", "the image has no folder to install from"),
        ("requirements.txt", ".[web]\n", "the image has no folder to install from"),
    ],
)
def test_what_pip_cannot_read_is_refused_with_the_way_on(
    folder: Path, name: str, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is written."""
    (folder / name).write_text(text)

    assert 2 == main(["init"])
    assert told in capsys.readouterr().err
    assert not (folder / "Dockerfile").exists()


def test_a_clone_of_this_library_travels_as_a_wheel(
    folder: Path, origin: dict[str, Any], wheel: str
) -> None:
    """It is on no index, and a name alone would fetch a stranger's."""
    origin["url"] = wheel

    assert 0 == main(["init"])

    (made,) = (folder / "vendor").iterdir()
    place = f"vendor/{made.name}"
    assert f"COPY {place} ./{place}\nRUN " in step(folder)
    assert f"install --no-compile './{place}' -r requirements.txt" in step(folder)
    assert "worker_lib/runtime/__main__.py" in zipfile.ZipFile(made).namelist()
    made.write_bytes(b"of an earlier version")
    assert 0 == main(["init"])
    assert zipfile.is_zipfile(made)


@pytest.mark.parametrize("hashed", [False, True])
def test_a_clone_is_installed_beside_what_is_declared(
    folder: Path, origin: dict[str, Any], wheel: str, *, hashed: bool
) -> None:
    """In one run, so that no index is asked for its name; apart where hashes rule."""
    origin["url"] = wheel
    text = ALL + ("cloudpickle --hash=sha256:00\n" if hashed else "")
    (folder / "requirements.txt").write_text(text)

    assert 0 == main(["init"])

    (made,) = (folder / "vendor").iterdir()
    installs = [line for line in step(folder).splitlines() if "pip --python" in line]
    assert (2 if hashed else 1) == len(installs)
    assert f"'./vendor/{made.name}'" in installs[-1]
    assert hashed == ("--no-deps" in installs[-1])


@pytest.mark.parametrize(
    ("told", "requirement"),
    [
        ({}, f"worker-lib=={metadata.version('worker-lib')}"),
        (
            {
                "url": "https://me:canary@git.example/worker_lib",
                "vcs_info": {"vcs": "git", "commit_id": "abc"},
            },
            "worker-lib @ git+https://git.example/worker_lib@abc",
        ),
        (
            {"url": "https://files.example/worker_lib.tar.gz", "archive_info": {}},
            "worker-lib @ https://files.example/worker_lib.tar.gz",
        ),
    ],
)
def test_this_library_is_required_the_way_it_came(
    origin: dict[str, Any], told: dict[str, Any], requirement: str, tmp_path: Path
) -> None:
    """From an index, a commit or an archive; no login goes into a file."""
    origin.update(told)

    assert (requirement, None) == own_package(tmp_path)


def test_a_commit_of_this_library_brings_git_into_the_image(
    folder: Path, origin: dict[str, Any]
) -> None:
    """And stands in the requirements that init makes; a second run agrees."""
    vcs = {"vcs": "git", "commit_id": "abc"}
    origin.update({"url": "https://git.example/worker_lib", "vcs_info": vcs})

    assert 0 == main(["init"])
    line = "worker-lib @ git+https://git.example/worker_lib@abc\n"
    assert line in (folder / "requirements.txt").read_text()
    assert "install -y --no-install-recommends git" in step(folder)
    assert 0 == main(["init"])


def test_a_clone_that_cannot_be_built_is_told_with_the_command(
    origin: dict[str, Any], tmp_path: Path
) -> None:
    """What pip said, and how to see it all."""
    (tmp_path / "clone").mkdir()
    origin["url"] = (tmp_path / "clone").as_uri()

    with pytest.raises(ConfigError, match="pip wheel --no-deps --wheel-dir vendor"):
        own_package(tmp_path)


def test_a_missing_pip_is_told(
    origin: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in environments that other tools made."""
    origin["url"] = ROOT.as_uri()

    def fail(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("pip", 1)

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ConfigError, match="timed out"):
        own_package(tmp_path)
