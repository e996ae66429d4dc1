"""The doctor against real faults: a real Valkey, the real emulator, one thing wrong."""

from __future__ import annotations

import json
import re
import secrets
import socket
from typing import TYPE_CHECKING, Any

import pytest
from scenes import PASSWORD, TOKEN, Scene, found_by_name

from worker_lib.cli import main
from worker_lib.doctor import examine, passed
from worker_lib.emulator.faults import FaultRule
from worker_lib.fly.naming import METADATA_OWNER, METADATA_SLOT, owner

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.processes_only("its machines ask for an image of no engine")


def test_a_healthy_setup_passes_and_what_was_not_checked_is_said(scene: Scene) -> None:
    """No line fails or warns; two say that they need a machine."""
    scene.create_machine()

    findings = scene.examine()

    assert passed(findings)
    not_well = {one.name: one.verdict for one in findings if one.verdict != "ok"}
    assert {"secret shared": "unknown", "versions": "unknown"} == not_well


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def over_tcp(scene: Scene, scheme: str) -> None:
    """Have the server listen on TCP, without TLS."""
    port = free_port()
    scene.server.ask("CONFIG", "SET", "port", port)
    scene.set(REDIS_URL=f"{scheme}://127.0.0.1:{port}")


def fills(share: float) -> Callable[[Scene], None]:
    """Give the server so much memory that this share of it is used."""

    def seed(scene: Scene) -> None:
        used = scene.server.ask("INFO", "memory")["used_memory"]
        scene.server.ask("CONFIG", "SET", "maxmemory", int(used / share))

    return seed


def copy_of_nobody(scene: Scene) -> None:
    scene.server.ask("REPLICAOF", "127.0.0.1", free_port())


def without_persistence(scene: Scene) -> None:
    scene.server.ask("CONFIG", "SET", "appendonly", "no")
    scene.server.ask("CONFIG", "SET", "save", "")


def snapshots_only(scene: Scene) -> None:
    scene.server.ask("CONFIG", "SET", "appendonly", "no")
    scene.server.ask("CONFIG", "SET", "save", "3600 1")


def another_side(scene: Scene) -> None:
    """Have a side with another secret leave its mark."""
    theirs = {**scene.environ, "WORKER_LIB_SECRET": secrets.token_hex(32)}
    list(examine({**theirs, "FLY_APP_NAME": "other-web"}))


