"""The command line itself: what it loads, how it ends, where it prints."""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import worker_lib
from worker_lib import cli, errors
from worker_lib.cli import doctor, exits, main
from worker_lib.cli.output import be_quiet, painted, print_json, say, tell
from worker_lib.cli.parsers import commands_of
from worker_lib.doctor.findings import ok
from worker_lib.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = list(commands_of(cli.whole_parser()))
HEAVY = {"redis", "requests", "urllib3", "cloudpickle", "flask", "asyncio", "ssl"}


def test_help_loads_no_command() -> None:
    """`--help` answers at once: no client of anything is imported."""
    code = f"""
import contextlib, sys
from worker_lib.cli import main
with contextlib.suppress(SystemExit):
    main(["--help"])
print("loaded:", *({HEAVY!r} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "loaded:" == ran.stdout.splitlines()[-1]
    for name in cli._COMMANDS:
        assert name in ran.stdout.split()


@pytest.mark.parametrize("name", cli._COMMANDS)
def test_each_command_tells_the_help_that_the_overview_has(name: str) -> None:
    """The overview repeats the help of modules that it does not load."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()

    importlib.import_module(f"worker_lib.cli.{name}").add_parser(commands)

    helps = [choice.help for choice in commands._choices_actions]
    assert [cli._COMMANDS[name]] == helps


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_help_of_a_command_loads_no_client(path: tuple[str, ...]) -> None:
    """Neither of Redis nor of anything else, and no server."""
    code = f"""
import contextlib, sys
from worker_lib.cli import main
with contextlib.suppress(SystemExit):
    main([*{path!r}, "--help"])
wanted = {HEAVY!r} | {{"worker_lib.client", "worker_lib.emulator", "worker_lib.local"}}
print("loaded:", *(wanted & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "loaded:" == ran.stdout.splitlines()[-1]


def test_what_a_terminal_has_no_letter_for_is_an_escape() -> None:
    """Where its encoding is an old one, too."""
    ran = subprocess.run(
        [sys.executable, "-m", "worker_lib", "completion", "zsh"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "ascii",
        },
        capture_output=True,
        check=False,
    )

    assert (0, b"") == (ran.returncode, ran.stderr)
    assert ran.stdout.isascii()


def test_no_command_is_slow_to_help() -> None:
    """100 ms of a processor, where a bare interpreter takes 12: the median of three."""
    words = [
        ["-c", "pass"],
        *(["-m", "worker_lib", *path, "--help"] for path, _ in COMMANDS),
    ]
    took: list[list[float]] = [[] for _ in words]
    for _ in range(3):
        for one, times in zip(words, took, strict=True):
            program = subprocess.Popen(
                [sys.executable, *one],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
            )
            _, status, used = os.wait4(program.pid, 0)
            program.returncode = os.waitstatus_to_exitcode(status)
            assert 0 == program.returncode
            times.append(used.ru_utime + used.ru_stime)
    bare, *helps = map(statistics.median, took)

    allowed = 0.1 * max(1.0, bare / 0.012)  # more where the computer is busy
    told = zip(words[1:], helps, strict=True)
    slow = [(word, one) for word, one in told if one > allowed]
    assert [] == slow, f"a bare interpreter took {bare:.3f} s"


def test_each_option_is_explained() -> None:
    """In the help, the pages and the completion alike."""
    nameless = [
        (path, action.dest)
        for path, parser in COMMANDS
        for action in parser._actions
        if not action.help
    ]

    assert [] == nameless


def test_the_emulator_offers_the_runtimes_that_it_has() -> None:
    """Its parser does not load it to ask."""
    from worker_lib.cli.emulator import _RUNTIMES
    from worker_lib.emulator.options import RUNTIMES

    assert RUNTIMES == _RUNTIMES


@pytest.mark.parametrize("name", cli._COMMANDS)
def test_each_command_has_a_help_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`worker-lib COMMAND --help` names the command and exits with 0."""
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])

    assert 0 == end.value.code
    assert f"usage: worker-lib {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["nonsense"], ["--nonsense"], ["run"]])
