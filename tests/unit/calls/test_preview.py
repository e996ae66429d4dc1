"""Arguments and results as text for people, without secrets, without running code."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from worker_lib.calls import codec
from worker_lib.calls.codec import Codec
from worker_lib.calls.preview import HIDDEN, call_preview, result_preview
from worker_lib.errors import SignatureMismatch


class Trap:
    """An object whose code must not run."""

    def __repr__(self) -> str:
        raise AssertionError

    __str__ = __len__ = __iter__ = __repr__


class TrapText(str):
    """A text of a class of its own."""

    __slots__ = ()

    def startswith(self, *args: Any) -> bool:
        raise AssertionError


def shown(*args: Any, names: tuple[str, ...] = (), **kwargs: Any) -> str:
    """Return the preview of a call."""
    return call_preview(names, args, kwargs).decode()


def test_arguments_are_shown_by_their_names() -> None:
    """Those that have none, by their place."""
    assert "user_id=7, month='2026-11', 3" == shown(
        7, "2026-11", 3, names=("user_id", "month")
    )
    assert "x=1, pages=[1, 2]" == shown(1, names=("x",), pages=[1, 2])
    assert "" == shown()


@pytest.mark.parametrize(
    "name",
    ["password", "api_key", "API_KEY", "userPassword", "auth_token", "client_secret"],
)
def test_what_a_name_calls_secret_is_hidden(name: str) -> None:
    """As a positional argument, by name, and in a dict."""
    assert f"{name}={HIDDEN}" == shown("hunter2", names=(name,))
    assert f"{name}={HIDDEN}" == call_preview((), (), {name: "hunter2"}).decode()
    assert "hunter2" not in shown({"deep": [{name: "hunter2"}]})


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-1234567890",
        "FlyV1 fm2_lJPEC",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.e30.x",
        "redis://default:hunter2@host:6379/0",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_text_that_looks_like_a_secret_is_hidden(text: str) -> None:
    """Whatever it is called, wherever it is."""
    assert f"x={HIDDEN}" == shown(text, names=("x",))
    assert text not in result_preview([{"x": (text,)}]).decode()


def test_no_code_of_a_value_is_run() -> None:
    """Of other classes, only the class is shown."""
    assert "<Trap>" == result_preview(Trap()).decode()
    assert "<TrapText>" == result_preview(TrapText("x")).decode()
    assert "[<Trap>, {'a': <Trap>}]" == result_preview([Trap(), {"a": Trap()}]).decode()


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        b"x" * 10_000_000,
        list(range(1_000_000)),
        10**100_000,
        {str(n): n for n in range(100_000)},
        ["é" * 80] * 100,
        "\ud800" * 100,
    ],
    ids=["text", "bytes", "list", "number", "dict", "wide", "surrogates"],
)
def test_a_large_value_has_a_short_preview(value: Any) -> None:
    """That is UTF-8."""
    assert len(result_preview(value)) <= 500
    assert result_preview(value).decode()


def test_what_contains_itself_has_an_end() -> None:
    """At some depth it is cut."""
    loop: list[Any] = []
    loop.append(loop)

    assert "[[[[…]]]]" == result_preview(loop).decode()


class TestSealed:
    """A preview in an envelope."""

    CODEC = Codec(secrets.token_hex(16), "ns", max_bytes=1_000_000)
    PLACE: dict[str, Any] = {"kind": codec.CALL, "job_id": "j", "fence": "f"}  # noqa: RUF012

    @pytest.mark.parametrize("body", [b"", b"small", b"large" * 10_000])
    @pytest.mark.parametrize("preview", [None, b"", b"x=1", "é".encode() * 200])
    def test_comes_back_with_the_body(self, body: bytes, preview: bytes | None) -> None:
        """Whether that is compressed or not, and apart from it."""
        envelope = self.CODEC.seal(body, preview=preview, **self.PLACE)

        assert (body, preview) == self.CODEC.opened(envelope, **self.PLACE)
        assert body == self.CODEC.open(envelope, **self.PLACE)
        assert preview == self.CODEC.preview(envelope, **self.PLACE)

    def test_is_signed(self) -> None:
        """Nobody can change it, or move it to another job."""
        envelope = self.CODEC.seal(b"body", preview=b"x=1", **self.PLACE)

        with pytest.raises(SignatureMismatch):
            self.CODEC.preview(envelope.replace(b"x=1", b"x=2"), **self.PLACE)
        with pytest.raises(SignatureMismatch):
            self.CODEC.preview(envelope, **{**self.PLACE, "job_id": "other"})

    def test_goes_along_with_a_call_that_is_run_again(self) -> None:
        """As the call does."""
        envelope = self.CODEC.seal(b"body", preview=b"x=1", **self.PLACE)
        again = self.CODEC.reseal(envelope, new_job_id="k", **self.PLACE)

        assert b"x=1" == self.CODEC.preview(again, **{**self.PLACE, "job_id": "k"})
