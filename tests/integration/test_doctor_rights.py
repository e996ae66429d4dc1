"""What the doctor says of Redis users that may not do all that jobs need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scenes import PASSWORD, found_by_name

from worker_lib.doctor.rights import TRIALS
from worker_lib.store import scripts

if TYPE_CHECKING:
    from scenes import Scene

pytestmark = pytest.mark.processes_only("its machines ask for an image of no engine")

ALL = ("~*", "&*", "+@all")
# Rules, what is missing, and the rule that gives it; NS is the namespace.
NARROW: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no channels, as new users have": (
        ("~*", "resetchannels", "+@all"),
        *("channels {NS}*", "&{NS}*"),
    ),
    "other channels": (
        ("~*", "resetchannels", "&news:*", "+@all"),
        *("channels {NS}*", "&{NS}*"),
    ),
    "other keys": (("~other:*", "&*", "+@all"), "keys {NS}*", "~{NS}*"),
    "keys without the bare namespace": (
        ("~{NS}:*", "&*", "+@all"),
        *("keys {NS}*", "~{NS}*"),
    ),
    "no publish": ((*ALL, "-publish"), "the command publish", "+publish"),
    "no subscribe": ((*ALL, "-subscribe"), "the command subscribe", "+subscribe"),
    "no waiting": ((*ALL, "-blmove"), "the command blmove", "+blmove"),
    "no sets": ((*ALL, "-@set"), "the command sadd", "+sadd"),
    "no digests": ((*ALL, "-evalsha"), "the command evalsha", "+evalsha"),
}


@pytest.mark.parametrize("narrow", NARROW)
def test_a_missing_right_is_named_with_the_rule_that_gives_it(
    scene: Scene, narrow: str
) -> None:
    """By trying for real: such users seldom may ask what they may."""
    rules, missing, rule = NARROW[narrow]
    scene.user(*(one.replace("NS", scene.namespace) for one in rules))

    found = found_by_name(scene.examine(), "redis rights")

    assert "failed" == found.verdict
    assert missing.replace("NS", scene.namespace) in found.text
    assert "ACL SETUSER narrow" in found.remedy
    assert rule.replace("NS", scene.namespace) in found.remedy.split()


def test_the_remedies_are_enough_to_run_a_job(scene: Scene) -> None:
    """Two looks at most: a refused command hides what it was tried on."""
    scene.user("+ping")
    for _ in range(2):
        found = found_by_name(scene.examine(), "redis rights")
        told = re.search(r"ACL SETUSER narrow ([^;]*)", found.remedy)
        assert told
        scene.server.ask("ACL", "SETUSER", "narrow", *told[1].split())
    scene.emulator.set_secrets(
        "tests", {"REDIS_URL": f"unix://narrow:{PASSWORD}@{scene.server.path}"}
    )

    findings = scene.examine(probing=True)

    assert "ok" == found_by_name(findings, "redis rights").verdict
    failed = [one for one in findings if one.verdict == "failed"]
    assert "ok" == found_by_name(findings, "probe").verdict, failed


def test_a_user_with_all_rights_is_well_and_leaves_nothing_behind(scene: Scene) -> None:
    """What was tried for it is deleted again."""
    scene.user(*ALL)

    found = found_by_name(scene.examine(), "redis rights")

    assert "ok" == found.verdict
    assert [f"{{{scene.namespace}}}:doctor".encode()] == scene.server.ask("KEYS", "*")


def test_every_command_of_a_script_is_tried() -> None:
    """A new command in a script needs a harmless trial; nothing else is tried."""
    lua = Path(scripts.__file__).with_name("lua").glob("*.lua")
    calls = (
        re.findall(r"redis\.p?call\(\s*'([A-Z]+)'", one.read_text()) for one in lua
    )
    # INFO is used where it is allowed, and jobs work without it.
    used = {command for found in calls for command in found} - {"INFO"}
    direct = {"BLPOP", "BLMOVE", "EVAL", "EVALSHA", "SUBSCRIBE"}

    assert {"HSET", "ZADD", "PUBLISH", "TIME"} <= used
    assert used | direct == {command for command, *_ in TRIALS}
