"""A user of Redis who may not do all that jobs need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import jobs
import pytest
from scripts import ROOT

from worker_lib import StoreError
from worker_lib.dashboard.pages.job import FEED
from worker_lib.store.keys import key_prefix
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

PASSWORD = "a-password"
RIGHTS = ("on", f">{PASSWORD}", "~*", "&*", "+@all")


@pytest.fixture
def url(own_server: OwnServer) -> str:
    """The server's, for a user whose rights a test takes away."""
    own_server.ask("ACL", "SETUSER", "app", *RIGHTS)
    return own_server.url.replace("unix://", f"unix://app:{PASSWORD}@")


@pytest.fixture
def client(
    make_emulator: Callable[..., Emulator], make_client: Callable[..., Client], url: str
) -> Client:
    """A client, and machines, that are this user."""
    return make_client(make_emulator(redis_url=url), redis_url=url)


@pytest.mark.parametrize(
    ("taken", "rule"),
    [
        ("resetchannels", "&{prefix}*"),
        ("-publish", "+publish"),
        ("-zadd", "+zadd"),
        ("-hset", "+hset"),
        ("-zpopmin", "+zpopmin"),
    ],
)
def test_the_first_call_names_the_right_that_is_missing(
    client: Client, own_server: OwnServer, taken: str, rule: str
) -> None:
    """And the rule that gives it; nothing is stored, and nothing half done."""
    own_server.ask("ACL", "SETUSER", "app", taken)
    wanted = rule.format(prefix=key_prefix(client.settings.namespace))
    with pytest.raises(StoreError, match=re.escape(f"<user> {wanted}")):
        jobs.add.delay(1, 2)
    assert [] == own_server.ask("KEYS", "*:job:*")
    assert 0 == own_server.ask("EXISTS", f"{client.store._prefix}:probe")

    own_server.ask("ACL", "SETUSER", "app", *RIGHTS)
    assert 3 == jobs.add.delay(1, 2).result(timeout=20)


def test_keys_of_others_only(client: Client, own_server: OwnServer) -> None:
    """The namespace is not among the keys of this user."""
    own_server.ask("ACL", "SETUSER", "app", "resetkeys", "~other:*")
    prefix = re.escape(key_prefix(client.settings.namespace))
    with pytest.raises(StoreError, match=f"<user> ~{prefix}"):
        jobs.add.delay(1, 2)


def test_a_right_to_the_channels_that_is_lost_later_stops_no_job(
    client: Client, own_server: OwnServer
) -> None:
    """Claims, reports and cancels go on; only who watches hears of nothing."""
    assert 3 == jobs.add.delay(1, 2).result(timeout=20)
    own_server.ask("ACL", "SETUSER", "app", "resetchannels")

    assert 7 == jobs.add.delay(3, 4).result(timeout=20)
    late = jobs.add.options(delay="1h").delay(1, 2)
    with pytest.raises(StoreError, match=r"channels \{.*\}\*"):
        list(late.logs(follow=True))
    assert late.cancel()
    assert "cancelled" == late.status
    # Its page asks instead of listening, and shows it all the same.
    talks = jobs.says.delay("hello")
    told = [*FEED.follow({"id": talks.id, "last_event_id": ""})]
    assert ["hello\n", ""] == [event.data for event in told if event]


def test_every_command_of_the_scripts_is_tried() -> None:
    """One that is forgotten could stop a script half-way."""
    folder = ROOT / "worker_lib" / "store" / "lua"
    text = "".join(path.read_text() for path in folder.glob("*.lua"))
    used = set(re.findall(r"redis\.p?call\('([A-Z]+)'", text))
    tried = set(re.findall(r"\{'([A-Z]+)'", script("enqueue").source.decode()))

    assert used - {"INFO", "PUBLISH", "TIME"} == tried
