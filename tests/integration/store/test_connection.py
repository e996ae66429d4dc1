"""The calling side's connection: what it survives, and what it says when it cannot."""

from __future__ import annotations

import os
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.changes import Wakeup
from worker_lib.store.connection import Connection
from worker_lib.store.keys import key_prefix
from worker_lib.store.scripts import Script, script
from worker_lib.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from store_rig import StoreRig


def test_forgotten_scripts_are_sent_again_from_both_sides(rig: StoreRig) -> None:
    """A Redis that restarted, or was flushed of scripts, costs one round trip more."""
    job, stored = rig.enqueue()
    machine = rig.machine(stored.slot)
    claim = machine.claim("stay")
    rig.redis.script_flush()
    assert rig.store.look(job) != [None]
    assert claim == machine.claim("stay")
    rig.redis.script_flush()
    assert claim.job is not None
    assert machine.report(claim.job, "succeeded")[0]
    assert rig.store.cancel(job) is False


def test_nobody_there_is_told_within_three_seconds(tmp_path: object) -> None:
    """The sentence has the address and what to do."""
    store = Store(Connection(f"unix://{tmp_path}/none", "{x}"), "x")
    began = time.monotonic()

    with pytest.raises(StoreUnavailable) as caught:
        store.recent(1)
    assert f"Redis at {tmp_path}/none cannot be reached" in str(caught.value)
    assert "REDIS_URL" in str(caught.value)
    assert time.monotonic() - began < 3


def test_a_silent_server_is_told_within_three_seconds() -> None:
    """It takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        store = Store(Connection(url, "{x}"), "x")
        began = time.monotonic()

        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            store.recent(1)
        assert time.monotonic() - began < 3


def test_a_wrong_password_is_told_without_being_shown(rig: StoreRig) -> None:
    """Nor is it in the connection's representation."""
    url = f"unix://:CANARY@{rig.settings.redis_url.removeprefix('unix://')}"
    connection = Connection(url, "{x}")

    with pytest.raises(StoreUnavailable) as caught:
        Store(connection, "x").recent(1)
    assert "refused our password: correct the one in REDIS_URL" in str(caught.value)
    assert "CANARY" not in str(caught.value) + repr(connection)


def test_a_script_that_fails_is_told_as_refused(rig: StoreRig) -> None:
    """A type that another program left under our key, for one."""
    job, _ = rig.enqueue()
    rig.redis.delete(rig.key("job", job))
    rig.redis.set(rig.key("job", job), "not ours")

    with pytest.raises(StoreError, match=r"refused a command: .*WRONGTYPE"):
        rig.store.look(job)
    assert rig.store.cancel("none") is None, "the connection is still good"


def test_a_connection_that_was_closed_meanwhile_is_replaced(rig: StoreRig) -> None:
    """Servers and proxies close what idles; the next call goes through."""
    job, _ = rig.enqueue()
    rig.redis.client_kill_filter(_type="normal", skipme=True)

    assert [job] == rig.store.recent(1)


def test_several_connections_that_were_closed_meanwhile_are_replaced(
    rig: StoreRig,
) -> None:
    """After a restart of Redis the next call goes through, not the one after."""
    job, _ = rig.enqueue()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(rig.store.recent, [1] * 50))
    rig.redis.client_kill_filter(_type="normal", skipme=True)

    assert [job] == rig.store.recent(1)


def test_a_waiter_whose_idle_connection_was_closed_still_waits(
    rig: StoreRig,
) -> None:
    """That a proxy closed what idled is no reason for a wait to fail."""
    machine, job = rig.running()
    machine.report(job, "succeeded", outcome=b"x")
    assert rig.store.wait(job.id, 1)
    rig.redis.client_kill_filter(_type="normal", skipme=True)

    assert rig.store.wait(job.id, 1)


