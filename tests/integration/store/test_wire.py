"""The machine's own protocol reader, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.wire import Wire

if TYPE_CHECKING:
    from store_rig import StoreRig


@pytest.mark.parametrize("query", ["", "?db=0", "?db=5", "?x=1&db=5"])
def test_a_unix_socket_is_understood(rig: StoreRig, query: str) -> None:
    """With its database behind the question mark."""
    wire = Wire(rig.settings.redis_url + query, "{x}")
    wire.connect()
    wire.send(b"CLIENT", b"INFO")
    told = wire.receive()
    wire.close()

    assert isinstance(told, bytes)
    assert f" db={5 if '5' in query else 0} ".encode() in told


def test_a_wrong_password_is_told_without_being_shown(rig: StoreRig) -> None:
    """A server without a password refuses one, too."""
    path = rig.settings.redis_url.removeprefix("unix://")
    wire = Wire(f"unix://:CANARY@{path}", "{x}")

    with pytest.raises(StoreError) as caught:
        wire.connect()
    assert "CANARY" not in str(caught.value)
    wire.close()


def test_a_refused_password_leaves_no_connection(rig: StoreRig) -> None:
    """As `connect` promises; the next command must not run unauthenticated."""
    path = rig.settings.redis_url.removeprefix("unix://")
    wire = Wire(f"unix://:wrong@{path}", "{x}")
    with pytest.raises(StoreError) as caught:
        wire.connect()
    assert -1 == wire.fileno()
    assert isinstance(caught.value, StoreUnavailable)
