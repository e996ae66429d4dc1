"""The files of a deploy, made from templates, and the commands that come next."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Plan",
    "missing_requirements",
    "next_commands",
    "planned_files",
    "rendered",
]

_FILES = {
    "Dockerfile": "Dockerfile",
    "fly.toml": "fly.toml",
    ".dockerignore": "dockerignore",
    "Procfile": "Procfile",
    ".env.example": "env.example",
}
_REQUIREMENTS = "requirements.txt"
_PROJECT = "pyproject.toml"
_WORKFLOW = ".github/workflows/deploy.yml"
_NEEDED = ("worker-lib", "gunicorn")
_PIP = "RUN python3 -m pip --python /venv/bin/python install --no-compile"
_FROM_REQUIREMENTS = f"""COPY requirements.txt ./
{_PIP} -r requirements.txt"""
# pip alone installs a project's dependencies only together with the project.
_FROM_PROJECT = rf"""COPY pyproject.toml ./
RUN python3 -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], sep='\n')" \
      > requirements.txt \
 && {_PIP.removeprefix("RUN ")} -r requirements.txt"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the files depend on.

    Attributes:
        wsgi: `module:name` that gunicorn serves.
        github: Whether the workflow is wanted.
        python: Minor version of the image: calls are pickled, so it is ours.
    """

    web_app: str
    tasks_app: str
    region: str
    wsgi: str
    github: bool = False
    python: str = f"{sys.version_info[0]}.{sys.version_info[1]}"


def planned_files(plan: Plan, folder: Path) -> dict[str, str]:
    """Return path and text of each file.

    Dependencies are installed from `requirements.txt`, else from `pyproject.toml`;
    with neither, a `requirements.txt` is among the files.
    """
    wanted = dict(_FILES)
    has_requirements = (folder / _REQUIREMENTS).exists()
    from_project = not has_requirements and (folder / _PROJECT).exists()
    if not has_requirements and not from_project:
        wanted[_REQUIREMENTS] = _REQUIREMENTS
    if plan.github:
        wanted[_WORKFLOW] = "deploy.yml"
    install = _FROM_PROJECT if from_project else _FROM_REQUIREMENTS
    return {
        path: rendered(template, plan, install=install)
        for path, template in wanted.items()
    }


def rendered(template: str, plan: Plan, *, install: str = _FROM_REQUIREMENTS) -> str:
    """Return a template's text with the plan's words in it.

    Placeholders are `@NAME@`: Docker, shells and workflows have uses for `$` and `{`.
    """
    words = {
        "@WEB_APP@": plan.web_app,
        "@TASKS_APP@": plan.tasks_app,
        "@REGION@": plan.region,
        "@PYTHON@": plan.python,
        "@PYTHONPATH@": "/app",
        "@WSGI_JSON@": json.dumps(plan.wsgi),
        "@WSGI_QUOTED@": shlex.quote(plan.wsgi),
        "@INSTALL@": install,
    }
    folder = resources.files("worker_lib.cli") / "templates"
    text = (folder / template).read_text()
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def next_commands(plan: Plan) -> tuple[str, ...]:
    """Return the five commands from these files to a website with jobs."""
    web, tasks = plan.web_app, plan.tasks_app
    token = f'FLY_API_TOKEN="$(fly tokens create deploy -a {tasks} -x 8760h)"'
    key = "WORKER_LIB_SECRET=$(openssl rand -hex 32 | tee .secret)"
    same_key = f"WORKER_LIB_SECRET=$(cat .secret) FLY_TASKS_APP={tasks}"
    check = f'fly ssh console -a {web} -C "/venv/bin/worker-lib doctor --probe"'
    return (
        f"fly apps create {web} && fly apps create {tasks}",
        f"fly redis create --name {web}-redis --no-replicas  # without eviction",
        f"fly secrets set -a {tasks} REDIS_URL=redis://… {key}",
        f"fly secrets set -a {web} REDIS_URL=redis://… {same_key} {token}",
        f"fly deploy -a {web} && rm .secret && {check}",
    )


def missing_requirements(folder: Path) -> list[str]:
    """Return what the image needs and no file of dependencies names."""
    files = (folder / name for name in (_REQUIREMENTS, _PROJECT))
    text = "\n".join(file.read_text() for file in files if file.exists())
    flat = text.lower().replace("_", "-")
    return [name for name in _NEEDED if name not in flat]
