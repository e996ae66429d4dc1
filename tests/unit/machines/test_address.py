"""Where calls go and how they prove who they are."""

from __future__ import annotations

import pytest

from worker_lib.errors import ConfigError, InvalidRequest
from worker_lib.machines.address import authorization, clean_base_url, segment


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("https://api.machines.dev", "https://api.machines.dev"),
        ("https://api.machines.dev", " https://api.machines.dev/v1/ "),
        ("https://api.machines.dev", "https://api.machines.dev/v1"),
        ("http://_api.internal:4280", "http://_api.internal:4280/"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123/v1"),
        ("http://localhost:8123", "http://localhost:8123"),
        ("http://[::1]:8123", "http://[::1]:8123"),
        ("http://[fdaa::3]:4280", "http://[fdaa::3]:4280"),
        ("http://10.0.0.7", "http://10.0.0.7"),
    ],
)
def test_address_is_cut_down_to_its_host(expected: str, text: str) -> None:
    """Both forms on Fly's pages work, and plain http on a private network."""
    assert expected == clean_base_url(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("clear to the public host 'api.machines.dev'", "http://api.machines.dev"),
        ("clear to the public host '8.8.8.8'", "http://8.8.8.8"),
        ("clear to the public host 'internal.evil.com'", "http://internal.evil.com"),
        ("https://host", "api.machines.dev"),
        ("https://host", "unix:///.fly/api"),
        ("https://host", ""),
        ("password", "https://me:hunter2@api.machines.dev"),
        ("query", "https://api.machines.dev?x=1"),
        ("'/v2'", "https://api.machines.dev/v2"),
        ("Port", "https://api.machines.dev:http"),
        ("port 0", "https://api.machines.dev:0"),
        ("IPv6", "https://[::1"),
    ],
)
def test_address_that_cannot_work_is_refused(expected: str, text: str) -> None:
    """The message says what is wrong, which variable it is, and no password."""
    with pytest.raises(ConfigError) as caught:
        clean_base_url(text)

    assert expected in str(caught.value)
    assert "FLY_API_HOSTNAME" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "token"),
    [
        ("Bearer abc", "abc"),
        ("Bearer abc", " Bearer abc\n"),
        ("Bearer abc", "bearer FlyV1 abc"),
        ("FlyV1 fm2_a", "fm2_a"),
        ("FlyV1 fm1r_a,fm1a_b", "FlyV1 fm1r_a, fm1a_b"),
        ("FlyV1 fm2_a", "Bearer fm2_a"),
        ("FlyV1 fm2_a,fm2_b", "fm2_a,oauth,fm2_b"),
    ],
)
def test_token_goes_in_the_scheme_it_needs(expected: str, token: str) -> None:
    """Macaroons need Fly's own scheme; a scheme that came along is not doubled."""
    assert expected == authorization(token)


@pytest.mark.parametrize("token", ["", " ", "Bearer ", "FlyV1 ,"])
def test_empty_token_is_refused(token: str) -> None:
    """The message says how to get one."""
    with pytest.raises(ConfigError, match="fly tokens create"):
        authorization(token)


@pytest.mark.parametrize("token", ["sec\nret", "sec ret", "secrét", "sec\x00ret"])
def test_malformed_token_is_refused_without_being_shown(token: str) -> None:
    """What no header may hold is found before requests would print it."""
    with pytest.raises(ConfigError, match="copy it again") as caught:
        authorization(token)

    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "text"), [("3d8d", "3d8d"), ("a%2F..%2Fb%3F", "a/../b?")]
)
def test_segment_cannot_leave_its_place(expected: str, text: str) -> None:
    """An id from elsewhere cannot reach another path."""
    assert expected == segment(text)


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_segment_that_names_nothing_is_refused(text: str) -> None:
    """DELETE with an empty id or `..` would be a call to the app itself."""
    with pytest.raises(InvalidRequest, match="names nothing"):
        segment(text)
