"""The files for a deploy, made from templates, and the commands that come next."""

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
_WORKFLOW = ".github/workflows/deploy.yml"
_IGNORE = ".gitignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The values that go into the files.

    Attributes:
        wsgi: `module:name` that gunicorn serves.
        install: The Dockerfile's step that installs dependencies.
        src: Whether modules are in the folder `src`.
        org: The organization of all apps and of the Redis.
        github: Whether the workflow is wanted.
        python: Minor version of the image: ours, since calls are pickled.
    """

    web_app: str
    tasks_app: str
    region: str
    wsgi: str
    install: str = ""
    src: bool = False
    org: str = "personal"
    github: bool = False
    python: str = f"{sys.version_info[0]}.{sys.version_info[1]}"


def planned_files(plan: Plan, folder: Path) -> dict[str, str]:
    """Return path and text of each file.

    A .gitignore is only made if the project has none.
    """
    wanted = dict(_FILES)
    if not (folder / _IGNORE).exists():
        wanted[_IGNORE] = "gitignore"
    if plan.github:
        wanted[_WORKFLOW] = "deploy.yml"
    return {path: rendered(template, plan) for path, template in wanted.items()}


def rendered(template: str, plan: Plan) -> str:
    """Return a template's text with the plan's values in it.

    Placeholders are `@NAME@`: Docker, shells and workflows use `$` and `{`.
    """
    words = {
        "@WEB_APP@": plan.web_app,
        "@TASKS_APP@": plan.tasks_app,
        "@REGION@": plan.region,
        "@PYTHON@": plan.python,
        "@WSGI_JSON@": json.dumps(plan.wsgi),
        "@WSGI_QUOTED@": shlex.quote(plan.wsgi),
        "@PYTHONPATH@": "/app/src:/app" if plan.src else "/app",
        "@CHDIR@": "--pythonpath src " if plan.src else "",
        "@INSTALL@": plan.install,
    }
    folder = resources.files("worker_lib.cli") / "templates"
    text = (folder / template).read_text()
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def next_commands(plan: Plan) -> tuple[str, ...]:
    """Return the commands that deploy a website with jobs from these files.

    Sources: flyctl, internal/command/redis/create.go (the options that it else asks
    for), secrets/set.go and secrets.go (without `--stage` it restarts machines).
    """
    web, tasks, org = plan.web_app, plan.tasks_app, f"--org {plan.org}"
    redis = f"fly redis create --name {web}-redis {org} --region {plan.region}"
    both = 'REDIS_URL="$url" WORKER_LIB_SECRET="$key"'
    token = f'FLY_API_TOKEN="$(fly tokens create deploy -a {tasks} -x 8760h)"'
    check = f'fly ssh console -a {web} -C "/venv/bin/worker-lib doctor --probe"'
    return (
        f"fly apps create {web} {org} && fly apps create {tasks} {org}",
        f"{redis} --no-replicas --disable-eviction --enable-prodpack=false",
        "url=redis://…  # as printed",
        "key=$(openssl rand -hex 32)",
        f"fly secrets set --stage -a {tasks} {both}",
        f"fly secrets set --stage -a {web} {both} FLY_TASKS_APP={tasks} {token}",
        f"fly deploy -a {web} && {check}",
    )
