"""What is asked of a server, in one wording for first use, machines and the doctor."""

from __future__ import annotations

import pytest

from worker_lib.store.requirements import eviction_risk, missing_right

PREFIX = "{worker_lib}"


@pytest.mark.parametrize(
    "policy",
    [
        *("allkeys-lru", "allkeys-lfu", "allkeys-random"),
        *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
    ],
)
def test_every_policy_but_noeviction_is_a_risk(policy: str) -> None:
    """All that is kept has a time to live, so `volatile-` spares nothing."""
    assert f"maxmemory-policy is {policy}:" in eviction_risk(policy)
    assert "" == eviction_risk("noeviction")


@pytest.mark.parametrize(
    ("refusal", "right"),
    [
        (
            "NOPERM this user has no permissions to run the 'publish' command",
            ("the command publish", "+publish"),
        ),
        (
            "NOPERM User app has no permissions to run the 'eval' command",
            ("the command eval", "+eval"),
        ),
        (
            "ACL failure in script: User has no permissions to run the 'zadd' command",
            ("the command zadd", "+zadd"),
        ),
        (
            "ERR The user executing the script can't run this command or subcommand",
            ("a command", ""),
        ),
        (
            "NOPERM this user has no permissions to access one of the keys used",
            ("keys {worker_lib}*", "~{worker_lib}*"),
        ),
        (
            "NOPERM No permissions to access a key",
            ("keys {worker_lib}*", "~{worker_lib}*"),
        ),
        (
            "NOPERM No permissions to access the '{worker_lib}:jobs' key",
            ("keys {worker_lib}*", "~{worker_lib}*"),
        ),
        (
            "ERR The user executing the script can't access at least one of the keys",
            ("keys {worker_lib}*", "~{worker_lib}*"),
        ),
        (
            "NOPERM this user has no permissions to access one of the channels",
            ("channels {worker_lib}*", "&{worker_lib}*"),
        ),
        (
            "ACL failure in script: No permissions to access a channel",
            ("channels {worker_lib}*", "&{worker_lib}*"),
        ),
        (
            "NOPERM No permissions to access the '{worker_lib}:changed:1' channel",
            ("channels {worker_lib}*", "&{worker_lib}*"),
        ),
        (
            "ERR The user executing the script can't publish to the channel",
            ("channels {worker_lib}*", "&{worker_lib}*"),
        ),
    ],
)
def test_a_refusal_names_the_missing_right(
    refusal: str, right: tuple[str, str]
) -> None:
    """In the words of Redis 6.2, Redis 7 and Valkey, to a client or in a script."""
    assert right == missing_right(refusal, PREFIX)


@pytest.mark.parametrize(
    "refusal",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "READONLY You can't write against a read only replica.",
        "NOAUTH Authentication required.",
        "ERR Script attempted to access a non local key in a cluster node",
    ],
)
def test_other_refusals_are_not_about_rights(refusal: str) -> None:
    """Whatever they mention."""
    assert missing_right(refusal, PREFIX) is None
