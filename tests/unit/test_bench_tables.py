"""What the benchmark says of its goals, and how it counts commands."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.bench.counting import relay
from tests.bench.report import written_into
from tests.bench.rows import ROWS, Goal, Row

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("goal", "ours", "met"),
    [
        (Goal(sign=">=", factor=2, than="huey"), 21.0, True),
        (Goal(sign=">=", factor=2, than="huey"), 19.0, False),
        (Goal(sign="<=", factor=0.5, than="huey"), 5.0, True),
        (Goal(sign="<=", factor=0.5, than="huey"), 5.1, False),
        (Goal(sign="<=", factor=16), 15.9, True),
        (Goal(sign="<=", factor=16), 16.1, False),
        (Goal(sign=">=", factor=2, than="arq"), 99.0, None),
    ],
)
def test_a_goal_is_met_by_the_median_compared_with_the_other_s(
    goal: Goal, ours: float, *, met: bool | None
) -> None:
    """Nothing is said where the other was not measured."""
    samples = {"row": {"worker_lib": [0.0, ours, 1e9], "huey": [1.0, 10.0, 99.0]}}
    row = Row(key="row", name="a row", unit="/s", goal=goal)

    assert met is row.is_met(samples)


def test_every_row_has_a_key_of_its_own() -> None:
    """Samples are found by it."""
    assert len(ROWS) == len({row.key for row in ROWS})


def test_the_table_takes_the_place_of_the_one_before() -> None:
    """What stands around the marks stays."""
    page = "a\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nb\n"

    new = written_into(page, "table")

    assert "a\n<!-- bench: begin -->\n\ntable\n<!-- bench: end -->\nb\n" == new
    assert new == written_into(new, "table")
    with pytest.raises(ValueError, match="needs the lines"):
        written_into("no marks", "table")


def test_commands_are_counted_however_they_are_cut_into_packets(tmp_path: Path) -> None:
    """Two commands in one packet are two; one in many packets is one."""
    sent = b"*2\r\n$3\r\nGET\r\n$4\r\n\r\n*1\r\n*1\r\n$4\r\nPING\r\n"
    target = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    target.bind(str(tmp_path / "target"))
    target.listen()
    with (
        target,
        relay(str(tmp_path / "relay"), str(tmp_path / "target")) as count,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
    ):
        client.connect(str(tmp_path / "relay"))
        server, _ = target.accept()
        with server:
            for n in range(len(sent)):
                client.sendall(sent[n : n + 1])
            client.sendall(sent)
            got = b""
            while len(got) < 2 * len(sent):
                got += server.recv(4096)

        assert (2 * sent, 4) == (got, count())
