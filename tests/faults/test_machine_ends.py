"""A machine that cannot work, or must not go on: it ends in time, and says why."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from machine import Program
from servers import locked_server
from waiting import until

from worker_lib import MachineError
from worker_lib.fly import exits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger import Ledger
    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

CANARY = "CANARY-in-the-password"


@pytest.fixture
def locked() -> Iterator[Path]:
    """The socket of a server that wants a password."""
    with locked_server() as path:
        yield path


def test_a_stop_ends_a_machine_that_has_never_reached_redis(tmp_path: Path) -> None:
    """It has nothing to hand back, so there is nothing to wait for."""
    program = Program(f"unix://{tmp_path}/none")
    program.says("redis is away")
    began = time.monotonic()
    program.process.send_signal(signal.SIGTERM)

    assert 0 == program.ended()[0]
    assert time.monotonic() - began < 1


def test_a_stop_ends_a_machine_that_connects() -> None:
    """A connection that takes for ever does not hold it up either."""
    with socket.socket() as hole, socket.socket() as first:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        first.connect(hole.getsockname())  # its queue is full now
        port = hole.getsockname()[1]
        program = Program(f"redis://127.0.0.1:{port}")
        until(lambda: _is_connecting(port))
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)

        assert 0 == program.ended()[0]
        assert time.monotonic() - began < 1


def _is_connecting(port: int) -> bool:
    lines = Path("/proc/net/tcp").read_text().splitlines()
    # Address and state of the other side; 02 is SYN_SENT.
    return any(f":{port:04X} 02 " in line for line in lines)


def test_a_stop_ends_a_machine_whose_first_question_is_not_answered() -> None:
    """Redis may have given it a job: it asks once more, and no longer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = Program(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        asked, _ = silent.accept()
        assert asked.recv(100).startswith(b"*")
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)

        assert 0 == program.ended()[0]
        assert time.monotonic() - began < 4
        asked.close()


@pytest.mark.parametrize("login", [f":{CANARY}@", "", f"nobody:{CANARY}@"])
def test_a_refused_login_ends_a_machine_at_once(locked: Path, login: str) -> None:
    """It stays refused until a person acts, so there is nothing to wait for."""
    program = Program(f"unix://{login}{locked}")
    code, err = program.ended()

    assert exits.REDIS_REFUSED == code
    assert "Redis refused our password: correct the one in REDIS_URL" in err
    assert CANARY not in err
    assert "Traceback" not in err
    assert time.monotonic() - program.began < 5


def test_a_missing_right_ends_a_machine_at_once(own_server: OwnServer) -> None:
    """With the rule that gives it."""
    rules = ("on", f">{CANARY}", "~*", "&*", "+@all", "-eval", "-evalsha")
    own_server.ask("ACL", "SETUSER", "app", *rules)
    code, err = Program(f"unix://app:{CANARY}@{own_server.path}").ended()

    assert exits.REDIS_REFUSED == code
    assert "ACL SETUSER <user> +eval" in err
    assert CANARY not in err


def test_a_database_that_is_not_there_ends_a_machine_at_once(
    own_server: OwnServer,
) -> None:
    """SELECT is part of the login."""
    code, err = Program(f"{own_server.url}?db=99").ended()

    assert exits.REDIS_REFUSED == code
    assert "out of range" in err


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"REDIS_URL": f"redis://:{CANARY}@host:port"}, "REDIS_URL cannot be read"),
        ({"REDIS_URL": f"https://:{CANARY}@host"}, "REDIS_URL is no Redis URL"),
        ({"WORKER_LIB_LEASE_TTL": "soon"}, "WORKER_LIB_LEASE_TTL='soon' is not a"),
        ({"WORKER_LIB_MAX_LIFETIME": "0"}, "WORKER_LIB_MAX_LIFETIME='0': it must be"),
        ({"WORKER_LIB_MAX_PAYLOAD": "8m"}, "WORKER_LIB_MAX_PAYLOAD='8m': use a whole"),
        ({"WORKER_LIB_SECRET": "CANARY"}, "WORKER_LIB_SECRET is 6 bytes long"),
        ({"WORKER_LIB_SLOT": ""}, "WORKER_LIB_SLOT is not set"),
    ],
)
def test_a_wrong_setting_ends_a_machine_at_once(
    variables: dict[str, str], told: str
) -> None:
    """Named with what is right; all of them, not the first."""
    environ = {"WORKER_LIB_NAMESPACE": "no blanks", **variables}
    code, err = Program(environ.pop("REDIS_URL", "unix:///none"), **environ).ended()

    assert exits.BAD_SETTINGS == code
    if "cannot be read" not in told:
        assert "WORKER_LIB_NAMESPACE='no blanks'" in err
        assert told in err
    assert "CANARY" not in err
    assert "Traceback" not in err


def test_an_unreadable_url_is_told_when_all_else_is_right() -> None:
    """It is read where the connection is made."""
    code, err = Program(f"redis://:{CANARY}@host:port").ended()

    assert exits.BAD_SETTINGS == code
    assert "REDIS_URL cannot be read" in err
    assert CANARY not in err


def test_settings_are_read_as_everywhere(redis_url: str) -> None:
    """`10s` is a duration here too; with nothing to do, it ends well."""
    durations = {"WORKER_LIB_LEASE_TTL": "10s", "WORKER_LIB_MAX_LIFETIME": "6h"}

    assert (0, "") == Program(redis_url, **durations).ended()


