"""Completion, asked of real shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
WORDS = [
    ("worker-lib qu", {"queues"}),
    ("worker-lib queues pu", {"purge"}),
    ("worker-lib queues ", {"list", "pause", "resume", "purge"}),
    ("worker-lib jobs list --st", {"--status"}),
    ("worker-lib jobs list --limit 5 --js", {"--json"}),
    ("worker-lib emulator --runtime ", {"process", "docker"}),
    ("worker-lib jobs retry --all --status s", {"scheduled", "succeeded"}),
    ("worker-lib completion ", {"bash", "zsh", "fish"}),
]
# What each shell is told to do with a line, after its script was loaded.
BASH = """
source <(worker-lib completion bash)
read -r -a COMP_WORDS <<< "$LINE"
[[ $LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_worker_lib
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'worker-lib completion fish | source; complete -C "$LINE"'


def shell_of(name: str) -> str:
    """Return the path of a shell; without it there is nothing to test."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


def environ(tmp_path: Path, line: str = "") -> dict[str, str]:
    """Return the environment of a shell that knows our command, and no file of ours."""
    path = f"{BIN}:{os.environ['PATH']}"
    home = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "TERM": "dumb"}
    return {"PATH": path, "PYTHONPATH": str(ROOT), "LINE": line, **home}


@pytest.mark.parametrize(("line", "offered"), WORDS)
@pytest.mark.parametrize(("name", "code"), [("bash", BASH), ("fish", FISH)])
def test_a_shell_offers_the_words_that_fit(
    name: str, code: str, line: str, offered: set[str], tmp_path: Path
) -> None:
    """Commands, verbs, options and their values; all that fit and no others."""
    ran = subprocess.run(
        [shell_of(name), "-c", code],
        env=environ(tmp_path, line),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    shown = {one.partition("\t")[0] for one in ran.stdout.split("\n") if one}
    assert (offered, "") == (shown, ran.stderr)


TYPED = [
    ("worker-lib que\t", "worker-lib queues "),
    ("worker-lib queues pu\t", "worker-lib queues purge "),
    ("worker-lib jobs list --sta\t", "worker-lib jobs list --status "),
    ("worker-lib emulator --runtime d\t", "worker-lib emulator --runtime docker "),
]


@pytest.mark.parametrize(("typed", "shown"), TYPED)
@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_tab_key_completes_what_was_typed(
    name: str, typed: str, shown: str, tmp_path: Path
) -> None:
    """In an interactive shell that loaded the script as its start-up file does."""
    loading = "autoload -U compinit; compinit -u; " if name == "zsh" else ""
    load = f'{loading}eval "$(worker-lib completion {name})"; echo rea""dy'
    options = ["-f"] if name == "zsh" else ["--norc", "--noprofile"]
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [shell_of(name), *options, "-i"],
        env=environ(tmp_path),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=tmp_path,
    )
    os.close(theirs)
    try:
        os.write(ours, f"{load}\n".encode())
        read_until(ours, "ready\r")
        os.write(ours, typed.encode())
        read_until(ours, shown)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def read_until(terminal: int, wanted: str) -> None:
    """Read what a shell shows until it has shown this."""
    text, deadline = "", time.monotonic() + 20
    while wanted not in text:
        left = deadline - time.monotonic()
        assert left > 0, f"not shown: {wanted!r}; shown: {text!r}"
        if select.select([terminal], [], [], left)[0]:
            text += os.read(terminal, 65536).decode("utf-8", "replace")
