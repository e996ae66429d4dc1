"""What is heard at once, and what can wait."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from worker_lib.runtime.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield a pipe with something to read."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    yield reader, writer
    os.close(reader)
    os.close(writer)


def nothing() -> None:
    """Handle what is ready."""


def test_what_can_wait_is_ready_after_the_patience(pipe: tuple[int, int]) -> None:
    """And at once without any."""
    poller = Poller()
    poller.watch(pipe[0], nothing, can_wait=True)
    began = time.monotonic()

    assert [pipe[0]] == poller.wait(5.0, patience=0.02)
    assert 0.02 <= time.monotonic() - began < 5.0
    assert [pipe[0]] == poller.wait(0.0)


def test_all_else_is_ready_at_once(pipe: tuple[int, int]) -> None:
    """However patient."""
    poller, began = Poller(), time.monotonic()
    poller.watch(pipe[0], nothing)

    assert [pipe[0]] == poller.wait(60.0, patience=30.0)
    assert time.monotonic() - began < 30.0


def test_patience_is_no_longer_than_the_wait(pipe: tuple[int, int]) -> None:
    """Something else is due then."""
    poller, began = Poller(), time.monotonic()
    poller.watch(pipe[0], nothing, can_wait=True)
    poller.wait(0.01, patience=30.0)

    assert time.monotonic() - began < 30.0


@pytest.mark.parametrize("can_wait", [False, True])
def test_what_is_forgotten_is_ready_no_more(
    pipe: tuple[int, int], *, can_wait: bool
) -> None:
    """Whichever it was; and it may be watched again."""
    poller = Poller()
    for expected in ([], [pipe[0]]):
        poller.watch(pipe[0], nothing, can_wait=can_wait)
        if not expected:
            poller.forget(pipe[0])

        assert expected == poller.wait(0.01, patience=0.001)
