"""Who may see the metrics."""

from __future__ import annotations

from typing import Any
from urllib.request import Request, urlopen

import pytest

from worker_lib.metrics import answer, serve, serving, wsgi_app

TOKEN = "a token of metrics"
HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080"}


@pytest.fixture(autouse=True)
def _canned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics without a Redis: who sees them is what this is about."""
    page = b"worker_lib_up 1.0\n"
    monkeypatch.setattr(serving, "metrics_text", lambda: page)


def asked(**environ: str) -> tuple[str, bytes, dict[str, str]]:
    """Return what the application answers to a request."""
    seen: list[Any] = []
    body = b"".join(wsgi_app()({**environ}, lambda *words: seen.append(words)))  # type: ignore[arg-type]  # as servers do
    status, headers = seen[0]
    return status, body, dict(headers)


def test_who_has_the_token_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """From anywhere, through any proxy."""
    monkeypatch.setenv("WORKER_LIB_METRICS_TOKEN", TOKEN)
    status, body, headers = asked(
        REMOTE_ADDR="192.0.2.1",
        HTTP_HOST="shop.example",
        HTTP_X_FORWARDED_FOR="192.0.2.7",
        HTTP_AUTHORIZATION=f"Bearer {TOKEN}",
    )

    assert ("200 OK", b"worker_lib_up 1.0\n") == (status, body)
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "ä"]
)
def test_others_do_not(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Not even from this computer, once there is a token."""
    monkeypatch.setenv("WORKER_LIB_METRICS_TOKEN", TOKEN)
    status, body, headers = asked(**HERE, HTTP_AUTHORIZATION=given)

    assert "401 Unauthorized" == status
    assert b"WORKER_LIB_METRICS_TOKEN" in body
    assert TOKEN.encode() not in body
    assert headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("200 OK", {}),
        ("200 OK", {"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:8080"}),
        ("403 Forbidden", {"REMOTE_ADDR": "192.0.2.1"}),
        ("403 Forbidden", {"HTTP_HOST": "rebound.example:8080"}),
        ("403 Forbidden", {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}),
        ("403 Forbidden", {"HTTP_FLY_CLIENT_IP": "192.0.2.1"}),
        (
            "403 Forbidden",
            {"HTTP_AUTHORIZATION": "Bearer "} | {"REMOTE_ADDR": "10.0.0.1"},
        ),
    ],
)
def test_without_a_token_only_this_computer_sees_them_in_the_local_stack(
    expected: str, changes: dict[str, str]
) -> None:
    """Neither a proxy on it nor a name that leads to it does."""
    assert expected == asked(**{**HERE, **changes})[0]


@pytest.mark.parametrize(
    "variables",
    [{"REDIS_URL": "redis://redis.example"}, {"FLY_APP_NAME": "shop"}],
    ids=["production", "Fly"],
)
def test_elsewhere_nobody_sees_them_without_a_token(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """A proxy of this computer may look like a program of it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert "403 Forbidden" == asked(**HERE)[0]


def test_a_view_may_let_in_whom_it_knows() -> None:
    """As the dashboard does with who may read it."""
    stranger = {"REMOTE_ADDR": "192.0.2.1"}

    assert 403 == answer(stranger).status
    assert 200 == answer(stranger, may_read=True).status


@pytest.mark.parametrize(
    ("host", "asked_by"),
    [("127.0.0.1", "127.0.0.1"), ("::", "127.0.0.1"), ("::", "[::1]")],
)
def test_a_port_of_its_own_serves_them(host: str, asked_by: str) -> None:
    """For a private network, whose Prometheus sends no token; as text 0.0.4."""
    server = serve(0, host)
    url = f"http://{asked_by}:{server.server_port}/metrics"
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    try:
        with urlopen(Request(url, headers=accept), timeout=5) as reply:
            assert b"worker_lib_up 1.0\n" == reply.read()
            assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    finally:
        server.shutdown()
        server.server_close()
