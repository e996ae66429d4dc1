"""The schema of a machine's config against Fly's own, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from worker_lib.emulator.environment import check_secrets, launch_spec
from worker_lib.emulator.fleet import Fleet
from worker_lib.emulator.machine_config import checked_config
from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.options import EmulatorOptions

from .config_fields import FIELDS

TYPES = dict(line.split() for line in FIELDS.split("\n") if line)
WRONG: dict[str, tuple[Any, ...]] = {
    "string": (1, 1.5, True, [], {}),
    "boolean": ("true", "", 0, 1, [], {}),
    "integer": ("1", "", 1.5, True, [], {}, -1),
    "number": ("1", True, [], {}),
}
# What a value beside its type has to be, and the fields that the emulator refuses.
GOOD = {
    "env_var": "A",
    "guest_path": "/a",
    "raw_value": "eA==",
    "cpu_kind": "shared",
    "memory_mb": 256,
    "size": "shared-cpu-1x",
    "schedule": "daily",
    "grace_period": "1m30s",
    "interval": "15s",
    "timeout": "2s",
}
REFUSED = ("mounts", "gpu_kind", "gpus", "image_config")
BESIDE: dict[str, dict[str, Any]] = {
    "files": {"guest_path": "/a", "raw_value": ""},
    "statics": {"guest_path": "/a", "url_prefix": "/"},
    "env_from": {"env_var": "A", "field_ref": "id"},
    "secrets": {"env_var": "A"},
    "": {"image": "x"},
}
# Forms of Go's client that the file does not tell of.
ALSO = {
    "services[].autostop": ("True",),
    "stop_config.signal": ("1",),
    "rootfs.persist": ("1",),
    "guest.persist_rootfs": ("1",),
}
TAKEN = [path for path in TYPES if not any(word in path for word in REFUSED)]


def config_with(path: str, value: Any) -> dict[str, Any]:
    """Return a config with one field, and those that it cannot be without."""
    whole: dict[str, Any] = dict(BESIDE[""])
    here, steps = whole, path.replace("[]", ".[]").split(".")
    for at, step in enumerate(steps[:-1]):
        nested: Any = dict(BESIDE.get(step, {}))
        if "[]" == step:
            nested = dict(BESIDE.get(steps[at - 1], {}))
        if "[]" == steps[at + 1]:
            nested = []
        here = _put(here, step, nested)
    _put(here, steps[-1], value)
    return whole


def _put(here: Any, step: str, value: Any) -> Any:
    if "[]" == step:
        here.append(value)
    else:
        here["A" if "*" == step else step] = value
    return value


def value_at(whole: Any, path: str) -> Any:
    """Return what stands at a path."""
    for step in path.replace("[]", ".[]").split("."):
        whole = whole[0] if "[]" == step else whole["A" if "*" == step else step]
    return whole


def good_value(path: str) -> Any:
    """Return a value that a field may have."""
    kind, name = TYPES[path], path.rpartition(".")[2]
    if "services[].autostop" == path:
        return "suspend"
    words = {"string": "x", "integer": 1, "number": 0.5, "boolean": True, "any": {}}
    return GOOD.get(name, words.get(kind, kind.partition("|")[0]))


def shown_path(path: str) -> str:
    """Return a path as refusals write it."""
    return "config." + path.replace("[]", "[0]").replace("*", "A")


def test_the_table_is_whole() -> None:
    """It has what Fly's file has: the longest path and the number of fields."""
    assert 125 == len(TYPES)
    assert "services[].ports[].http_options.replay_cache[].ttl_seconds" in TYPES


@pytest.mark.parametrize("path", TAKEN)
def test_a_field_of_its_type_is_kept(path: str) -> None:
    """It comes back under its name."""
    value = good_value(path)

    assert value == value_at(checked_config(config_with(path, value)), path)


def wrong_values(path: str) -> list[Any]:
    """Return what a field must not be."""
    kind = TYPES[path]
    wrong = (*WRONG["string"], "?") if "|" in kind else WRONG[kind]
    if path.endswith(("timeout", "interval", "grace_period")):
        wrong = (True, [], {}, "x")
    if path not in TAKEN:  # nothing at all is what those may be
        wrong = tuple(value for value in wrong if value)
    return [value for value in wrong if repr(value) not in ALSO.get(path, ())]


@pytest.mark.parametrize("path", [p for p in TYPES if "any" != TYPES[p]])
def test_a_field_of_another_type_is_refused_by_its_name(path: str) -> None:
    """400, as by Go's decoder; a word that is none of the few, too."""
    for value in wrong_values(path):
        with pytest.raises(ApiError) as refused:
            checked_config(config_with(path, value))
        assert 400 == refused.value.status
        assert shown_path(path) in str(refused.value), value


@pytest.mark.parametrize("path", [p for p in TYPES if "[]" in p])
def test_a_list_has_to_be_one(path: str) -> None:
    """Neither an object nor a string."""
    outer = path[: path.index("[]")]
    for value in ({}, {"a": 1}, "x", 1, True):
        with pytest.raises(ApiError, match=r"must be a list"):
            checked_config(config_with(outer, value))


@pytest.mark.parametrize("path", [p for p in TYPES if "." in p])
def test_an_object_has_to_be_one(path: str) -> None:
    """Neither a list nor a string."""
    outer = path[: path.rindex(".")].removesuffix(".*")
    for value in ("x", 1, False):
        with pytest.raises(ApiError, match=r"must be (an object|a list)"):
            checked_config(config_with(outer, value))


def test_fly_s_secrets_of_a_process_are_its_own_choice() -> None:
    """Under the names that it gives them; the others stay out."""
    process = {
        "cmd": ["x"],
        "secrets": [{"env_var": "KEY", "name": "STORED"}, {"env_var": "PLAIN"}],
        "env_from": [
            {"env_var": "ME", "field_ref": "id"},
            {"env_var": "WHERE", "field_ref": "region"},
        ],
    }
    config = checked_config({"image": "x", "processes": [process]})
    secrets = {"STORED": "1", "PLAIN": "2", "OTHER": "3"}
    fleet = Fleet(EmulatorOptions(apps=("demo",)))
    machine = fleet.add_machine(
        app="demo", name="", region="ams", config=config, secrets=secrets
    )

    env = launch_spec(machine, socket="").env

    assert {"KEY": "1", "PLAIN": "2", "ME": machine.id, "WHERE": "ams"} == {
        name: value for name, value in env.items() if not name.startswith("FLY_")
    }


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (
            {"processes": [{"secrets": [{"env_var": "NONE"}]}]},
            "processes[0].secrets[0]",
        ),
        (
            {"files": [{"guest_path": "/a", "secret_name": "NONE"}]},
            "files[0].secret_na",
        ),
        ({"files": [{"guest_path": "/a", "secret_name": "TEXT"}]}, "base64"),
    ],
)
def test_a_secret_that_is_not_there_is_refused(part: dict[str, Any], text: str) -> None:
    """Before a machine is made for it; its value is not told."""
    config = checked_config({"image": "x", **part})

    with pytest.raises(ApiError) as refused:
        check_secrets(config, {"TEXT": "canary!"})

    assert text in str(refused.value)
    assert "canary" not in str(refused.value)
