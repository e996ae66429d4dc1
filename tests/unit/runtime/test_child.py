"""The child: verify, unpickle, run, pickle, sign; and nothing before it is verified."""

from __future__ import annotations

import json
import os
import pickle
from typing import TYPE_CHECKING, Any

import jobs
import pytest

from worker_lib.calls import codec, pickling
from worker_lib.calls.codec import Codec
from worker_lib.calls.pickling import Call
from worker_lib.context import current_job
from worker_lib.errors import JobFailed
from worker_lib.retry import Retry
from worker_lib.runtime.child import Child
from worker_lib.runtime.frames import Channels
from worker_lib.runtime.permits import GO
from worker_lib.runtime.process import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CODEC = Codec("s" * 32, "shop", max_bytes=1 << 20)
STRANGER = Codec("x" * 32, "shop", max_bytes=1 << 20)


class Heard:
    """Stands in for all channels: gives the child jobs and keeps what it says."""

    def __init__(self, *frames: list[bytes]) -> None:
        self.words: list[tuple[Any, ...]] = []
        self._frames = list(frames)

    def receive(self) -> list[bytes] | None:
        return self._frames.pop(0) if self._frames else None

    def recv(self, _bytes: int) -> bytes:
        return GO

    def send(self, *parts: Any) -> None:
        self.words.append(parts)


def child_of(heard: Heard) -> Child:
    """Return a child that speaks to a stand-in."""
    channel: Any = heard
    return Child(Channels(channel, channel, channel, b""), CODEC, "p1")


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self._path),)


def frame(
    call: Call,
    /,
    *,
    task: str = "jobs:add",
    code: bytes = b"",
    signer: Codec = CODEC,
    signed_policy: bytes = b"{}",
    **changes: bytes,
) -> list[bytes]:
    """Return a job as the supervisor hands it over."""
    code_hash = codec.content_hash(code) if code else ""
    body = pickling.dump_call(task, call)
    place = codec.call_place(
        code_hash or task, pool="p1", timeout=5.0, policy=signed_policy.decode()
    )
    words = {
        "job_id": b"j1",
        "fence": b"1",
        "attempt": b"1",
        "task": task.encode(),
        "code_hash": code_hash.encode(),
        "code": signer.seal(code, kind=codec.CODE, job_id=code_hash) if code else b"",
        "call": signer.seal(body, kind=codec.CALL, job_id="j1", fence=place),
        "timeout": b"5.0",
        "policy": signed_policy,
    }
    return [*(words | changes).values()]


def run(parts: list[bytes], heard: Heard | None = None) -> tuple[bytes, ...]:
    """Return what a child answers."""
    return child_of(heard or Heard())._run(parts)


def outcome(answer: tuple[bytes, ...]) -> tuple[bool, Any]:
    """Return the outcome of an answer, verified."""
    body = CODEC.open(answer[-1], kind=codec.OUTCOME, job_id="j1", fence="1")
    return pickling.load_outcome(body, "j1")


def test_a_task_of_a_module_is_run_by_its_name() -> None:
    """Its value comes back signed for this job and fence."""
    answer = run(frame(Call((2,), {"b": 3}, None)))

    assert (b"succeeded", b"", b"", b"") == answer[:4]
    assert (True, 5) == outcome(answer)


def test_a_task_that_was_sent_is_run_from_its_code() -> None:
    """A lambda, for one; the second job needs no code any more."""
    child = child_of(Heard())
    first = frame(Call((4,), {}, None), code=pickling.dump_code(lambda x: x * x))
    second = [*first]
    second[5] = b""

    assert [(True, 16)] * 2 == [outcome(child._run(one)) for one in (first, second)]


def test_a_coroutine_is_awaited() -> None:
    """An async task returns its value, not itself."""
    assert (True, 6) == outcome(run(frame(Call((3,), {}, None), task="jobs:doubles")))


def test_each_call_of_a_chunk_is_run() -> None:
    """A coroutine is awaited for each; its value is their outcomes."""
    call = Call([(3,), (4,), ("no number", 1)], {}, None, items=3)
    good, value = outcome(run(frame(call, task="jobs:doubles")))

    assert good
    assert [(True, 6), (True, 8)] == value[:2]
    assert not value[2][0]


def test_a_chunk_is_tried_again_as_a_whole_while_there_are_attempts() -> None:
    """The last attempt tells of each of its calls."""
    call = Call([(1,), ("x",)], {"b": 1}, Retry(max_attempts=2), items=2)
    policy = json.dumps({"max_attempts": 2, "retry_kinds": []}).encode()

    first, last = (
        run(frame(call, signed_policy=policy, attempt=attempt))
        for attempt in (b"1", b"2")
    )

    assert (b"failed", b"error", b"1") == (first[0], first[1], first[3])
    assert (b"succeeded", [True, False]) == (
        last[0],
        [good for good, _ in outcome(last)[1]],
    )


