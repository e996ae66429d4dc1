"""What Redis refuses for now, and what it refuses until a person acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from worker_lib.errors import StoreUnavailable
from worker_lib.store.refusals import meaning
from worker_lib.store.wire import Wire

if TYPE_CHECKING:
    from worker_lib.store.refusals import Meaning

IN_SCRIPT = "ERR Error running script (call to f_ab): @user_script:7: @user_script: 7: "
REFUSALS: list[tuple[Meaning, str]] = [
    ("passing", "UNBLOCKED force unblock from blocking operation, instance state"),
    ("passing", "UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ("passing", "READONLY You can't write against a read only replica."),
    ("passing", f"{IN_SCRIPT}-READONLY You can't write against a read only replica."),
    ("passing", "READONLY You can't write against a read only replica. script: ab"),
    ("passing", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is"),
    ("passing", "CLUSTERDOWN Hash slot not served"),
    ("passing", "LOADING Redis is loading the dataset in memory"),
    ("passing", "NOREPLICAS Not enough good replicas to write."),
    ("passing", f"{IN_SCRIPT}-NOREPLICAS Not enough good replicas to write."),
    ("passing", "TRYAGAIN Multiple keys request during rehashing of slot"),
    ("passing", "BUSY Redis is busy running a script. You can only call SCRIPT KILL"),
    ("passing", "MISCONF Errors writing to the AOF file: No space left on device"),
    ("passing", "ERR max number of clients reached"),
    ("full", "OOM command not allowed when used memory > 'maxmemory'."),
    ("full", "ERR x: command not allowed when used memory > 'maxmemory'"),
    ("login", "NOAUTH Authentication required."),
    ("login", "WRONGPASS invalid username-password pair or user is disabled."),
    ("login", "ERR Protocol error: unauthenticated multibulk length"),
    ("login", "ERR invalid password"),
    ("right", "NOPERM User app has no permissions to run the 'publish' command"),
    ("right", "NOPERM No permissions to access a channel"),
    ("right", "ACL failure in script: No permissions to access a channel"),
    ("right", "ERR The user executing the script can't publish to the channel"),
    ("command", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("command", "ERR unknown command 'FOO', with args beginning with: 'LOADING'"),
    ("command", f"{IN_SCRIPT}Script attempted to access nonexistent global 'x'"),
    ("command", "MOVED 3999 127.0.0.1:6381"),
]
REASONS = {"passing": "away", "full": "full", "login": "refused", "right": "refused"}


@pytest.mark.parametrize(("expected", "line"), REFUSALS)
def test_a_refusal_is_understood(expected: Meaning, line: str) -> None:
    """In the words of Redis 6.2, Redis 7 and Valkey."""
    assert expected == meaning(line)


@pytest.mark.parametrize(("expected", "line"), REFUSALS)
def test_a_refusal_is_told_in_our_words(expected: Meaning, line: str) -> None:
    """With a reason that programs can act upon."""
    error = Wire("unix:///none", "{x}")._refusal(line)

    assert isinstance(error, StoreUnavailable) is (expected != "command")
    assert REASONS.get(expected, "") == getattr(error, "reason", "")


def test_a_missing_right_is_told_with_the_rule_that_gives_it() -> None:
    """So that nobody has to look for it in Redis's log."""
    line = "NOPERM User app has no permissions to run the 'publish' command"

    text = str(Wire("unix:///none", "{x}")._refusal(line))
    assert "may not use the command publish" in text
    assert text.endswith("ACL SETUSER <user> +publish")
