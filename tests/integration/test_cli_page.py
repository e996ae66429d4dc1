"""docs/cli.md: the tour prints what the page says."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import until

from worker_lib.cli import main
from worker_lib.inspection import machines, overview

if TYPE_CHECKING:
    from worker_lib.client.client import Client

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
# What differs from one time to the next, the longest first.
VARIES = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"(?<![0-9a-f])[0-9a-f]{20}(?![0-9a-f])", "JOB"),
    (r"(?<![0-9a-f])[0-9a-f]{14}(?![0-9a-f])", "MACHINE"),
    (r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])", "POOL"),
    (r"\$[\d.]+", "COST"),
    (r"\b\d+(\.\d+)?(e-\d+)? ?(s|MB)\b", "LENGTH"),
    (r"\b\d+\.\d+(e-\d+)?\b", "NUMBER"),
    (r" +", " "),
)
JOB = re.compile(VARIES[1][0])


def tour() -> list[tuple[str, str]]:
    """Return each command of the tour, and what it prints."""
    text = PAGE.read_text().partition("## A tour\n")[2]
    (block,) = re.findall(r"```console\n(.*?)```", text.partition("## ")[0], re.DOTALL)
    found = re.findall(r"(?m)^\$ worker-lib (.*)\n((?:(?!\$ ).*\n)*)", block)
    return [(words, printed.rstrip("\n")) for words, printed in found]


def alike(text: str) -> list[str]:
    """Return the lines of a text without what differs from time to time."""
    for pattern, name in VARIES:
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.processes_only("its machines are processes of this computer")
def test_the_tour_prints_what_the_page_says(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command after the other, as on a terminal."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "130")
    ids: dict[str, str] = {}
    for words, told in tour():
        real = [ids.get(word, word) for word in shlex.split(words)]
        main(real)
        printed = capsys.readouterr()
        shown = (printed.out + printed.err).rstrip("\n")
        ids |= dict(zip(JOB.findall(told), JOB.findall(shown), strict=True))
        assert alike(told) == alike(shown), words
        # The next command finds what is under way ended, but for what is paused.
        until(lambda: not any(one.running for one in overview().pools))
        until(lambda: not machines())