def test_a_subscription_that_is_silent_is_given_up() -> None:
    """Somebody between us and Redis may have forgotten the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with Store(Connection(url, "{x}"), "x").follow() as changes:
            changes.want(["job"])

            with pytest.raises(StoreUnavailable, match="silent"):
                changes.check(0.1)


def test_a_subscription_that_answers_is_kept(rig: StoreRig) -> None:
    """Hearing of a job, or of nothing but the answer to a PING."""
    job, _ = rig.enqueue()
    wakeup = Wakeup()
    with rig.store.follow() as changes:
        assert set() == changes.want([job])
        assert [job] == until(lambda: changes.wait(wakeup, 1.0))
        for _ in range(3):
            changes.check(5.0)
        rig.store.cancel(job)
        assert [job] == until(lambda: changes.wait(wakeup, 1.0))
        assert {job} == changes.want([])
    wakeup.close()


def test_a_forked_child_makes_connections_of_its_own(rig: StoreRig) -> None:
    """Parent and child on one socket would read each other's replies."""
    job, _ = rig.enqueue()
    child = os.fork()
    if child == 0:
        good = False
        try:
            good = [job] == rig.store.recent(1)
        finally:
            os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)

    assert 0 == os.waitstatus_to_exitcode(status)
    assert [job] == rig.store.recent(1)


def begin(connection: Connection, job: str) -> Callable[[], Any]:
    """Ask for the end of a job, which nobody else may do twice."""
    return connection.begin(script("cancel"), job=job, canceller="us")


def test_what_was_begun_is_answered_whatever_else_is_asked(rig: StoreRig) -> None:
    """Nobody else reads from its connection; the order of the answers is free."""
    (first, _), (second, _) = rig.enqueue(), rig.enqueue()
    connection = Connection(rig.settings.redis_url, rig.prefix)
    begun = [begin(connection, job) for job in (first, "none", second)]

    assert -1 == connection.run(script("cancel"), job="none", canceller="us")
    assert [1, -1, 1] == [wait() for wait in reversed(begun)][::-1]


def test_what_was_begun_survives_a_redis_that_forgot_its_script(
    rig: StoreRig,
) -> None:
    """It is sent whole when its answer is taken."""
    job, _ = rig.enqueue()
    connection = Connection(rig.settings.redis_url, rig.prefix)
    assert -1 == begin(connection, "none")()
    rig.redis.script_flush()

    assert 1 == begin(connection, job)()


def test_what_could_not_be_begun_is_told_when_its_answer_is_wanted(
    tmp_path: object,
) -> None:
    """As one failure, which names the server."""
    wait = begin(Connection(f"unix://{tmp_path}/none", "{x}"), "job")

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        wait()


def test_a_forked_child_leaves_its_parent_s_answer_alone(rig: StoreRig) -> None:
    """It asks once more, over a connection of its own."""
    job, _ = rig.enqueue()
    connection = Connection(rig.settings.redis_url, rig.prefix)
    wait = begin(connection, job)
    pid = os.fork()
    if pid == 0:
        connection.run(script("cancel"), job="none", canceller="us")
        os._exit(wait() != 1)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert 1 == wait()


def test_a_full_server_is_told_with_what_helps(rig: StoreRig) -> None:
    """What was stored before is kept, and can be read."""
    full = Script("full", b"", b"return redis.error_reply('OOM command not allowed')")
    connection = Connection(rig.settings.redis_url, "{x}")

    with pytest.raises(StoreUnavailable, match=r"is full .* shorten result_ttl"):
        connection.run(full)
    connection.close()


def test_namespaces_do_not_see_each_other(rig: StoreRig) -> None:
    """Two apps may share a Redis."""
    job, stored = rig.enqueue()
    other_name = f"other-{secrets.token_hex(6)}"
    other = Store(Connection(rig.settings.redis_url, key_prefix(other_name)), "o")

    assert [None] == other.look(job)
    assert [] == other.recent(5)
    assert other.cancel(job) is None
    assert {stored.slot} == other.strays.unknown([stored.slot])[1]
    other.close()


def test_every_script_is_one_file_named_as_its_verb() -> None:
    """Read once, whole, with what it shares in front."""
    assert script("claim") is script("claim")
    assert b"claim_next" in script("claim").source
    assert b"local function finish" in script("look").source
    assert 40 == len(script("look").sha)


def test_the_kernel_sees_to_a_silent_connection() -> None:
    """Who waits for hours sends nothing, and still learns that its server is gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        made = Connection(f"redis://127.0.0.1:{port}", "{x}")
        with made.own() as wire:
            assert wire._socket is not None
            options = [
                wire._socket.getsockopt(*option)
                for option in (
                    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                )
            ]

    assert [1, 60] == options
