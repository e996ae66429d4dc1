"""Whoever can write to Redis gets no code run, and whoever reads it no secret."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import jobs
import pytest
import redis

from worker_lib import (
    ConfigError,
    JobError,
    JobFailed,
    PayloadError,
    SignatureMismatch,
    StoreUnavailable,
    Unauthorized,
    fly_task,
)
from worker_lib.store import enqueuer
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.client.handle import Job
    from worker_lib.emulator import Emulator


class Canary:
    """Makes a folder when it is unpickled: the sign that planted code ran."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The folder that must not come to be."""
    return tmp_path / "canary"


class Attacker:
    """Reads and writes one namespace in Redis, and knows no secret."""

    def __init__(self, connection: redis.Redis, prefix: str) -> None:
        self._redis = connection
        self._prefix = prefix

    def field(self, job: Job[Any], name: str) -> bytes:
        """Return a field of a job's record."""
        found = self._redis.hget(f"{self._prefix}:job:{job.id}", name)
        assert isinstance(found, bytes)
        return found

    def plant(self, job: Job[Any], **fields: bytes) -> None:
        """Overwrite fields of a job's record."""
        self._redis.hset(f"{self._prefix}:job:{job.id}", mapping=fields)  # type: ignore[arg-type]  # bytes are fine

    def plant_code(self, content: bytes) -> None:
        """Overwrite every piece of stored code."""
        for key in self._redis.keys(f"{self._prefix}:code:*"):
            self._redis.hset(key, "body", content)

    def spec(self, job: Job[Any]) -> bytes:
        """Return what is stored of the machines that a job needs."""
        found = self._redis.hget(f"{self._prefix}:pool:{job.info().pool}", "spec")
        assert isinstance(found, bytes)
        return found

    def plant_spec(self, job: Job[Any], content: bytes) -> None:
        """Overwrite it."""
        self._redis.hset(f"{self._prefix}:pool:{job.info().pool}", "spec", content)

    def move(self, job: Job[Any], pool: str) -> None:
        """Have a job wait for the machines of another pool."""
        self._redis.zrem(f"{self._prefix}:ready:{job.info().pool}:default", job.id)
        self._redis.zadd(f"{self._prefix}:ready:{pool}:default", {job.id: 0})
        self.plant(job, pool=pool.encode())

    def outcome(self, job: Job[Any]) -> bytes:
        """Return what is stored as a job's outcome."""
        elements = self._redis.lrange(f"{self._prefix}:out:{job.id}", 0, -1)
        longest = max(elements, key=len)
        assert isinstance(longest, bytes)
        return longest

    def plant_outcome(self, job: Job[Any], element: bytes) -> None:
        """Overwrite a job's outcome."""
        key = f"{self._prefix}:out:{job.id}"
        self._redis.delete(key)
        self._redis.rpush(key, element, element)

    def everything(self) -> bytes:
        """Return all that the namespace holds."""
        keys = self._redis.keys(self._prefix + ":*")
        return b"\n".join(self._redis.dump(key) or b"" for key in keys)


@pytest.fixture
def attacker(client: Client) -> Iterator[Attacker]:
    """Somebody with the URL of our Redis."""
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        yield Attacker(connection, key_prefix(client.settings.namespace))