def test_only_a_coroutine_is_awaited() -> None:
    """What else can be awaited, as a job can, is what the task was to return."""

    class Awaitable:
        def __await__(self) -> object:
            raise AssertionError("nobody asked for that")

    good, value = outcome(
        run(frame(Call((), {}, None), code=pickling.dump_code(Awaitable)))
    )

    assert good
    assert "Awaitable" == type(value).__name__


def test_a_value_over_the_limit_is_told_with_the_task() -> None:
    """And both sizes."""
    call = Call((2_000_000,), {}, None)
    good, error = outcome(run(frame(call, task="jobs:gives")))

    assert not good
    assert str(error).startswith("jobs:gives: the outcome is 2,0")


def test_a_task_knows_its_job_and_reports_progress() -> None:
    """Only while it runs."""
    heard = Heard()

    def task() -> str:
        current_job().progress(1, 2)
        return f"{current_job().id}/{current_job().attempt}"

    answer = run(frame(Call((), {}, None), code=pickling.dump_code(task)), heard)

    assert (True, "j1/1") == outcome(answer)
    assert [("j1", "1")] == [one[:2] for one in heard.words]
    assert {"done": 1, "total": 2, "message": ""} == json.loads(heard.words[0][2])
    assert "" == current_job().id


def test_an_exception_is_told_with_kind_and_line() -> None:
    """What was raised, in one line and as a traceback for people; whole for callers."""
    answer = run(frame(Call(("bad\nworse",), {}, None), task="jobs:boom"))
    good, error = outcome(answer)

    status, kind, told, retry, *_ = answer
    line, _, trace = told.decode().partition("\n")

    assert (b"failed", b"error", b"") == (status, kind, retry)
    assert "ValueError: bad" == line
    assert trace.startswith("Traceback (most recent call last):")
    assert trace.endswith("ValueError: bad\nworse\n")
    assert (False, ValueError, ("bad\nworse",)) == (good, type(error), error.args)


@pytest.mark.parametrize(
    ("expected", "retry"),
    [
        (b"1", Retry(max_attempts=2)),
        (b"1", Retry(max_attempts=2, on=(ValueError,))),
        (b"", Retry(max_attempts=2, on=(OSError,))),
        (b"", Retry(max_attempts=2, never=(ValueError,))),
        (b"", None),
    ],
)
def test_whether_it_is_tried_again_is_decided_where_the_classes_are(
    expected: bytes, retry: Retry | None
) -> None:
    """The supervisor need not import the user's exceptions."""
    assert expected == run(frame(Call(("x",), {}, retry), task="jobs:boom"))[3]


def test_sys_exit_is_an_end_of_its_own_kind() -> None:
    """The task ended its process, as far as it could know."""
    answer = run(frame(Call((3,), {}, None), task="jobs:exits"))
    _, error = outcome(answer)

    assert (b"failed", b"exit") == answer[:2]
    assert isinstance(error, JobFailed)
    assert ("exit", 3) == (error.kind, error.exit_code)


def test_a_value_that_cannot_be_pickled_fails_the_job() -> None:
    """The task ran, and its value cannot travel; trying again would not help."""
    task = pickling.dump_code(lambda: (x for x in [1]))
    answer = run(frame(Call((), {}, Retry(max_attempts=3)), code=task))

    assert (b"failed", b"error") == answer[:2]
    assert b"" == answer[3]
    assert "which cannot be pickled" in str(outcome(answer)[1].__cause__)


def test_a_task_that_this_image_has_not_is_refused() -> None:
    """With the sentence that says what to deploy."""
    answer = run(frame(Call((), {}, None), task="jobs:gone"))

    assert (b"failed", b"refused") == answer[:2]
    assert b"this image has no task jobs:gone" in answer[2]


def test_a_task_that_nobody_signed_is_not_imported(tmp_path: Path) -> None:
    """A genuine argument must not be given to a function of a stranger's choice."""
    target = tmp_path / "made"
    parts = frame(Call((str(target),), {}, None), task="jobs:boom")
    parts[3] = b"os:mkdir"
    answer = run(parts)

    assert b"refused" == answer[1]
    assert not target.exists()


