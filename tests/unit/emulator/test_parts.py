"""Identifiers, regions, options, waits, images and the memory rule."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from worker_lib.emulator import EmulatorOptions
from worker_lib.emulator.access import is_authorized
from worker_lib.emulator.endpoints.machines import new_lease
from worker_lib.emulator.fleet import Fleet
from worker_lib.emulator.identifiers import machine_id, ulid
from worker_lib.emulator.messages import ApiError, Request
from worker_lib.emulator.runtimes import procfs
from worker_lib.emulator.runtimes.memory import MemoryMonitor, Watched, over_limit
from worker_lib.emulator.validation import checked_regions
from worker_lib.emulator.views import image_ref
from worker_lib.emulator.waiting import WaitFor
from worker_lib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def test_only_the_standard_library_is_needed() -> None:
    """A fresh interpreter loads no third party, and of this library only its base."""
    code = (
        "import sys; before = set(sys.modules); import worker_lib.emulator; "
        "print(*{m.partition('.')[0] for m in sys.modules.keys() - before}"
        " - sys.stdlib_module_names, "
        "*(m for m in sys.modules if m.startswith('worker_lib.')"
        " and not m.startswith('worker_lib.emulator')))"
    )

    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout

    allowed = {
        "checks",
        "errors",
        "fly",
        *("fly.guest", "fly.images", "fly.latencies", "fly.prices"),
        *("fly.protocol", "fly.regions", "fly.states"),
        "logs",
        "records",
        "sockets",
    }
    expected = {"worker_lib", *(f"worker_lib.{name}" for name in allowed)}
    assert expected == set(shown.split())


def test_ulids_grow_strictly() -> None:
    """Events are told apart and put in order by them, within a millisecond too."""
    made = [ulid() for _ in range(1000)]

    assert sorted(set(made)) == made
    assert {26} == {len(each) for each in made}


def test_machine_ids_differ() -> None:
    """A thousand of them, all of 14 digits."""
    made = {machine_id() for _ in range(1000)}

    assert (1000, {14}) == (len(made), {len(each) for each in made})


def test_a_list_of_regions_keeps_its_order_and_names_each_once() -> None:
    """An alias adds those that were not named before."""
    found = checked_regions("lhr, eu,iad,any")

    assert ["lhr", "ams"] == found[:2]
    assert len(found) == len(set(found))
    assert {"iad", "nrt", "jnb"} <= set(found)


@pytest.mark.parametrize(
    ("alias", "member"), [("na", "yyz"), ("na", "iad"), ("sa", "gru")]
)
def test_an_alias_includes_its_regions(alias: str, member: str) -> None:
    """North America includes the United States."""
    assert member in checked_regions(alias)


def test_options_list_every_problem() -> None:
    """Not only the first one."""
    with pytest.raises(ConfigError) as refused:
        EmulatorOptions(port=-1, prepare_delay=-1.0)

    assert 2 == len(refused.value.problems)


def test_options_do_not_show_what_is_secret() -> None:
    """Neither tokens nor the environment are in the text of the options."""
    options = EmulatorOptions(tokens=("canary",))

    assert "canary" not in repr(options)


@pytest.mark.parametrize(
    ("accepted", "header"),
    [
        (True, "Bearer right"),
        (True, "FlyV1 right"),
        (False, "Bearer wrong"),
        (False, "right"),
        (False, ""),
    ],
)
def test_a_token_is_compared_without_its_scheme(accepted: bool, header: str) -> None:
    """On both sides."""
    assert accepted == is_authorized(header, ["Bearer right"])


@pytest.mark.parametrize(
    ("expected", "image"),
    [
        (("registry.fly.io", "demo", "latest"), "registry.fly.io/demo"),
        (("registry.fly.io", "demo", "d-01"), "registry.fly.io/demo:d-01"),
        (("registry-1.docker.io", "library/alpine", "3"), "library/alpine:3"),
        (("localhost:5000", "a", "b"), "localhost:5000/a:b"),
    ],
)
def test_an_image_s_name_is_taken_apart(
    expected: tuple[str, str, str], image: str
) -> None:
    """Registry, repository and tag, with Docker's defaults."""
    found = image_ref(image)

    assert expected == (found["registry"], found["repository"], found["tag"])


def test_an_image_s_digest_is_kept() -> None:
    """What was pinned is shown as it is."""
    digest = f"sha256:{'a' * 64}"
    found = image_ref(f"registry.fly.io/demo@{digest}")

    assert ("demo", digest) == (found["repository"], found["digest"])


@pytest.mark.parametrize(("expected", "text"), [(60.0, ""), (1.0, "1"), (5.0, "5s")])
def test_a_wait_lasts_a_minute_unless_told(expected: float, text: str) -> None:
    """Seconds, or a Go duration."""
    request = Request(method="GET", path="/", query={"timeout": [text]})

    assert expected == WaitFor.of(request).timeout


def test_a_process_is_described_by_proc() -> None:
    """Session, memory and state of this very process."""
    found = procfs.stat(os.getpid())

    assert found is not None
    assert os.getsid(0) == found.session
    assert found.rss_bytes > 1_000_000
    assert not found.is_dead


def test_a_process_that_is_gone_is_no_error() -> None:
    """Nothing is read, nothing is sent, nothing fails."""
    gone = 2**22 + 1

    assert procfs.stat(gone) is None
    assert b"" == procfs.read(f"/proc/{gone}/environ")
    assert 0 == procfs.proportional_bytes(gone)
    assert "" == procfs.working_directory(gone)
    procfs.send(gone, 15)


def test_memory_is_read_exactly_only_above_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cheap sum is never too low, so below the limit it is enough."""
    me = procfs.stat(os.getpid())
    assert me is not None
    monkeypatch.setattr(procfs, "proportional_bytes", lambda _: 1)

    assert not over_limit([me], me.rss_bytes)
    assert not over_limit([me, me], me.rss_bytes)
    monkeypatch.undo()
    assert over_limit([me], 1)


def test_the_memory_thread_lives_only_while_something_is_watched() -> None:
    """The last session that is forgotten ends it."""

    def watchers() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if "emulator-memory" == t.name]

    monitor = MemoryMonitor(interval=30.0)
    session = 2**22 + 1
    monitor.watch(Watched(session=session, limit_bytes=1, on_kill=lambda _: None))
    (thread,) = watchers()

    monitor.forget(session)

    thread.join(5)
    assert [] == watchers()


@pytest.mark.parametrize(
    "query", [{}, {"force": ["false"]}, {"force": ["0"]}, {"force": [""]}]
)
def test_a_flag_is_off_unless_it_says_so(query: dict[str, list[str]]) -> None:
    """Absent, empty, 0 and false mean no."""
    assert not Request(method="GET", path="/", query=query).flag("force", "kill")


def test_a_refusal_shows_its_status_code_only_if_it_has_one() -> None:
    """As Fly's error bodies do."""
    assert {"error": "a"} == ApiError(400, "a").reply().body
    assert {"error": "a", "status": "b"} == ApiError(400, "a", code="b").reply().body


def test_state_is_kept_below_the_project_by_default() -> None:
    """A hidden directory, relative to where the emulator was started."""
    assert Path(".worker_lib/emulator") == EmulatorOptions().state_dir


def test_a_lease_ends_after_its_ttl_to_the_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rounding to whole seconds would let it end early, or hold others off."""
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    machine = Fleet(EmulatorOptions(apps=("demo",))).add_machine(
        app="demo", name="", region="ams", config={}, secrets={}
    )

    assert 1001.5 == new_lease(machine, ttl=1).expires_at
