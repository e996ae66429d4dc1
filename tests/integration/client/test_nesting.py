"""How fast jobs may make jobs, and what is told when they are too fast."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from worker_lib import CallRefused, context
from worker_lib.client.nesting import Nesting
from worker_lib.context import CurrentJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker_lib.settings import Settings
    from worker_lib.store.store import Store


@pytest.fixture
def in_a_job() -> Iterator[None]:
    """This process runs a job of the third generation."""
    context.enter(CurrentJob("j1", 1, "jobs:add", lambda _: None, generation=3))
    yield
    context.enter(None)


@pytest.fixture
def bounded(settings: Settings, store: Store) -> Callable[..., Nesting]:
    """Bounds of this test's namespace, as several machines have them."""

    def make(sleep: Callable[[float], None], **changes: Any) -> Nesting:
        return Nesting(store, dataclasses.replace(settings, **changes), sleep)

    return make


def made(nesting: Nesting) -> int:
    """Return how many calls are admitted until one is interrupted while it waits."""
    count = 0
    try:
        for _ in range(1_000):
            nesting.admit("m:f")
            count += 1
    except KeyboardInterrupt:
        return count
    raise AssertionError("no call had to wait")


def interrupted(_seconds: float) -> None:
    """Interrupt the wait."""
    raise KeyboardInterrupt


def awake(seconds: float) -> None:
    """Refuse to wait."""
    raise AssertionError(f"it waits for {seconds} s")


def test_calls_from_outside_have_no_bound(bounded: Callable[..., Nesting]) -> None:
    """They are of the first generation, and take no token."""
    nesting = bounded(awake, max_generations=1, nested_rate=1)

    assert [1] * 50 == [nesting.admit("m:f") for _ in range(50)]


@pytest.mark.usefixtures("in_a_job")
def test_a_call_of_a_job_is_of_the_next_generation(
    bounded: Callable[..., Nesting],
) -> None:
    """Up to the limit."""
    assert 4 == bounded(awake, max_generations=4).admit("m:f")
    with pytest.raises(CallRefused, match="m:f may not be called here"):
        bounded(awake, max_generations=3).admit("m:f")


@pytest.mark.usefixtures("in_a_job")
def test_jobs_that_make_jobs_too_fast_wait_and_say_so(
    bounded: Callable[..., Nesting],
) -> None:
    """Ten seconds' worth at once; then they wait until Redis grants more."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    nesting = bounded(sleep, nested_rate=2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert 20 <= made(nesting) < 30

    assert all(0.5 <= wait <= 1 for wait in waits)
    assert "faster than WORKER_LIB_NESTED_RATE=2 a second" in str(told[0].message)
    assert "m:f" in str(told[0].message)


@pytest.mark.usefixtures("in_a_job")
def test_all_machines_share_the_bound(bounded: Callable[..., Nesting]) -> None:
    """What one has used up, another one does not get."""
    first, second = (bounded(interrupted, nested_rate=1) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a filter of the user's changes nothing

        assert 10 <= made(first) + made(second) <= 12


@pytest.mark.usefixtures("in_a_job")
def test_calls_in_bulk_count_as_so_many(bounded: Callable[..., Nesting]) -> None:
    """Ten seconds' worth may come at once, also in one go."""
    nesting = bounded(interrupted, nested_rate=2)

    nesting.admit("m:f", 0)
    assert 4 == nesting.admit("m:f", 20)
    with pytest.warns(RuntimeWarning, match="faster"), pytest.raises(KeyboardInterrupt):
        nesting.admit("m:f", 3)