@pytest.fixture
def held(client: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """No machine starts before this is called."""
    slots: list[str] = []
    launch = client.launcher.launch
    monkeypatch.setattr(client.launcher, "launch", slots.append)

    def let_go() -> None:
        for slot in slots:
            launch(slot)

    return let_go


def assert_refused(job: Job[Any]) -> None:
    """The job failed at once, for a reason that the message gives."""
    with pytest.raises((SignatureMismatch, JobFailed)) as caught:
        job.result(timeout=20)
    told = caught.value
    cause = told if isinstance(told, JobFailed) else told.__cause__
    assert isinstance(cause, JobFailed)
    assert ("refused", "worker_lib.errors.SignatureMismatch") == (
        cause.kind,
        cause.remote_type,
    )
    assert "is not signed with our WORKER_LIB_SECRET" in str(told)
    assert ["refused"] == [one.outcome for one in job.attempts]


@pytest.mark.parametrize("form", ["bare", "unsigned", "empty"])
def test_planted_arguments_are_never_unpickled(
    attacker: Attacker, held: Callable[[], None], canary: Path, form: str
) -> None:
    """A pickle in the place of a call, dressed up as an envelope or not, is refused."""
    job = jobs.echo.options(linger=0, retry=3).delay(1)
    body = pickle.dumps(((Canary(canary),), {}, None))
    header = attacker.field(job, "call")[:40]
    forms = {"bare": body, "unsigned": header + body, "empty": b""}
    attacker.plant(job, call=forms[form])
    held()

    assert_refused(job)
    assert not canary.exists()


def test_every_bit_of_a_call_counts(
    attacker: Attacker, held: Callable[[], None]
) -> None:
    """A call that was changed in its header, its MAC or its body is refused."""
    running = [jobs.add.options(max_machines=1).delay(1, 2) for _ in range(6)]
    for job, at in zip(running, (3, 4, 8, 39, 40, -1), strict=True):
        call = bytearray(attacker.field(job, "call"))
        call[at] ^= 1
        attacker.plant(job, call=bytes(call))
    held()

    for job in running:
        assert_refused(job)


def test_a_call_cannot_be_moved_to_another_job(
    attacker: Attacker, held: Callable[[], None]
) -> None:
    """A genuine signature holds in the place it was made for only."""
    job, other = jobs.add.delay(1, 2), jobs.add.delay(30, 40)
    attacker.plant(job, call=attacker.field(other, "call"))
    held()

    assert_refused(job)
    assert 70 == other.result(timeout=20)


def test_planted_code_is_never_unpickled(
    attacker: Attacker, held: Callable[[], None], canary: Path
) -> None:
    """The code of a lambda is verified like everything else."""
    job = fly_task(lambda: 1).delay()
    attacker.plant_code(pickle.dumps(Canary(canary)))
    held()

    assert_refused(job)
    assert not canary.exists()


def test_a_genuine_call_cannot_be_given_to_another_function(
    attacker: Attacker, held: Callable[[], None], canary: Path
) -> None:
    """What is to be called is signed with its arguments: a web user chose those."""
    job = jobs.echo.options(linger=0).delay(str(canary))
    attacker.plant(job, task=b"os:mkdir")
    held()

    assert_refused(job)
    assert not canary.exists()


def test_a_genuine_call_cannot_be_given_to_other_code(
    attacker: Attacker, held: Callable[[], None], canary: Path
) -> None:
    """The same where both travel by value."""
    path = str(canary)
    harmless = fly_task(lambda: 1).delay()
    harmful = fly_task(lambda: os.mkdir(path)).options(delay="1h").delay()
    attacker.plant(harmless, code=attacker.field(harmful, "code"))
    held()

    assert_refused(harmless)
    assert not canary.exists()


@pytest.mark.parametrize("change", ["image", "env", "bare", "another pool's"])
def test_what_a_machine_is_to_be_cannot_be_changed(
    attacker: Attacker,
    held: Callable[[], None],
    emulator: Emulator,
    canary: Path,
    change: str,
) -> None:
    """A machine holds our secrets: its image and variables are not for others."""
    job = jobs.echo.delay(1)
    other = jobs.echo.options(env={"PYTHONPATH": str(canary)}, delay="1h").delay(1)
    spec = attacker.spec(job)
    changed = spec[40:].replace(b'"regions"', b'"x"')
    forms = {
        "image": spec.replace(b'"image"', b'"imagE"'),
        "env": spec.replace(b'"env": {', b'"env": {"PYTHONPATH": "/tmp", '),
        "bare": changed,
        "another pool's": attacker.spec(other),
    }
    assert spec != forms[change]
    attacker.plant_spec(job, forms[change])
    held()

    with pytest.raises(ConfigError, match="is not signed with our WORKER_LIB_SECRET"):
        job.result(timeout=20)
    assert [] == emulator.machines()
    assert "queued" == job.status, "it is lost"


def test_a_later_call_puts_a_changed_spec_right(
    attacker: Attacker, held: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one of any process, or of this one after a minute; then all run."""
    monkeypatch.setattr(enqueuer, "_SEND_AGAIN_AFTER", 0.0)
    job = jobs.add.delay(1, 2)
    attacker.plant_spec(job, b"planted")
    other = jobs.add.delay(3, 4)
    held()

    assert [3, 7] == [job.result(timeout=20), other.result(timeout=20)]


def test_a_call_cannot_be_moved_to_other_machines(
    attacker: Attacker, held: Callable[[], None]
) -> None:
    """Such as those with other variables, which may decide what it does."""
    job = jobs.add.delay(1, 2)
    other = jobs.echo.options(env={"MODE": "other"}).delay(1)
    attacker.move(job, other.info().pool)
    held()

    assert 1 == other.result(timeout=20)
    assert_refused(job)


@pytest.mark.parametrize("field", ["timeout", "policy"])
def test_limits_of_a_call_cannot_be_changed(
    attacker: Attacker, held: Callable[[], None], field: str
) -> None:
    """How long it may take, and how often it may run."""
    job = jobs.add.delay(1, 2)
    forms = {"timeout": b"999999", "policy": attacker.field(job, "policy") + b" "}
    attacker.plant(job, **{field: forms[field]})
    held()

    assert_refused(job)


def test_a_planted_outcome_is_never_unpickled(
    client: Client, attacker: Attacker, canary: Path
) -> None:
    """The way back is verified too: the caller is worth more than a machine."""
    job = jobs.add.delay(1, 2)
    job.result(timeout=20)
    genuine = attacker.outcome(job)
    status, fence, envelope = genuine.split(b" ", 2)
    body = pickle.dumps((True, Canary(canary)))
    for planted in (body, envelope[:40] + body, b""):
        attacker.plant_outcome(job, b" ".join((status, fence, planted)))
        with pytest.raises(SignatureMismatch if planted else JobError):
            job.result(timeout=2)

    assert not canary.exists()
    attacker.plant_outcome(job, genuine)
    assert 3 == job.result(timeout=2)


def test_an_outcome_cannot_be_moved(client: Client, attacker: Attacker) -> None:
    """Neither to another job nor to another attempt."""
    job, other = jobs.add.delay(1, 2), jobs.add.delay(30, 40)
    job.result(timeout=20)
    other.result(timeout=20)
    status, _, envelope = attacker.outcome(other).split(b" ", 2)
    attacker.plant_outcome(job, attacker.outcome(other))
    with pytest.raises(SignatureMismatch):
        job.result(timeout=2)
    attacker.plant_outcome(other, b" ".join((status, b"7", envelope)))
    with pytest.raises(SignatureMismatch):
        other.result(timeout=2)


def test_a_machine_with_another_secret_runs_nothing(
    client: Client, emulator: Emulator, tmp_path: Path
) -> None:
    """A forgotten or wrong secret of the tasks app is told as what it is."""
    emulator.set_secrets("tests", {"WORKER_LIB_SECRET": "x" * 40})
    job = jobs.notes.delay(str(tmp_path / "notes"), "ran")

    with pytest.raises(PayloadError, match="set the same secret in the app and its ma"):
        job.result(timeout=20)
    assert not (tmp_path / "notes").exists()


def test_the_secret_can_be_changed_while_jobs_are_under_way(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    settings: Any,
) -> None:
    """What the old one has signed is accepted as long as it is named."""
    emulator = make_emulator()
    make_client(emulator)
    before = jobs.add.delay(1, 2)
    before.result(timeout=20)
    waiting = jobs.add.options(delay="1s").delay(3, 4)
    new = {"secret": "n" * 40, "old_secret": settings.secret}
    names = {"WORKER_LIB_SECRET": "n" * 40, "WORKER_LIB_SECRET_OLD": settings.secret}
    emulator.set_secrets("tests", names)
    client = make_client(emulator, **new)

    assert 3 == type(before)(before.id, client).result(timeout=20)
    assert 7 == type(waiting)(waiting.id, client).result(timeout=20)
    assert 11 == jobs.add.delay(5, 6).result(timeout=20)


def test_secrets_are_in_no_log_no_error_and_not_in_redis(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Token, signing key and password stay where they are, whatever goes wrong."""
    caplog.set_level(logging.DEBUG, logger="worker_lib")
    token, password = "fm2_canary-of-the-token", "canary-of-the-password"
    own_server.ask("CONFIG", "SET", "requirepass", password)
    url = own_server.url.replace("unix://", f"unix://:{password}@")
    emulator = make_emulator(
        redis_url=url, tokens=(token,), state_dir=tmp_path / "state"
    )
    client = make_client(emulator, redis_url=url, fly_api_token=token)
    told = [repr(client), repr(client.settings), repr(client.store), repr(vars(client))]
    assert 3 == jobs.add.delay(1, 2).result(timeout=20)
    told += _told(lambda: jobs.boom.delay("no").result(timeout=20), ValueError)
    told += _told(lambda: jobs.crashes.delay().result(timeout=20), JobFailed)
    with redis.Redis.from_url(url) as connection:
        attacker = Attacker(connection, key_prefix(client.settings.namespace))
        stored = attacker.everything()
    wrong = make_client(emulator, redis_url=url, fly_api_token=token + "-revoked")
    told += _told(lambda: jobs.add.delay(1).result(timeout=20), Unauthorized)
    own_server.kill()
    told += _told(lambda: wrong.submit(jobs.add, (1,), {}), StoreUnavailable)

    told += [str(vars(record)) for record in caplog.records]
    logs = list((tmp_path / "state").rglob("*.log"))
    told += [log.read_text() for log in logs]
    assert len(logs) >= 2
    assert len(told) > 20
    for secret in (token, password, client.settings.secret):
        assert not [text for text in told if secret in text]
        assert secret.encode() not in stored
    own_server.start()


def _told(act: Callable[[], object], error: type[Exception]) -> list[str]:
    with pytest.raises(error) as caught:
        act()
    found = [repr(caught.value), str(caught.value), repr(vars(caught.value))]
    return [*found, "".join(traceback.format_exception(caught.value))]
