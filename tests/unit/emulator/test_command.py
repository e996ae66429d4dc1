"""`worker-lib emulator` as a process of its own."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from worker_lib.cli import emulator as command
from worker_lib.errors import ConfigError

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
