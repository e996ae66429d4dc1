"""`worker-lib emulator` as a process of its own."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from worker_lib.cli import emulator as command
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
MAIN = """
import argparse, sys
from worker_lib.cli import emulator
parser = argparse.ArgumentParser()
emulator.add_parser(parser.add_subparsers())
args = parser.parse_args(sys.argv[1:])
sys.exit(args.run(args))
"""


def parse(*words: str) -> argparse.Namespace:
    """Parse the command's arguments."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["emulator", *words])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_tells_where(tmp_path: Path, number: int) -> None:
    """One line with the URL, secrets set, faults in force, and exit code 0."""
    secrets = tmp_path / "secrets"
    secrets.write_text("# for tests\n\nWORD=a=b\n")
    words = ["emulator", "--port", "0", "--state-dir", str(tmp_path), "--app", "one"]
    words += ["--token", "right", "--secrets-file", str(secrets)]
    faults = tmp_path / "faults"
    faults.write_text('{"seed": 1, "rules": [{"action": "list", "status": 502}]}')
    words += ["--faults", str(faults)]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"FLY_FLAPS_BASE_URL=(http://\S+)", line)
    assert found is not None
    headers = {"Authorization": "Bearer right", "Connection": "close"}
    url = f"{found[1]}/v1/apps/one/secrets"
    body = requests.get(url, headers=headers, timeout=5).json()
    machines = url.replace("secrets", "machines")
    assert 502 == requests.get(machines, headers=headers, timeout=5).status_code

    process.send_signal(number)

    assert ["WORD"] == [secret["name"] for secret in body["secrets"]]
    assert "right" not in line
    assert 0 == process.wait(10)
    assert "" == process.stdout.read()
    process.stdout.close()


def test_a_taken_port_is_told_in_a_sentence(tmp_path: Path) -> None:
    """With the address; nothing of the emulator is left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        args = parse("--port", str(port), "--state-dir", str(tmp_path))

        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            args.run(args)

    assert [] == list(tmp_path.iterdir())


def test_a_line_that_is_no_secret_is_named_by_its_number(tmp_path: Path) -> None:
    """The number, not the line: it may hold a secret."""
    secrets = tmp_path / "secrets"
    secrets.write_text("A=1\ncanary\n")
    args = parse("--secrets-file", str(secrets), "--state-dir", str(tmp_path))

    with pytest.raises(ConfigError, match="line 2") as refused:
        args.run(args)

    assert "canary" not in str(refused.value)


def test_a_missing_file_of_secrets_is_told(tmp_path: Path) -> None:
    """With its path."""
    args = parse("--secrets-file", str(tmp_path / "none"))

    with pytest.raises(ConfigError, match="none"):
        args.run(args)


def spawned(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """Run the command on a free port."""
    return subprocess.Popen(
        [
            *(sys.executable, "-c", MAIN, "emulator", "--port", "0"),
            *("--state-dir", str(tmp_path), *words),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@contextmanager
def served(tmp_path: Path, *words: str) -> Iterator[tuple[str, str, str]]:
    """Run the command; yield its line, its URL and the token in the line."""
    with spawned(tmp_path, *words) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"FLY_FLAPS_BASE_URL=(\S+) FLY_API_TOKEN=(.+)", line)
        assert found is not None
        yield line, found[1], found[2]
        process.terminate()
        assert 0 == process.wait(10)
        assert "" == process.stdout.read()


def test_a_random_token_is_printed_once_and_no_other_works(tmp_path: Path) -> None:
    """Its user copies the line; whoever else finds the port gets 401."""
    with served(tmp_path) as (line, url, token):
        codes = []
        for given in (token, "emulator", "any"):
            headers = {"Authorization": f"Bearer {given}", "Connection": "close"}
            reply = requests.get(f"{url}/v1/apps", headers=headers, timeout=5)
            codes.append(reply.status_code)

    assert [200, 401, 401] == codes
    assert 1 == line.count(token)
    assert re.fullmatch(r"[A-Za-z0-9]{32,}", token)


def test_two_emulators_have_two_tokens(tmp_path: Path) -> None:
    """It is made anew at each start."""
    with served(tmp_path / "a") as (_, _, one), served(tmp_path / "b") as (_, _, two):
        assert one != two


def test_a_token_of_the_caller_s_is_not_printed(tmp_path: Path) -> None:
    """Whoever gave it knows it."""
    with served(tmp_path, "--token", "canary") as (line, _, shown):
        assert "canary" not in line
        assert "<your --token>" == shown


def test_a_host_is_allowed_by_its_option(tmp_path: Path) -> None:
    """The command hands it on."""
    with served(tmp_path, "--token", "x", "--allow-host", "fly.test") as (_, url, _):
        headers = {"Authorization": "Bearer x", "Connection": "close"}
        codes = [
            requests.get(
                f"{url}/v1/apps", headers={**headers, "Host": host}, timeout=5
            ).status_code
            for host in ("fly.test", "evil.example")
        ]

    assert [200, 421] == codes


def test_an_address_for_others_is_warned_about(tmp_path: Path) -> None:
    """Loopback only unless asked otherwise; who asks is told what that means."""
    process = spawned(tmp_path, "--host", "0.0.0.0")
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    _, warning = process.communicate(timeout=10)

    assert "0.0.0.0" in line
    assert "run commands" in warning


@pytest.mark.parametrize("words", [["--token", ""], ["--app", "../x"]])
def test_an_option_that_cannot_work_is_refused(
    tmp_path: Path, words: list[str]
) -> None:
    """An empty token would let in nobody, an app with a slash leads elsewhere."""
    args = parse(*words, "--port", "0", "--state-dir", str(tmp_path))

    with pytest.raises(ConfigError):
        args.run(args)
