"""`worker-lib deploy`: the commands of docs/deploy.md, one after the other."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from worker_lib.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "registry.fly.io/my-web-staging:4f2a"
WORDS = ["deploy", "--web-app", "my-web", "--staging", "my-web-staging"]
# Notes its arguments, prints what a machine would, and fails where it is told to.
PROGRAM = """#!/bin/sh
{ echo "$(basename "$0")"; for word in "$@"; do echo "$word"; done; } > "$LOG.new"
tr '\\n' '\\037' < "$LOG.new" >> "$LOG"; echo >> "$LOG"
case "$*" in
  *"$FAILING"*) [ -n "$FAILING" ] && exit 7 ;;
esac
case "$*" in
  *doctor*) echo 'Connecting... complete'; echo "{$DOCTOR}" ;;
  *ping:ping*) echo '{"job_id": "1", "outcome": "succeeded"}' ;;
esac
exit 0
"""


@pytest.fixture
def calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[list[str]]]:
    """Put a `fly` and a `curl` on the PATH; return what they were called with."""
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    for name in ("fly", "curl"):
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setenv("FAILING", "")
    monkeypatch.setenv("DOCTOR", '"ok": true')
    monkeypatch.chdir(tmp_path)

    def read() -> list[list[str]]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split("\x1f")[:-1] for line in lines]

    return read


def page() -> list[list[str]]:
    """Return the commands of the page, as a shell would split them."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    (block,) = re.findall(r"## Each time\n\n```console\n(.*?)```", text, re.DOTALL)
    joined = re.sub(r"\\\n", " ", block)
    joined = joined.replace("$IMAGE", IMAGE).replace("$SHA", "4f2a")
    typed = re.findall(r"(?m)^\$ (.*)", joined)
    return [shlex.split(line, comments=True) for line in typed if "=$(" not in line][
        -5:
    ]


def test_the_commands_of_the_page_are_run(
    calls: Callable[[], list[list[str]]], capfd: pytest.CaptureFixture[str]
) -> None:
    """In its order, and then production is tried as well; each is printed before."""
    status = main([*WORDS, "--label", "4f2a"])

    printed = capfd.readouterr()
    ran = [[word.removesuffix(" --json") for word in call] for call in calls()]
    assert (0, f"{IMAGE}\n") == (status, printed.out)
    assert page() == ran[:5]
    assert ["curl", "fly"] == [call[0] for call in ran[5:]]
    assert "https://my-web.fly.dev/" == ran[5][-1]
    assert ["ssh", "console", "-a", "my-web"] == ran[6][1:5]
    assert f"$ fly deploy -a my-web --image {IMAGE}\n" in printed.err
    assert "Connecting... complete\n" in printed.err


def test_a_dry_run_prints_what_would_be_run(
    calls: Callable[[], list[list[str]]], capfd: pytest.CaptureFixture[str]
) -> None:
    """The very same commands, and runs none."""
    assert 0 == main([*WORDS, "--label", "4f2a", "--dry-run"])
    printed = capfd.readouterr().out
    assert 0 == main([*WORDS, "--label", "4f2a", "--dry-run", "--json"])
    told = json.loads(capfd.readouterr().out)
    assert [] == calls()
    assert 0 == main([*WORDS, "--label", "4f2a"])

    lines = [line for line in printed.splitlines() if not line.startswith("#")]
    assert calls() == [shlex.split(line) for line in lines]
    assert {"image": IMAGE, "commands": lines} == told


def test_without_staging_the_app_itself_is_tried(
    calls: Callable[[], list[list[str]]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is named by fly.toml, and nothing is promoted."""
    (tmp_path / "fly.toml").write_text('app = "my-web"')

    assert 0 == main(["deploy", "--label", "v1"])

    assert "registry.fly.io/my-web:v1\n" == capfd.readouterr().out
    assert ["fly", "curl", "fly", "fly"] == [call[0] for call in calls()]
    build = ["fly", "deploy", "-a", "my-web", "--image-label", "v1"]
    assert [*build, "--build-arg", "REVISION=v1"] == calls()[0]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("FAILING=--image-label", (1, "it ended with 7")),
        ("FAILING=doctor", (3, "it ended with 7")),
        ('DOCTOR="ok": false', (3, 'it did not print "ok": true')),
    ],
)
def test_it_stops_at_what_fails(
    calls: Callable[[], list[list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    told: str,
    expected: tuple[int, str],
) -> None:
    """Production is left as it is; what was not done is told."""
    monkeypatch.setenv(*told.split("=", 1))

    status = main([*WORDS, "--label", "4f2a"])

    printed = capfd.readouterr()
    ran, said = expected
    assert (1, "", ran) == (status, printed.out, len(calls()))
    assert said in printed.err
    assert f"not done: fly deploy -a my-web --image {IMAGE}\n" in printed.err


def test_the_image_is_named_after_the_commit(
    calls: Callable[[], list[list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is not committed is told of."""
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )

    assert 0 == main([*WORDS, "--dry-run"])

    printed = capsys.readouterr()
    assert f"--image-label {head.stdout.strip()} " in printed.out
    assert "what is not committed" in printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy"], "give --web-app NAME"),
        (["deploy", "--web-app", "a b"], "use at most 62 of a-z"),
        (["deploy", "--web-app", "a"], "give --label NAME"),
        (["deploy", "--web-app", "a", "--label", "$(x)"], "use at most 128 letters"),
        (["deploy", "--web-app", "a", "--staging", "a"], "it is to be another app"),
    ],
)
def test_a_wrong_word_runs_nothing(
    calls: Callable[[], list[list[str]]],
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and the remedy."""
    assert 2 == main(words)
    assert said in capsys.readouterr().err
    assert [] == calls()


def test_without_fly_it_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run needs none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ["deploy", "--web-app", "a", "--label", "v1"]

    assert 2 == main(words)
    assert "neither fly nor flyctl is on the PATH" in capsys.readouterr().err
    assert 0 == main([*words, "--dry-run"])
