"""What README, docs and templates tell people to type is what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from worker_lib.cli.scaffold import Plan, next_commands, rendered

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/deploy.md")
PLAN = Plan(web_app="my-web", tasks_app="my-web-tasks", region="ams", wsgi="app:app")
_DATABASE = (
    "--name --org --region --no-replicas --disable-eviction --enable-prodpack=false"
)
# What flyctl knows, and what it would ask for or do unless told (the second set).
# Source: flyctl, internal/command: apps/create.go, redis/create.go, secrets/secrets.go,
# tokens/create.go, deploy/deploy.go, machine/run.go, machine/update.go.
FLAGS = {
    "apps create": ("--org --name --network", "--org"),
    "redis create": (_DATABASE, _DATABASE),
    "redis proxy": ("--org", ""),
    "redis status": ("", ""),
    "redis update": ("", ""),
    "secrets set": ("--stage -a", "--stage -a"),
    "secrets unset": ("--stage -a", "--stage -a"),
    "secrets deploy": ("-a", "-a"),
    "tokens create deploy": ("-a -x --expiry", "-a -x"),
    "tokens create org": ("-x --expiry", "-x"),
    "tokens list": ("-a", "-a"),
    "tokens revoke": ("", ""),
    "deploy": (
        "-a --image --image-label --build-arg --build-only --push",
        "-a",
    ),
    "releases": ("-a --image", "-a"),
    "machine run": ("-a --name --schedule", "-a"),
    "machine update": ("-a --image --yes", "-a --image"),
    "machine destroy": ("-a --force", "-a"),
    "machine list": ("-a", "-a"),
    "ssh console": ("-a -C", "-a -C"),
}


def page(name: str) -> str:
    return (ROOT / name).read_text()


def commands(name: str) -> list[str]:
    """Return what a page has people type: the lines after a prompt, joined."""
    blocks = re.findall(r"```console\n(.*?)```", page(name), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [
        " ".join(line.strip()[2:].partition("  #")[0].split())
        for line in text.splitlines()
        if line.strip().startswith("$ ")
    ]


@pytest.mark.parametrize("name", PAGES)
def test_each_make_target_is_there_and_knows_its_variables(name: str) -> None:
    """`make help` tells of every variable that a page sets."""
    makefile = page("Makefile")

    for command in commands(name):
        if not command.startswith("make "):
            continue
        for word in command.split()[1:]:
            variable, is_set, _ = word.partition("=")
            if is_set:
                assert f"{variable}=" in makefile
            else:
                assert re.search(rf"(?m)^{word}:.*## ", makefile), word


def test_the_container_section_tells_every_way_to_an_image() -> None:
    """With a registry, without one, without an index, behind a proxy."""
    section = page("README.md").partition("## The demo and the tests")[2]
    section = section.partition("\n## ")[0]

    assert (ROOT / "tools" / "base_image.sh").stat().st_mode & 0o100
    for told in ("tools/base_image.sh", "make wheels", "CA_CERT=", "make lock"):
        assert told in section


def fly_commands(text: str) -> list[tuple[str, str]]:
    """Return name and words of each command for `fly`, also inside of another."""
    joined = text.replace("\\\n", " ")
    joined += "\n" + "\n".join(re.findall(r"\$\((fly [^)]*)\)", joined))
    names = "|".join(sorted(FLAGS, key=len, reverse=True))
    found = re.findall(
        rf"(?:fly|flyctl) ({names})\b((?:\"\$\(fly[^)]*\)\"|[^`\n;|&#)])*)", joined
    )
    return [(name, re.sub(r"\$\([^)]*\)", "", words)) for name, words in found]


def flags(words: str) -> set[str]:
    """Return the flags of a command, but for what is quoted."""
    bare = re.sub(r"\"[^\"]*\"?", "", words)
    return set(re.findall(r"(?<!\S)(--?[A-Za-z][a-z-]*(?:=false)?)", bare))


def everywhere() -> dict[str, list[tuple[str, str]]]:
    """Return every command that we tell people, by where it stands."""
    told = {name: "\n".join(commands(name)) for name in PAGES}
    told["next commands"] = "\n".join(next_commands(PLAN))
    told["workflow"] = rendered("deploy.yml", PLAN)
    return {place: fly_commands(text) for place, text in told.items()}


@pytest.mark.parametrize("place", [*PAGES, "next commands", "workflow"])
def test_each_command_for_fly_has_known_flags_and_leaves_no_question(
    place: str,
) -> None:
    """Nothing is asked for half-way, and no machine is restarted for a secret."""
    found = everywhere()[place]

    assert found
    for name, words in found:
        known, needed = (set(text.split()) for text in FLAGS[name])
        assert flags(words) <= known, (name, words)
        assert needed <= flags(words), (name, words)


def test_the_readme_and_init_give_the_same_commands() -> None:
    """The README's have the demo's own secrets besides."""
    ours = next_commands(PLAN)
    told = [re.sub(r" [A-Z0-9_]+=…", "", one) for one in commands("README.md")]

    for command in ours[:-1]:
        assert command.partition("  #")[0] in told, command
    assert "fly deploy -a my-web" in told
    assert ours[-1].startswith("fly deploy -a my-web && ")


def test_no_command_leaves_a_secret_in_a_file() -> None:
    """And git would not take one that an earlier version told to make."""
    texts = [page(name) for name in (*PAGES, "fly.toml")] + [*next_commands(PLAN)]

    assert not [text for text in texts if "tee " in text or ".secret" in text]
    for ignored in (page(".gitignore"), rendered("gitignore", PLAN)):
        assert {".env", ".secret"} <= set(ignored.splitlines())


def test_fly_toml_leaves_the_commands_to_the_readme() -> None:
    """Told twice, they contradicted each other."""
    for text in (page("fly.toml"), rendered("fly.toml", PLAN)):
        comments = [line for line in text.splitlines() if line.startswith("#")]
        assert not [line for line in comments if "fly secrets" in line]
        assert "-tasks, which" in "".join(comments)


def test_the_readme_tells_what_one_app_for_both_sides_means() -> None:
    """Machines have all secrets of their app; the two apps part them."""
    section = page("README.md").partition("## Deploy on Fly")[2].partition("\n## ")[0]

    assert "Without `FLY_TASKS_APP`" in section
    assert "deploy token" in section.partition("Without `FLY_TASKS_APP`")[2]


def test_the_workflow_tells_when_its_tokens_end() -> None:
    """720 hours are 30 days."""
    text = rendered("deploy.yml", PLAN)

    assert 30 * 24 == 720
    assert "-x 720h" in text
    assert "end after 30 days (720 hours)" in text
    assert "after 30 days" in page("docs/deploy.md")


def test_each_remedy_that_installs_names_a_package_of_an_index() -> None:
    """This library itself is on none; what its extras bring is."""
    declared = tomllib.loads(page("pyproject.toml"))["project"]
    extras = [
        one.partition(";")[0]
        for extra in declared["optional-dependencies"].values()
        for one in extra
    ]
    sources = [*ROOT.glob("worker_lib/**/*.py"), *ROOT.glob("demo/*.py")]

    told = [
        wanted
        for path in sources
        for wanted in re.findall(r"pip install '([^']+)'", path.read_text())
    ]
    assert told
    assert set(told) <= set(extras)
