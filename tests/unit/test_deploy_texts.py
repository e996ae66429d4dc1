"""What README, docs and templates tell people to type is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/deploy.md")


def page(name: str) -> str:
    return (ROOT / name).read_text()


def commands(name: str) -> list[str]:
    """Return what a page has people type: the lines after a prompt, joined."""
    blocks = re.findall(r"```console\n(.*?)```", page(name), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [
        " ".join(line[2:].partition("  #")[0].split())
        for line in text.splitlines()
        if line.startswith("$ ")
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