@pytest.mark.parametrize(
    "plant",
    [
        "raw call",
        "raw code",
        "stranger's call",
        "stranger's code",
        "another job's call",
        "another pool's call",
        "a longer timeout",
        "another policy",
    ],
)
def test_nothing_is_unpickled_before_it_is_verified(plant: str, tmp_path: Path) -> None:
    """Whoever can write to Redis must not get code run here."""
    target = tmp_path / "canary"
    bomb = pickle.dumps(Canary(target))
    armed = Call((Canary(target),), {}, None)
    harmless = Call((1,), {}, None)
    answer = run(_planted(plant, bomb, armed, harmless))

    assert (b"failed", b"refused") == answer[:2]
    assert not target.exists()
    assert b"SignatureMismatch" in answer[2]


def _planted(plant: str, bomb: bytes, armed: Call, harmless: Call) -> list[bytes]:
    name = codec.content_hash(bomb)
    if plant == "raw call":
        return frame(harmless, call=bomb)
    if plant == "raw code":
        parts = frame(harmless, code=bomb)
        parts[5] = bomb
        return parts
    if plant == "stranger's call":
        return frame(armed, signer=STRANGER)
    if plant == "stranger's code":
        parts = frame(harmless, code=bomb)
        parts[5] = STRANGER.seal(bomb, kind=codec.CODE, job_id=name)
        return parts
    if plant == "another pool's call":
        place = codec.call_place("jobs:add", pool="p2", timeout=5.0, policy="{}")
        body = pickling.dump_call("jobs:add", armed)
        call = CODEC.seal(body, kind=codec.CALL, job_id="j1", fence=place)
        return frame(harmless, call=call)
    changes: dict[str, dict[str, Any]] = {
        "another job's call": {"job_id": b"j2"},
        "a longer timeout": {"timeout": b"3600.0"},
        "another policy": {"policy": b'{"max_attempts": 99}'},
    }
    return frame(armed, **changes[plant])


def test_the_canary_would_sing(tmp_path: Path) -> None:
    """The tests above would see it if it were unpickled."""
    target = tmp_path / "canary"
    pickle.loads(pickle.dumps(Canary(target)))

    assert target.exists()


def test_functions_are_looked_up_once() -> None:
    """A machine that runs the same task again does not import again."""
    child = child_of(Heard())
    for _ in range(2):
        child._run(frame(Call((1,), {}, None)))

    assert {"jobs:add": jobs.add.fn} == child._named


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Any, ...]]]:
    """Has a child serve jobs, without the signals of a real one."""
    for module, name in (
        ("signal", "signal"),
        ("faulthandler", "enable"),
        ("context", "enter_machine"),
        ("hooks", "load_on_machine"),
        ("streams", "install"),
        ("streams", "Marks"),
    ):
        monkeypatch.setattr(f"worker_lib.runtime.child.{module}.{name}", Noop)

    def run_all(*frames: list[bytes]) -> list[tuple[Any, ...]]:
        heard = Heard(*frames)
        child_of(heard).serve()
        return heard.words

    return run_all


class Noop:
    """Does nothing, whatever it is told."""

    def __init__(self, *_anything: object) -> None:
        pass

    def write(self) -> None:
        pass

    def renew(self, _progress: object) -> None:
        pass  # other tests may have left processes behind


class Bomb:
    """An argument that cannot be unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return int, ("no number",)


def test_a_child_says_that_it_has_a_code_only_once_it_has(
    serve: Callable[..., list[tuple[Any, ...]]],
) -> None:
    """What a bad argument, or a bad code, kept from being loaded must be sent again."""
    code = pickling.dump_code(lambda x: x + 1)
    bad = frame(Call((Bomb(),), {}, None), code=code)
    forged = frame(Call((1,), {}, None), code=code)
    forged[5] = b"forged"
    good = frame(Call((1,), {}, None), code=code)
    failing = frame(Call(("text",), {}, None), code=code)
    named = frame(Call((1,), {}, None))
    answers = serve(bad, forged, good, failing, named)

    told = [(one[0], one[-1]) for one in answers]
    assert [
        (b"failed", b""),
        (b"failed", b""),
        (b"succeeded", b"1"),
        (b"failed", b"1"),
        (b"succeeded", b""),
    ] == told


def test_code_that_redis_no_longer_has_is_told_as_that() -> None:
    """Not as a wrong signature: nobody wrote anything, it is gone."""
    parts = frame(Call((1,), {}, None), code=pickling.dump_code(lambda x: x))
    parts[5] = b""
    answer = run(parts)

    assert (b"failed", b"refused") == answer[:2]
    assert b"is no longer in Redis" in answer[2]


def test_code_that_the_child_should_have_and_has_not_is_asked_for() -> None:
    """The job has not begun, so it fails nobody."""
    parts = frame(Call((1,), {}, None), code=pickling.dump_code(lambda x: x))
    parts[5] = KNOWN

    assert b"forgotten" == run(parts)[0]
