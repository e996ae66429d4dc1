"""Sizes of machines: what people may write, and what Fly would refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest

TABLE = {
    "shared": ((1, 2, 4, 6, 8), 256, 2048, 256),
    "performance": ((1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128), 2048, 8192, 1024),
}


def parsed(machine: str, memory_mb: int | str | None) -> Guest | str:
    """Return the size, or the text with which it is refused."""
    try:
        return Guest.parse(machine, memory_mb)
    except ConfigError as error:
        return str(error)


def refusal(machine: str, memory_mb: int | str | None = None) -> str:
    """Return the text with which a size is refused."""
    with pytest.raises(ConfigError) as caught:
        Guest.parse(machine, memory_mb)
    return str(caught.value)


def test_default_is_the_smallest_machine() -> None:
    """Nobody pays for more than they asked for."""
    assert Guest("shared", 1, 256) == Guest.parse()


@pytest.mark.parametrize(
    ("expected", "machine", "memory_mb"),
    [
        (Guest("shared", 2, 512), "shared-cpu-2x", None),
        (Guest("shared", 2, 512), "shared-2x", None),
        (Guest("shared", 2, 512), " Shared-CPU-2X ", None),
        (Guest("shared", 2, 1024), "shared-cpu-2x@1gb", None),
        (Guest("shared", 2, 1024), "shared-cpu-2x", 1024),
        (Guest("shared", 2, 1024), "shared-cpu-2x", "1024"),
        (Guest("shared", 2, 1024), "shared-cpu-2x", "1024mb"),
        (Guest("shared", 2, 1536), "shared-cpu-2x", "1.5 GB"),
        (Guest("shared", 8, 2048), "shared-cpu-8x", None),
        (Guest("performance", 4, 8192), "performance-4x", None),
        (Guest("performance", 4, 32768), "performance-4x", "32g"),
    ],
)
def test_every_spelling_gives_the_same_size(
    expected: Guest, machine: str, memory_mb: int | str | None
) -> None:
    """Fly's name, flyctl's short one and units are all understood."""
    assert expected == Guest.parse(machine, memory_mb)


@pytest.mark.parametrize(
    ("expected", "machine", "memory_mb"),
    [
        (["shared-cpu-3x", "1, 2, 4, 6, 8", "shared-cpu-2x"], "shared-cpu-3x", None),
        (["shared-cpu-99x", "nearest is shared-cpu-8x"], "shared-cpu-99x", None),
        (["performance-0x", "nearest is performance-1x"], "performance-0x", None),
        (["300", "256 to 2048", "256", "nearest is 256"], "shared-cpu-1x", 300),
        (["4096", "256 to 2048", "nearest is 2048"], "shared-cpu-1x", "4gb"),
        (["512", "2048 to 8192", "nearest is 2048"], "performance-1x", 512),
        (["-5", "nearest is 256"], "shared-cpu-1x", -5),
        (["'shared-cpu-2'", "nearest is shared-cpu-2x"], "shared-cpu-2", None),
        (["'performence-4x'", "nearest is performance-4x"], "performence-4x", None),
        (["''", "shared-cpu-<cpus>x"], "", None),
        (["'lots'", "'512mb'"], "shared-cpu-1x", "lots"),
        (["'0.3gb'", "whole number of MB"], "shared-cpu-1x", "0.3gb"),
        (["shared-cpu-1x@512mb", "256", "leave one"], "shared-cpu-1x@512mb", 256),
        (["''", "not an amount"], "shared-cpu-1x@", None),
    ],
)
def test_refusal_names_the_value_the_bound_and_the_nearest(
    expected: list[str], machine: str, memory_mb: int | str | None
) -> None:
    """A person can fix the option from the message alone."""
    text = refusal(machine, memory_mb)

    assert [] == [part for part in expected if part not in text]


def test_constructor_checks_as_parse_does() -> None:
    """There is no way to a size that Fly does not sell."""
    with pytest.raises(ConfigError, match="cpu_kind 'gpu' is unknown"):
        Guest("gpu", 1, 256)
    with pytest.raises(ConfigError, match="memory_mb 1 does not fit"):
        Guest("shared", 1, 1)


def test_config_has_the_names_of_the_api() -> None:
    """The result goes into a machine's config as it is."""
    expected = {"cpu_kind": "performance", "cpus": 2, "memory_mb": 4096}

    assert expected == Guest.parse("performance-2x").as_config()


def test_name_is_that_of_the_preset() -> None:
    """The name says the CPUs, the text the memory too."""
    guest = Guest.parse("shared-2x", "1gb")

    assert ("shared-cpu-2x", "shared-cpu-2x@1024mb") == (guest.name, str(guest))


@given(
    kind=st.sampled_from(["shared", "shared-cpu", "performance", "gpu"]),
    cpus=st.integers(0, 200),
    memory_mb=st.none() | st.integers(-1, 300) | st.integers(0, 300).map((256).__mul__),
)
def test_what_parses_is_in_the_table(
    kind: str, cpus: int, memory_mb: int | None
) -> None:
    """Either a size that Fly sells comes back, or an error that names the value."""
    guest = parsed(f"{kind}-{cpus}x", memory_mb)
    if isinstance(guest, str):
        assert str(cpus) in guest or str(memory_mb) in guest
        return

    sizes, least, most, step = TABLE[guest.cpu_kind]
    assert guest.cpus in sizes
    assert guest.memory_mb in range(cpus * least, cpus * most + 1, step)
    assert guest == Guest.parse(str(guest))


@given(machine=st.text(max_size=30), memory_mb=st.text(max_size=12))
def test_arbitrary_text_never_raises_anything_but_a_config_error(
    machine: str, memory_mb: str
) -> None:
    """Whatever a person writes, the answer is a size or a sentence."""
    assert parsed(machine, None)
    assert parsed("shared-cpu-1x", memory_mb)
