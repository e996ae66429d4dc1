"""The files of a deploy: what is written, what is left alone, what they agree with."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from worker_lib.cli import main
from worker_lib.cli.scaffold import Plan, rendered
from worker_lib.cli.wsgi import find_wsgi
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
PLAN = Plan(
    web_app="worker-lib-demo",
    tasks_app="worker-lib-demo-tasks",
    region="ams",
    wsgi="app:app",
    python="3.11",
)
FLASK = "from flask import Flask\napp = Flask(__name__)\n"


@pytest.fixture(autouse=True)
def _installed_from_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wheel of this library has to be built: other tests look at that."""
    monkeypatch.setattr("worker_lib.cli.own_package._origin", dict)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small Flask app."""
    made = tmp_path / "My Web"
    made.mkdir()
    (made / "app.py").write_text(FLASK)
    monkeypatch.chdir(made)
    return made


def files_of(folder: Path) -> dict[str, str]:
    """Return every file with its text."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def test_init_writes_what_a_deploy_needs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names come from the folder; no placeholder is left; the commands follow."""
    assert 0 == main(["init", "--github"])

    files = files_of(folder)
    expected = {"Dockerfile", "fly.toml", ".dockerignore", "Procfile", ".env.example"}
    workflow = ".github/workflows/deploy.yml"
    others = {workflow, "requirements.txt", "app.py", ".gitignore"}
    assert {*expected, *others} == set(files)
    assert not [name for name, text in files.items() if re.search("@[A-Z_]+@", text)]
    assert "my-web" == tomllib.loads(files["fly.toml"])["app"]
    printed = capsys.readouterr()
    assert "" == printed.out
    following = printed.err.partition("Next:\n")[2].splitlines()
    assert 7 == len(following)
    assert "fly apps create my-web --org personal && fly apps create" in following[0]


def test_init_twice_changes_nothing(folder: Path) -> None:
    """It can be run again at any time."""
    main(["init"])
    before = files_of(folder)

    assert 0 == main(["init"])
    assert before == files_of(folder)


def test_init_shows_a_difference_and_leaves_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --yes a file that differs is kept, and the exit code says so."""
    (folder / "Procfile").write_text("web: my own\n")

    assert 1 == main(["init"])

    printed = capsys.readouterr()
    assert "web: my own\n" == (folder / "Procfile").read_text()
    assert "-web: my own" in printed.out
    assert "+web: gunicorn" in printed.out
    assert "left as they are: Procfile; --yes replaces them" in printed.err


def test_init_replaces_with_yes(folder: Path) -> None:
    """With --yes the file is as the diff said."""
    (folder / "Procfile").write_text("web: my own\n")

    assert 0 == main(["init", "--yes"])
    assert (folder / "Procfile").read_text().startswith("web: gunicorn")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--web-app", "My_Web"], "--web-app 'My_Web'"),
        (["--web-app", "a" * 63], "at most 62"),
        (["--web-app", "one", "--tasks-app", "one"], "an app of their own"),
        (["--region", "asm"], "did you mean 'ams'?"),
        (["--region", "Amsterdam"], "unknown region 'Amsterdam'"),
        (["--region", "ams,fra"], "unknown region 'ams,fra'"),
        (["--wsgi", "app"], "write MODULE:NAME"),
        (["--wsgi", "app.py:app"], "there is no module app.py in"),
        (["--wsgi", "app:ap"], "did you mean 'app'?"),
        (["--wsgi", "application:app"], "there is no module application"),
        (["--wsgi", "app:app; rm"], "write MODULE:NAME"),
        (["--wsgi", "app:make(open('x'))"], "write MODULE:NAME"),
    ],
)
def test_init_refuses_names_that_fly_would(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written, and the exit code is that of a wrong call."""
    before = files_of(folder)

    assert 2 == main(["init", *words])
    assert said in capsys.readouterr().err
    assert before == files_of(folder)


def flask(folder: Path) -> None:
    (folder / "app.py").write_text(FLASK)


def factory(folder: Path) -> None:
    (folder / "app.py").write_text("def create_app(): ...\n")


def annotated(folder: Path) -> None:
    (folder / "main.py").write_text("application: object = object()\n")


def imported(folder: Path) -> None:
    flask(folder)
    (folder / "wsgi.py").write_text("from app import app as application\n")


def in_src(folder: Path) -> None:
    (folder / "src").mkdir()
    flask(folder / "src")


def in_a_package(folder: Path) -> None:
    (folder / "src" / "shop").mkdir(parents=True)
    (folder / "src" / "shop" / "__init__.py").write_text("def create_app(): ...\n")


def in_a_packages_module(folder: Path) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "web.py").touch()
    (folder / "shop" / "wsgi.py").write_text("if True:\n    application = 1\n")


def django(folder: Path) -> None:
    (folder / "manage.py").touch()
    (folder / "site1").mkdir()
    (folder / "site1" / "wsgi.py").touch()


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (flask, "app:app"),
        (factory, "app:create_app()"),
        (annotated, "main:application"),
        (imported, "wsgi:application"),
        (django, "site1.wsgi:application"),
        (in_src, "app:app"),
        (in_a_package, "shop:create_app()"),
        (in_a_packages_module, "shop.wsgi:application"),
    ],
)
def test_the_wsgi_app_is_found(
    make: Callable[[Path], None], found: str, tmp_path: Path
) -> None:
    """By reading, never by importing."""
    make(tmp_path)

    assert found == find_wsgi(tmp_path)


