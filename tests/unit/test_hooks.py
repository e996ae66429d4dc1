"""The registry of hooks: order, mistakes of hooks, what may travel."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from worker_lib import ConfigError, hooks
from worker_lib.client import client as client_module
from worker_lib.client.client import default_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _scoped() -> Iterator[None]:
    with hooks.scoped():
        yield


def event() -> hooks.Event:
    """Return an event of some job."""
    return hooks.Event("caller", "j1", task="mod:fn")


def recorder(seen: list[str], name: str) -> Callable[[hooks.Event], None]:
    """Return a function that notes its name."""
    return lambda _event: seen.append(name)


@pytest.mark.parametrize(
    ("hook", "order"),
    [
        (hooks.before_enqueue, "ab"),
        (hooks.after_enqueue, "ba"),
        (hooks.before_run, "ab"),
        (hooks.after_run, "ba"),
        (hooks.on_retry, "ab"),
        (hooks.on_end, "ab"),
        (hooks.on_lost, "ab"),
    ],
)
def test_what_comes_after_is_called_in_reverse(hook: hooks.Hook, order: str) -> None:
    """So that two integrations nest."""
    seen: list[str] = []
    hook(recorder(seen, "a"))
    hook(recorder(seen, "b"))

    hook.fire(event())

    assert order == "".join(seen)


def test_a_decorated_function_stays_itself_and_is_called_once() -> None:
    """Registered twice it is there once."""
    seen: list[str] = []

    @hooks.before_run
    @hooks.before_run
    def note(event: hooks.Event) -> None:
        seen.append(event.name)

    note(event())
    hooks.before_run.fire(event())

    assert ["", "before_run"] == seen


def test_a_function_can_be_taken_out_again() -> None:
    """Of every hook at once."""
    seen: list[str] = []
    note = recorder(seen, "x")
    hooks.before_run(note)
    hooks.on_end(note)

    hooks.unregister(note)
    hooks.unregister(note)

    assert not hooks.before_run
    assert not hooks.on_end


def test_what_a_test_registered_is_gone_after_its_scope() -> None:
    """And what it took out is back."""
    kept = recorder([], "kept")
    hooks.on_end(kept)
    with hooks.scoped():
        hooks.unregister(kept)
        hooks.on_lost(recorder([], "x"))

    assert hooks.on_end
    assert not hooks.on_lost


@pytest.mark.parametrize("error", [ValueError("CANARY"), SystemExit("CANARY")])
def test_a_hook_that_raises_is_logged_and_the_rest_are_called(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """With its name, the class and the line; the message may hold anything."""
    seen: list[str] = []

    @hooks.before_enqueue
    def bad(_event: hooks.Event) -> None:
        raise error

    hooks.before_enqueue(recorder(seen, "next"))
    with caplog.at_level(logging.WARNING, "worker_lib"):
        hooks.before_enqueue.fire(event())

    assert ["next"] == seen
    (record,) = caplog.records
    told = record.__dict__["error"]
    assert ("hook_failed", "j1", "mod:fn") == (
        record.message,
        record.__dict__["job_id"],
        record.__dict__["task"],
    )
    assert "before_enqueue hook test_hooks." in told.replace("unit.", "")
    assert f"bad raised {type(error).__name__} at {__file__}:" in told
    assert "CANARY" not in str(record.__dict__ | {"exc_info": None})


def test_control_c_ends_a_call_although_a_hook_runs() -> None:
    """On the caller's side it is the person's, not the hook's."""

    @hooks.before_enqueue
    def slow(_event: hooks.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hooks.before_enqueue.fire(event())


async def _coroutine(_event: hooks.Event) -> None: ...


@pytest.mark.parametrize("thing", [_coroutine, None, "name"])
def test_only_plain_functions_are_registered(thing: object) -> None:
    """A coroutine would never be awaited."""
    with pytest.raises(TypeError, match=r"hooks.on_end takes a plain function"):
        hooks.on_end(thing)  # type: ignore[type-var]  # that is the point


@pytest.mark.parametrize(
    ("headers", "expected", "logged"),
    [
        ({}, None, 0),
        ({"a": "b"}, {"a": "b"}, 0),
        ({"a": "b", "c": 1, 2: "d"}, {"a": "b"}, 1),
        ({"a": "b" * 8192}, None, 1),
        ("text", None, 1),
    ],
)
def test_headers_are_text_of_some_length(
    headers: object,
    expected: object,
    logged: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is not is left out, and the call is made all the same."""
    told = event()
    told.headers = headers  # type: ignore[assignment]  # that is the point

    with caplog.at_level(logging.WARNING, "worker_lib"):
        assert expected == hooks.checked_headers(told)
    assert logged == len(caplog.records)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_part", "ModuleNotFoundError: No module named 'no_such_part'"),
        ("raise ValueError('CANARY')", "ValueError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_module_of_hooks_that_fails_is_told_at_the_first_call(
    code: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is stored or started, with the variable and the remedy."""
    monkeypatch.setattr(client_module, "_default", None)
    monkeypatch.setenv("WORKER_LIB_HOOKS", "failing_hooks")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_hooks.py").write_text(code)

    told = f"WORKER_LIB_HOOKS=failing_hooks: .*\\({reason}\\): correct .* or unset it"
    with pytest.raises(ConfigError, match=told):
        default_client()