def refuses(**rule: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.emulator.script_faults([FaultRule(**rule)])


def sets(**changes: str) -> Callable[[Scene], None]:
    return lambda scene: scene.set(**changes)


def configures(name: str, value: str) -> Callable[[Scene], None]:
    return lambda scene: scene.server.ask("CONFIG", "SET", name, value)


def stray(scene: Scene) -> None:
    tag = owner(scene.namespace, scene.secret)
    metadata = {METADATA_OWNER: tag, METADATA_SLOT: "0123456789ab"}
    scene.create_machine(**metadata)


def without_secret(scene: Scene) -> None:
    scene.emulator.set_secrets("tests", {"WORKER_LIB_SECRET": None})


def skewed(seconds: float) -> Callable[[Scene], None]:
    def seed(scene: Scene) -> None:
        scene.skew = seconds

    return seed


FAULTS: dict[str, tuple[Callable[[Scene], Any], str, str, str, str]] = {
    "a misspelt variable": (
        sets(WORKER_LIB_SECRETT="x"),
        *("settings", "failed", "WORKER_LIB_SECRETT", "did you mean"),
    ),
    "a lease of no length": (
        sets(WORKER_LIB_LEASE_TTL="0"),
        *("settings", "failed", "WORKER_LIB_LEASE_TTL", "0.2 s or more"),
    ),
    "a namespace with a space": (
        sets(WORKER_LIB_NAMESPACE="a b"),
        *("settings", "failed", "WORKER_LIB_NAMESPACE", "use letters"),
    ),
    "a REDIS_URL of another kind": (
        sets(REDIS_URL=f"http://:{PASSWORD}@example.com"),
        *("settings", "failed", "REDIS_URL", "redis://"),
    ),
    "no REDIS_URL": (
        sets(REDIS_URL=""),
        *("settings", "failed", "REDIS_URL is not set", "set REDIS_URL"),
    ),
    "no secret": (
        sets(WORKER_LIB_SECRET=""),
        *("settings", "failed", "WORKER_LIB_SECRET is not set", "openssl rand"),
    ),
    "a short secret": (
        sets(WORKER_LIB_SECRET="hunter2"),
        *("settings", "failed", "7 bytes", "32 or more"),
    ),
    "a repeated secret": (
        sets(WORKER_LIB_SECRET="hunter2!" * 4),
        *("secret strength", "failed", "repeats", "openssl rand"),
    ),
    "no image": (
        sets(WORKER_IMAGE=""),
        *("settings", "failed", "WORKER_IMAGE is not set", "fly image show"),
    ),
    "no token": (
        sets(FLY_API_TOKEN=""),
        *("settings", "failed", "FLY_API_TOKEN is not set", "fly tokens create"),
    ),
    "no server": (
        lambda scene: scene.server.kill(),
        *("redis", "failed", "cannot be reached", "start it"),
    ),
    "a frozen server": (
        lambda scene: scene.server.freeze(),
        *("redis", "failed", "broke", "start it"),
    ),
    "a wrong password": (
        lambda scene: scene.set(REDIS_URL=f"unix://:{PASSWORD}@{scene.server.path}"),
        *("redis", "failed", "refused", "password in REDIS_URL"),
    ),
    "TLS where there is none": (
        lambda scene: over_tcp(scene, "rediss"),
        *("redis", "failed", "handshake", "redis://"),
    ),
    "a port that is no number": (
        sets(REDIS_URL=f"redis://:{PASSWORD}@localhost:x"),
        *("redis url", "failed", "cannot be read", "escape"),
    ),
    "an option that nothing reads": (
        lambda scene: scene.set(REDIS_URL=f"redis://127.0.0.1:{free_port()}?ssl=1"),
        *("redis url", "warning", "it has ssl", "leave them out"),
    ),
    "a password in the clear": (
        sets(REDIS_URL=f"redis://:{PASSWORD}@127.0.0.2:1"),
        *("redis url", "warning", "unencrypted", "rediss://"),
    ),
    "eviction": (
        configures("maxmemory-policy", "allkeys-lru"),
        *("redis eviction", "failed", "allkeys-lru", "noeviction"),
    ),
    "no persistence": (
        without_persistence,
        *("redis persistence", "failed", "loses every job", "appendonly yes"),
    ),
    "snapshots only": (
        snapshots_only,
        *("redis persistence", "warning", "snapshots", "appendonly yes"),
    ),
    "little memory left": (
        fills(0.93),
        *("redis memory", "failed", "used (9", "more memory"),
    ),
    "no memory left": (
        fills(2.0),
        *("redis writes", "failed", "refused", "more memory"),
    ),
    "no scripts": (
        lambda scene: scene.user("~*", "&*", "+@all", "-@scripting"),
        *("redis scripts", "failed", "EVAL is refused", "+@scripting"),
    ),
    "no writes": (
        lambda scene: scene.user("~*", "&*", "+@all", "-@write"),
        *("redis writes", "failed", "a write is refused", "ACL SETUSER"),
    ),
    "a replica": (
        copy_of_nobody,
        *("redis writes", "failed", "READONLY", "the primary"),
    ),
    "a side with another secret": (
        another_side,
        *("secret shared", "failed", "app other-web", "the same WORKER_LIB_SECRET"),
    ),
    "a clock that is late": (
        skewed(-20.0),
        *("redis clock", "warning", "20.0 s behind", "synchronize"),
    ),
    "a clock of another day": (
        skewed(86400.0),
        *("fly clock", "failed", "ahead", "synchronize"),
    ),
    "an API in the clear": (
        sets(FLY_API_HOSTNAME="http://example.com"),
        *("fly api", "failed", "in the clear", "https://api.machines.dev"),
    ),
    "no API": (
        lambda scene: scene.set(FLY_API_HOSTNAME=f"http://127.0.0.1:{free_port()}"),
        *("fly api", "failed", "no connection", "FLY_API_HOSTNAME"),
    ),
    "an API in trouble": (
        refuses(action="app_get", status=500),
        *("fly api", "failed", "500", "status.flyio.net"),
    ),
    "a revoked token": (
        lambda scene: scene.use(tokens=("another",)),
        *("fly token", "failed", "refused", "fly tokens create deploy -a tests"),
    ),
    "a token of another app": (
        refuses(action="app_get", status=403),
        *("tasks app", "failed", "not for the app", "fly tokens create"),
    ),
    "no such app": (
        sets(FLY_TASKS_APP="elsewhere"),
        *("tasks app", "failed", "no app 'elsewhere'", "fly apps create elsewhere"),
    ),
    "a wide token": (
        lambda scene: scene.use(apps=("tests", "payroll")),
        *("token scope", "warning", "payroll", "fly tokens create deploy -a tests"),
    ),
    "one app for everything": (
        sets(FLY_APP_NAME="tests"),
        *("tasks app apart", "warning", "web app itself", "fly apps create"),
    ),
    "a tasks app that is deployed to": (
        lambda scene: scene.create_machine(fly_platform_version="v2"),
        *("tasks app apart", "warning", "fly deploy manages", "fly apps create"),
    ),
    "a tasks app without the secret": (
        without_secret,
        *("tasks app secrets", "failed", "WORKER_LIB_SECRET", "fly secrets set -a"),
    ),
    "a token in the tasks app": (
        lambda scene: scene.emulator.set_secrets("tests", {"FLY_API_TOKEN": "x"}),
        *("tasks app secrets", "warning", "FLY_API_TOKEN", "fly secrets unset"),
    ),
    "machines that cannot be listed": (
        refuses(action="list", status=500),
        *("machines", "failed", "cannot be listed", "try again"),
    ),
    "a machine without a slot": (
        stray,
        *("machines", "warning", "1 without a slot", "worker-lib sweep"),
    ),
    "no region of Fly's": (
        sets(FLY_REGION="ams,atlantis"),
        *("region", "failed", "'atlantis'", "ams"),
    ),
    "an image that is no name": (
        sets(WORKER_IMAGE="registry.fly.io/web: v1"),
        *("image", "failed", "not the name of an image", "fly image show"),
    ),
    "an image that nobody runs": (
        lambda scene: scene.create_machine(image="registry.fly.io/web:v2"),
        *("image", "unknown", "no machine that", "--probe"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_doctor_finds_a_seeded_fault_and_names_the_remedy(
    scene: Scene, fault: str
) -> None:
    """The line of that name has the verdict, the fact and what to do."""
    seed, name, verdict, text, remedy = FAULTS[fault]
    seed(scene)

    findings = scene.examine()

    found = found_by_name(findings, name)
    assert verdict == found.verdict, found
    assert text in found.text
    assert remedy in found.remedy
    assert passed(findings) == all(one.verdict != "failed" for one in findings)


def test_every_problem_with_the_settings_has_a_line_of_its_own(scene: Scene) -> None:
    """Two mistakes are two lines, and the rest is examined all the same."""
    scene.set(WORKER_LIB_MAX_MACHINES="many", WORKER_LIB_RESULT_TTL="soon")

    findings = scene.examine()

    problems = [one for one in findings if one.name == "settings"]
    assert ["failed", "failed"] == [one.verdict for one in problems]
    assert "ok" == found_by_name(findings, "redis writes").verdict


def test_a_misspelt_variable_is_told_beside_what_is_missing_for_it(
    scene: Scene,
) -> None:
    """Both lines are needed to see the mistake; a wrong value is told once."""
    scene.set(WORKER_LIB_SECRET="", WORKER_LIB_SECERT="x" * 40, REDIS_URL="nowhere")

    findings = scene.examine()

    texts = [one.text.split()[0] for one in findings if one.name == "settings"]
    assert ["unknown", "REDIS_URL", "WORKER_LIB_SECRET"] == texts


def test_a_machine_needs_no_token(scene: Scene) -> None:
    """Inside a machine of the tasks app the rest is examined without it."""
    scene.set(FLY_API_TOKEN="", WORKER_IMAGE="", WORKER_LIB_SLOT="0123456789ab")

    findings = scene.examine()

    assert passed(findings), findings
    assert "fly token" not in [one.name for one in findings]


def asked_too_often(times: int | None, retry_after: float) -> FaultRule:
    return FaultRule(effect="rate_limited", times=times, retry_after=retry_after)


def test_a_rate_limit_is_waited_for_and_is_no_fault(scene: Scene) -> None:
    """Each question is asked again when Fly says so, and has its answer."""
    scene.create_machine()
    scene.emulator.script_faults([asked_too_often(3, 1)])

    findings = scene.examine()

    not_well = {one.name for one in findings if one.verdict != "ok"}
    assert {"secret shared", "versions"} == not_well


@pytest.mark.parametrize("action", ["app_get", "list", "*"])
def test_a_rate_limit_that_lasts_is_unknown_and_not_failed(
    scene: Scene, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Fly would not answer is neither well nor wrong."""
    monkeypatch.setattr("worker_lib.doctor.fly_facts._LONGEST_WAIT", 0.5)
    rule = FaultRule(action=action, effect="rate_limited", retry_after=0.2)
    scene.emulator.script_faults([rule])

    findings = scene.examine()

    assert passed(findings), findings
    limited = [one for one in findings if re.search(r"\b429\b", one.text)]
    assert limited
    assert {"unknown"} == {one.verdict for one in limited}
    assert "again in a minute" in limited[0].remedy


def test_a_mark_under_the_old_secret_is_no_mismatch(scene: Scene) -> None:
    """While the secret is being changed, both count as the same."""
    former = scene.secret
    list(examine({**scene.environ, "FLY_APP_NAME": "slow-web"}))
    scene.set(WORKER_LIB_SECRET=secrets.token_hex(32), WORKER_LIB_SECRET_OLD=former)

    found = found_by_name(scene.examine(), "secret shared")

    assert "ok" == found.verdict
    assert "app slow-web" in found.text


def test_a_mark_holds_nothing_of_the_secret_and_goes_away(scene: Scene) -> None:
    """What is kept is a random number, its HMAC, and a time to live."""
    scene.examine()
    key = f"{{{scene.namespace}}}:doctor"

    kept = b"".join(scene.server.ask("HVALS", key))

    assert 2 * (16 + 32) == len(kept)
    assert scene.secret.encode() not in kept
    assert bytes.fromhex(scene.secret) not in bytes.fromhex(kept.decode())
    assert 0 < scene.server.ask("TTL", key) <= 7 * 86400


def quoting(scene: Scene) -> list[FaultRule]:
    """Rules by which Fly quotes what it was sent."""
    return [
        FaultRule(
            action=action, status=500, error=f"no: {TOKEN} {scene.secret} {PASSWORD}"
        )
        for action in ("list", "secret_list", "token", "app_list", "regions")
    ]


@pytest.mark.parametrize("form", [[], ["--json"], ["--probe"]])
def test_no_form_of_the_output_shows_a_secret(
    scene: Scene,
    form: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not even where Redis or Fly quote the token, the password or the key."""
    scene.user("~*", "&*", "+@all")
    scene.emulator.script_faults(quoting(scene))
    scene.set(WORKER_LIB_SECRET_OLD=secrets.token_hex(32))
    urls = (scene.environ["REDIS_URL"], f"redis://:{PASSWORD}@localhost:x")
    for url in (*urls, f"rediss://:{PASSWORD}@127.0.0.1:1", f"ftp://:{PASSWORD}@x"):
        for name, value in {**scene.environ, "REDIS_URL": url}.items():
            monkeypatch.setenv(name, value)

        main(["doctor", *form])

        printed = "".join(capfd.readouterr())
        assert "redis" in printed
        for canary in (TOKEN, PASSWORD, scene.secret):
            assert canary not in printed
        assert scene.environ["WORKER_LIB_SECRET_OLD"] not in printed


def test_the_command_prints_lines_and_ends_by_the_verdict(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 if nothing failed, 1 otherwise; a mark and a remedy on each line."""
    for name, value in scene.environ.items():
        monkeypatch.setenv(name, value)

    healthy = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    scene.server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    faulty = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)

    assert (0, 1) == (healthy, faulty)
    assert {"✓", "?"} == {line[0] for line in lines}
    assert not told["ok"]
    assert {"name", "verdict", "text", "remedy"} == set(told["findings"][0])
