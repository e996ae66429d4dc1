"""The Docker runtime where no engine is needed."""

from __future__ import annotations

import gc
import io
import os
import socket
import tarfile
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from worker_lib.emulator import DockerOptions, Emulator, EmulatorOptions
from worker_lib.emulator.runtimes import GuestFile, LaunchSpec
from worker_lib.emulator.runtimes.container_options import container_options, packed
from worker_lib.emulator.runtimes.orphans import Owner
from worker_lib.errors import ConfigError

SPEC = LaunchSpec(
    machine_id="0123456789abcd",
    app="demo",
    image="x",
    entrypoint=(),
    cmd=(),
    user="",
    env={"A": "1"},
    files=(),
    socket="/run/socket",
    metadata={"team": "x"},
    cpus=4,
    memory_mb=512,
)
KEY_FILE = GuestFile(path="etc/a.txt", content=b"plain", mode=0o600)


def test_an_engine_that_does_not_answer_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do, and nothing of the emulator is left."""
    pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    emulator = Emulator(EmulatorOptions(runtime="docker", state_dir=tmp_path))

    with pytest.raises(ConfigError, match="no Docker engine answers: start it"):
        emulator.start()

    assert "" == emulator.url


def test_an_engine_that_refuses_leaves_no_socket_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's SDK would: a program that turns warnings into errors would end."""
    pytest.importorskip("docker")
    path = tmp_path / "engine"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))  # and nobody listens
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    emulator = Emulator(EmulatorOptions(runtime="docker", state_dir=tmp_path))

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(ConfigError, match="no Docker engine answers: start it"):
            emulator.start()
        gc.collect()

    assert [] == told


def test_an_unknown_runtime_is_refused() -> None:
    """With the names of the known ones."""
    with pytest.raises(ConfigError, match="'podman'; it must be process or docker"):
        EmulatorOptions(runtime="podman")  # type: ignore[arg-type]  # on purpose


def test_the_present_process_is_not_dead() -> None:
    """Nor what is read back of it."""
    here = Owner.current()

    assert here == Owner.parse(str(here))
    assert not here.is_dead()


@pytest.mark.parametrize(
    ("change", "is_dead"),
    [
        ({"start_ticks": 1}, True),
        ({"pid": 999_999_999}, True),
        ({"boot": "another"}, True),
        ({"host": "another", "pid": 999_999_999}, False),
        ({"namespace": "another", "pid": 999_999_999}, False),
    ],
)
def test_only_what_can_be_seen_from_here_is_dead(
    change: dict[str, str | int], is_dead: bool
) -> None:
    """Another host's or namespace's processes are given the benefit of the doubt."""
    owner = replace(Owner.current(), **change)  # type: ignore[arg-type]  # by name

    assert is_dead == owner.is_dead()


@pytest.mark.parametrize("text", ["", "x", "a/b/c/d/e", "a/b/c/1"])
def test_what_is_no_owner_is_none(text: str) -> None:
    """Labels can be anybody's."""
    assert Owner.parse(text) is None


def test_an_owner_names_this_process() -> None:
    """By its number."""
    assert os.getpid() == Owner.current().pid


def test_a_guest_s_limits_are_a_container_s() -> None:
    """No swap, and no more CPUs than there are."""
    wanted = container_options(SPEC, DockerOptions(), cpus=2)

    assert ("512m", "512m") == (wanted["mem_limit"], wanted["memswap_limit"])
    assert 2_000_000_000 == wanted["nano_cpus"]


def test_a_container_says_whose_it_is() -> None:
    """By labels; metadata cannot take their place."""
    spec = replace(SPEC, metadata={"team": "x", "worker_lib.machine": "forged"})

    labels = container_options(spec, DockerOptions(), cpus=2)["labels"]

    assert "0123456789abcd" == labels["worker_lib.machine"]
    assert "demo" == labels["worker_lib.app"]
    assert str(Owner.current()) == labels["worker_lib.emulator"]
    assert "x" == labels["metadata.team"]


def test_what_a_config_leaves_out_is_the_image_s() -> None:
    """None leaves command and user to the image, an empty list would not."""
    wanted = container_options(SPEC, DockerOptions(), cpus=2)

    assert [None] * 3 == [wanted[n] for n in ("entrypoint", "command", "user")]


@pytest.mark.parametrize(
    ("user", "expected"), [("", "1000:1000"), ("postgres", "postgres")]
)
def test_a_config_s_user_beats_that_of_the_options(user: str, expected: str) -> None:
    """The options' is for configs that name none."""
    wanted = container_options(
        replace(SPEC, user=user), DockerOptions(user="1000:1000"), cpus=2
    )

    assert expected == wanted["user"]


def test_folders_are_at_their_paths_and_the_socket_at_fly_s() -> None:
    """All of them to be read only."""
    options = DockerOptions(mounts=(Path("/run/redis"),))

    expected = {
        "/run/redis": {"bind": "/run/redis", "mode": "ro"},
        "/run/socket": {"bind": "/.fly/api", "mode": "ro"},
    }
    assert expected == container_options(SPEC, options, cpus=2)["volumes"]


@pytest.mark.parametrize(("files", "expected"), [((), True), ((KEY_FILE,), False)])
def test_a_confined_container_can_do_what_a_good_image_needs(
    files: tuple[GuestFile, ...], expected: bool
) -> None:
    """The engine puts no file into a root that is read only."""
    spec = replace(SPEC, files=files)

    wanted = container_options(spec, DockerOptions(confined=True), cpus=2)

    assert expected == wanted["read_only"]
    assert ["ALL"] == wanted["cap_drop"]
    assert ["no-new-privileges"] == wanted["security_opt"]
    assert {"/tmp": "rw,exec,nosuid,nodev,mode=1777,size=256m"} == wanted["tmpfs"]


def test_a_confined_container_keeps_a_tmp_that_is_bound() -> None:
    """The engine takes one mount for each place."""
    options = DockerOptions(confined=True, writable=(Path("/tmp"),))

    assert {} == container_options(SPEC, options, cpus=2)["tmpfs"]


def test_a_container_is_as_the_engine_makes_it_by_default() -> None:
    """As Fly's machines are, for clients that others wrote."""
    wanted = container_options(SPEC, DockerOptions(), cpus=2)

    assert not {"read_only", "cap_drop", "security_opt", "tmpfs"} & set(wanted)


def test_files_are_packed_with_their_modes() -> None:
    """As paths below the root."""
    with tarfile.open(fileobj=io.BytesIO(packed([KEY_FILE]))) as archive:
        (entry,) = archive.getmembers()
        content = archive.extractfile(entry)

    assert ("etc/a.txt", 0o600) == (entry.name, entry.mode)
    assert content is not None
    assert b"plain" == content.read()