@pytest.mark.parametrize("code", ["", "def broken(:\n", "x = 1\n"])
def test_no_wsgi_app_names_the_option(code: str, tmp_path: Path) -> None:
    """Also where a file is no Python."""
    (tmp_path / "app.py").write_text(code)

    with pytest.raises(ConfigError, match="--wsgi MODULE:NAME"):
        find_wsgi(tmp_path)


@pytest.mark.parametrize("layout", [in_src, in_a_package])
def test_a_src_layout_is_found_by_the_image_and_by_the_procfile(
    layout: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines import tasks from there, too, so it is on the image's path."""
    layout(tmp_path)
    monkeypatch.chdir(tmp_path)

    main(["init", "--web-app", "web"])

    assert "PYTHONPATH=/app/src:/app \\" in (tmp_path / "Dockerfile").read_text()
    assert "gunicorn --pythonpath src --worker" in (tmp_path / "Procfile").read_text()


def test_secrets_that_git_would_take_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A .gitignore of the project's own is not touched; without one, one is made."""
    subprocess.run(["git", "init", "--quiet"], check=True)
    (folder / ".gitignore").write_text("*.log\n")
    main(["init"])
    told = capsys.readouterr().err
    (folder / ".gitignore").unlink()
    main(["init"])

    assert "git does not ignore .env" in told
    assert "git does not ignore" not in capsys.readouterr().err
    assert ".env\n" in (folder / ".gitignore").read_text()


def test_a_factory_is_quoted_for_the_shell() -> None:
    """A Procfile's line goes through a shell, a Dockerfile's does not."""
    plan = Plan(web_app="a", tasks_app="b", region="ams", wsgi="app:create_app()")

    assert rendered("Procfile", plan).endswith(" 'app:create_app()'\n")
    assert ', "app:create_app()"]' in rendered("Dockerfile", plan)


def between(text: str, start: str, end: str) -> str:
    """Return the part of `text` from `start` up to `end`."""
    assert text.count(start) == 1, start
    return start + text.partition(start)[2].partition(end)[0]


def instructions(dockerfile: str) -> list[str]:
    """Return a Dockerfile's instructions, without comments and line breaks."""
    lines = (line for line in dockerfile.splitlines() if not line.startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


def final_stage(dockerfile: str) -> list[str]:
    """Return the instructions of what runs, but for what is served."""
    found = instructions(dockerfile)
    start = len(found) - found[::-1].index("FROM ${BASE_IMAGE}")
    return [line for line in found[start:] if not line.startswith("CMD")]


def test_the_image_agrees_with_the_repositorys_own() -> None:
    """Same base, same bytecode, same user, same paths: what runs is told the same."""
    own = (ROOT / "worker" / "Dockerfile").read_text()
    ours = rendered("Dockerfile", PLAN)

    assert final_stage(own) == final_stage(ours)
    for part in ("ARG BASE_IMAGE", "compileall", "COPY --from=build"):
        shared = [line for line in instructions(own) if part in line]
        assert shared
        assert shared == [line for line in instructions(ours) if part in line]


def test_the_init_of_the_image_is_the_one_that_is_tried() -> None:
    """The template pins what the lock of the repository's own image has."""
    lock = (ROOT / "worker" / "requirements.lock").read_text()

    pin = re.search(r"dumb-init==\S+", rendered("Dockerfile", PLAN))
    assert pin
    assert f"\n{pin[0]} " in lock


def test_fly_toml_agrees_with_the_repositorys_own() -> None:
    """Places, paths, and what the server holds differ; only the demo serves metrics."""
    own = tomllib.loads((ROOT / "fly.toml").read_text())
    ours = tomllib.loads(rendered("fly.toml", PLAN))

    assert {"port": 9091, "path": "/metrics"} == own.pop("metrics")
    assert "worker/Dockerfile" == own["build"].pop("dockerfile")
    assert "Dockerfile" == ours["build"].pop("dockerfile")
    assert "/healthz" == own["http_service"]["checks"][0].pop("path")
    assert "/" == ours["http_service"]["checks"][0].pop("path")
    limits = own["http_service"]["concurrency"], ours["http_service"]["concurrency"]
    assert [900, 30] == [limit.pop("hard_limit") for limit in limits]
    assert [200, 20] == [limit.pop("soft_limit") for limit in limits]
    assert own == ours


def test_env_example_agrees_with_the_repositorys_own() -> None:
    """The library's own variables are told in the same words."""
    own = (ROOT / ".env.example").read_text()
    ours = rendered("env.example", PLAN)

    for text in (own, ours):
        assert "# --- The library" in text
    start, end = "# --- The library", "\n# --- "
    assert between(own, start, end) == between(ours, start, end)


def test_the_example_workflow_is_the_template() -> None:
    """What the pages show is what `init` writes."""
    example = (ROOT / "docs" / "workflows" / "deploy.yml").read_text()

    assert rendered("deploy.yml", PLAN) == example


def test_the_wheel_has_the_templates(tmp_path: Path) -> None:
    """They are no Python, so nothing but the build's own rule brings them along."""
    pytest.importorskip("hatchling")
    code = f"from hatchling.build import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    import zipfile

    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    folder = ROOT / "worker_lib" / "cli" / "templates"
    expected = {f"worker_lib/cli/templates/{path.name}" for path in folder.iterdir()}
    assert expected <= names