def test_a_wrong_call_exits_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage goes to stderr."""
    with pytest.raises(SystemExit) as end:
        main(words)

    assert 2 == end.value.code
    assert "usage: worker-lib" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.TaskNotRegistered("x"), 3),
        (errors.JobNotFound("x"), 3),
        (errors.JobLost("x"), 3),
        (errors.WaitTimeout("x"), 4),
        (errors.StoreUnavailable("x"), 5),
        (errors.Unauthorized("x"), 5),
        (errors.NoCapacity("x"), 5),
        (errors.PayloadTooLarge("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: errors.WorkerLibError, code: int) -> None:
    """Scripts can tell ends apart."""
    assert code == exits.exit_code(error)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (errors.ConfigError("set it"), 2, "worker-lib: set it\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_end_is_told_in_one_sentence(
    raised: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Never a traceback, not even after Ctrl-C."""

    def fail(args: argparse.Namespace) -> int:
        raise raised

    monkeypatch.setattr("worker_lib.cli.version._run", fail)

    assert code == main(["version"])
    assert ("", said) == capsys.readouterr()


def test_quiet_leaves_out_what_is_neither_data_nor_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command takes it; errors are told all the same."""
    assert all("--quiet" in parser.format_help() for _, parser in COMMANDS)

    def fail(args: argparse.Namespace) -> int:
        tell("chatter")
        say("data")
        raise errors.ConfigError("wrong")

    monkeypatch.setattr("worker_lib.cli.version._run", fail)
    assert 2 == main(["version", "-q"])
    be_quiet(False)

    assert ("data\n", "worker-lib: wrong\n") == capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "unknown command 'rnu': did you mean 'run'?"),
        (["docter", "--json"], "unknown command 'docter': did you mean 'doctor'?"),
        (["version", "--jsno"], "unknown option '--jsno': did you mean '--json'?"),
        (["run", "jobs:add", "1", "--otpion", "x=1"], "did you mean '--option'?"),
        (["--versoin"], "unknown option '--versoin': did you mean '--version'?"),
        (["jobs", "lsit"], "invalid choice: 'lsit'"),
        (["version", "now"], "unexpected argument 'now'"),
        ([], "name a command: dev, run, enqueue"),
    ],
)
def test_a_mistyped_word_gets_the_nearest_one(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands and options alike."""
    with pytest.raises(SystemExit) as end:
        main(words)

    assert 2 == end.value.code
    assert said in capsys.readouterr().err


def test_version_names_what_both_sides_need(capsys: pytest.CaptureFixture[str]) -> None:
    """As text, and as JSON for comparing."""
    assert 0 == main(["version"])
    text = capsys.readouterr().out
    assert 0 == main(["version", "--json"])
    told = json.loads(capsys.readouterr().out)

    assert text.startswith(f"worker_lib {worker_lib.__version__}\n")
    assert {"worker_lib", "python", "requests", "cloudpickle"} == set(told)


NASTY = "a\x1b[2Jb\x07c\x7fd\x9be\u202ef\ud800g"


@pytest.mark.parametrize("show", [say, tell])
def test_what_a_terminal_would_obey_is_shown_as_escapes(
    show: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines and tabs stay; whoever wrote the text."""
    show(f"1\t{NASTY}\n2 caf\u00e9")

    shown = "".join(capsys.readouterr())
    assert "1\ta\\x1b[2Jb\\x07c\\x7fd\\x9be\\u202ef\\ud800g\n2 caf\u00e9\n" == shown


def test_json_with_control_characters_is_still_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And holds what it held."""
    print_json({"text": NASTY + "caf\u00e9"})

    shown = capsys.readouterr().out
    assert {"text": NASTY + "caf\u00e9"} == json.loads(shown)
    assert shown == printable(shown)
    assert "caf\u00e9" in shown


def test_an_error_is_shown_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What another program wrote to Redis may be in it."""

    def fail(args: argparse.Namespace) -> int:
        raise errors.StoreError(NASTY)

    monkeypatch.setattr("worker_lib.cli.version._run", fail)
    main(["version"])

    assert "worker-lib: a\\x1b[2Jb" in capsys.readouterr().err


def test_a_finding_is_one_line_without_control_characters() -> None:
    """Redis and Fly say what is in it."""
    finding = ok("x", f"one\ntwo {NASTY}")

    assert "one\\ntwo a\\x1b[2J" in doctor._line(finding)


class Terminal(io.StringIO):
    """A stream that claims to be watched."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "shown"),
    [
        (Terminal(), "", "\033[31mx\033[0m"),
        (Terminal(), "1", "x"),
        (io.StringIO(), "", "x"),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    stream: Any, no_color: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None in a pipe, none with NO_COLOR."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")

    assert shown == painted("x", "red", stream)


def test_a_terminal_without_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an editor's shell is, which shows what it gets."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "dumb")

    assert "x" == painted("x", "red", Terminal())
