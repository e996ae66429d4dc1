"""What `doctor --probe` says of machines that boot, and of those that fail."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import pytest
from scenes import IMAGE, found_by_name

from worker_lib.emulator.faults import FaultRule
from worker_lib.fly.exits import BAD_SETTINGS, meaning

if TYPE_CHECKING:
    from scenes import Scene

pytestmark = pytest.mark.processes_only("its machines ask for an image of no engine")


def test_a_probe_shows_that_both_sides_agree(scene: Scene) -> None:
    """A real machine answers, with its versions and the same secret."""
    findings = scene.examine(probing=True)

    assert "ok" == found_by_name(findings, "probe").verdict
    assert "on both sides" in found_by_name(findings, "versions").text
    again = found_by_name(scene.examine(), "secret shared")
    assert "ok" == again.verdict
    assert "machine" in again.text


def test_a_probe_meets_a_machine_with_another_secret(scene: Scene) -> None:
    """What the machine signs does not verify here; the evidence stays in Redis."""
    other = {**scene.shared(), "WORKER_LIB_SECRET": secrets.token_hex(32)}
    scene.emulator.set_secrets("tests", other)

    findings = scene.examine(probing=True)

    assert "failed" == found_by_name(findings, "probe").verdict
    assert "WORKER_LIB_SECRET" in found_by_name(findings, "probe").remedy
    assert "failed" == found_by_name(scene.examine(), "secret shared").verdict


@pytest.mark.parametrize("state", ["created", "starting"])
def test_a_missing_image_is_told_at_once_with_its_cause(
    scene: Scene, state: str
) -> None:
    """Fly makes the machine, and then finds that it cannot launch it."""
    scene.emulator.script_faults([FaultRule(state=state, effect="launch_failed")])
    began = time.monotonic()

    found = found_by_name(scene.examine(probing=True), "probe")

    assert time.monotonic() - began < 20
    assert "failed" == found.verdict
    assert "could not start" in found.text
    assert IMAGE in found.text
    assert f"docker manifest inspect {IMAGE}" in found.remedy
    assert "REDIS_URL" not in found.remedy


def test_a_create_that_is_refused_for_its_image_is_told_at_once(scene: Scene) -> None:
    """Fly's words, and what to do about the image."""
    refusal = f"failed_precondition: manifest of {IMAGE} not found"
    rule = FaultRule(action="create", status=400, error=refusal)
    scene.emulator.script_faults([rule])
    began = time.monotonic()

    found = found_by_name(scene.examine(probing=True), "probe")

    assert time.monotonic() - began < 20
    assert refusal in found.text
    assert "docker manifest inspect" in found.remedy


def test_a_machine_that_ends_before_it_takes_the_call_is_told_at_once(
    scene: Scene,
) -> None:
    """A machine without REDIS_URL ends by itself; nobody waits for its time-out."""
    # The API does not tell names of secrets here, so nothing failed before.
    scene.emulator.set_secrets("tests", {"REDIS_URL": None})
    scene.emulator.script_faults([FaultRule(action="secret_list", status=403)])
    began = time.monotonic()

    found = found_by_name(scene.examine(probing=True), "probe")

    assert time.monotonic() - began < 20
    assert "failed" == found.verdict
    assert f"ended with exit code {BAD_SETTINGS} before it took a job" in found.text
    assert meaning(BAD_SETTINGS) in found.text
    assert "fly logs -a tests" in found.remedy


def test_a_machine_that_hangs_is_told_when_its_time_is_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither there nor gone; the job is taken back."""
    monkeypatch.setattr("worker_lib.doctor.checks._PROBE_SPARE", 0.0)
    scene.set(WORKER_LIB_BOOT_TIMEOUT="1")
    scene.emulator.script_faults([FaultRule(state="starting", effect="hang")])

    found = found_by_name(scene.examine(probing=True), "probe")

    assert "failed" == found.verdict
    assert "no answer after 1 s" in found.text
    assert "fly logs -a tests" in found.remedy


def test_no_machine_is_started_while_something_failed(scene: Scene) -> None:
    """A probe costs money: it would only fail as well."""
    scene.server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    findings = scene.examine(probing=True)

    assert "unknown" == found_by_name(findings, "probe").verdict
    assert [] == scene.emulator.machines()