def test_a_machine_without_a_way_to_redis_ends_after_a_while(tmp_path: Path) -> None:
    """A minute, as a rule: it costs money, and another is started when Redis is up."""
    before = "import worker_lib.runtime.outage as o; o._FIRST_CONTACT = 1.0"
    code, err = Program(f"unix://{tmp_path}/none", before=before).ended()

    assert exits.REDIS_UNREACHABLE == code
    assert "worker_lib: Redis cannot be reached" in err
    assert 1 == err.count("redis is away"), "said once"


class FakeApi:
    """Takes one request on a unix socket."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.heard = b""
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while b'"}' not in self.heard:
                self.heard += connection.recv(4096)
            connection.sendall(self._answer)

    def close(self) -> None:
        self._thread.join(5)
        self._listener.close()


@pytest.mark.parametrize("status", [b"204 No Content", b"403 Forbidden"])
def test_last_words_are_left_in_the_machines_own_metadata(
    tmp_path: Path, status: bytes
) -> None:
    """Short and without secrets; if Fly refuses them, the exit code still tells."""
    api = FakeApi(tmp_path / "api", b"HTTP/1.1 %b\r\n\r\n" % status)
    place = {
        "WORKER_LIB_MACHINE_API": str(tmp_path / "api"),
        "FLY_APP_NAME": "jobs",
        "FLY_MACHINE_ID": "m1",
    }
    code, err = Program(
        "unix:///none", WORKER_LIB_NAMESPACE="x\ny" * 200, **place
    ).ended()
    api.close()
    head, _, body = api.heard.partition(b"\r\n\r\n")
    words = json.loads(body)["value"]

    assert exits.BAD_SETTINGS == code
    path = f"POST /v1/apps/jobs/machines/m1/metadata/{exits.METADATA_EXIT_MESSAGE} "
    assert head.startswith(path.encode())
    assert words.startswith("WORKER_LIB_NAMESPACE=")
    assert len(words) == 200
    assert words.isprintable()
    assert ("403" in err) is (status[:3] == b"403")


def test_the_caller_is_told_why_its_machines_end(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    locked: Path,
) -> None:
    """The machines' password is wrong: their last words reach who waits."""
    emulator = make_emulator(redis_url=f"unix://:{CANARY}@{locked}")
    make_client(emulator, redis_url=f"unix://:right-password@{locked}")

    with pytest.raises(MachineError, match="refused our password") as caught:
        jobs.add.delay(1, 2).result(timeout=50)
    assert CANARY not in str(caught.value)


@pytest.fixture
def client(
    make_client: Callable[..., Client],
    make_emulator: Callable[..., Emulator],
    own_server: OwnServer,
) -> Client:
    """A client and machines of the server that this test may kill."""
    emulator = make_emulator(redis_url=own_server.url)
    return make_client(emulator, redis_url=own_server.url, lease_ttl=20.0)


@pytest.mark.processes_only("signals go to a process of this computer")
def test_a_stopped_machine_hands_its_job_back_though_redis_is_away(
    client: Client, own_server: OwnServer, ledger: Ledger, tmp_path: Path
) -> None:
    """It has some seconds, and uses them; nobody must wait for its lease to end."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)
    own_server.kill()
    os.kill(first.supervisor, signal.SIGTERM)
    time.sleep(3)
    own_server.start()
    began = time.monotonic()
    gate.touch()

    assert 5 == job.result(timeout=30)
    assert time.monotonic() - began < 15, "sooner than its lease ends"
    assert ["released", "succeeded"] == [one.outcome for one in job.attempts]


@pytest.mark.processes_only("signals go to a process of this computer")
def test_a_stopped_machine_reports_an_outcome_though_redis_is_away(
    client: Client, own_server: OwnServer, ledger: Ledger, tmp_path: Path
) -> None:
    """What is done need not be done again."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    (first,) = until(lambda: ledger.starts)
    own_server.kill()
    gate.touch()
    until(lambda: ledger.ends)
    time.sleep(0.5)
    os.kill(first.supervisor, signal.SIGTERM)
    time.sleep(2)
    own_server.start()

    assert 5 == job.result(timeout=30)
    assert ["succeeded"] == [one.outcome for one in job.attempts]


def test_a_password_that_is_put_right_in_time_costs_nothing(
    client: Client, own_server: OwnServer, ledger: Ledger, tmp_path: Path
) -> None:
    """A machine that has worked takes a refusal for a mistake that is noticed soon."""
    gate = tmp_path / "gate"
    job = jobs.works.delay(str(ledger), gate=str(gate), value=5)
    until(lambda: ledger.starts)
    _set_password(own_server, "", "another")
    gate.touch()
    until(lambda: ledger.ends)
    time.sleep(2)
    _set_password(own_server, "another", "")

    assert 5 == job.result(timeout=30)
    assert ["succeeded"] == [one.outcome for one in job.attempts]


def _set_password(server: OwnServer, old: str, new: str) -> None:
    import redis

    known: dict[str, Any] = {"password": old} if old else {}
    with redis.Redis.from_url(server.url, **known) as connection:
        connection.config_set("requirepass", new)
        connection.client_kill_filter(_type="normal", skipme=True)
