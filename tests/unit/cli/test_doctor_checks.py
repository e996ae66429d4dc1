"""What the doctor's judges say to answers that no test server gives."""

from __future__ import annotations

from typing import Any

import pytest

from worker_lib.doctor import clocks, configuration, fly, probe, server, signing
from worker_lib.doctor.findings import failed, ok, passed, unknown, warning
from worker_lib.doctor.fly_facts import FlyFacts, Reply
from worker_lib.doctor.redaction import redacted, secrets_of
from worker_lib.errors import (
    JobFailed,
    MachineError,
    StoreUnavailable,
    Unauthorized,
    UnknownVersion,
    WaitTimeout,
)
from worker_lib.fly.naming import METADATA_OWNER, METADATA_SLOT, owner, owners
from worker_lib.settings import Settings

EMPTY = Reply(body={})
FORBIDDEN = Reply(error=Unauthorized("not for you", status=403))
DIGEST = "sha256:" + "a" * 64


TASKS = Settings(fly_app="tasks", image="registry.fly.io/web:v1")


def facts(**replies: Reply) -> FlyFacts:
    """Return answers that are empty but for those that are given."""
    names = FlyFacts.__dataclass_fields__
    return FlyFacts(**{name: replies.get(name, EMPTY) for name in names})


def test_a_problem_is_told_as_its_record_says_whatever_is_in_it() -> None:
    """A value with a colon in it is no remedy."""
    _, (finding,) = configuration.load({"WORKER_LIB_NAMESPACE": "a: b"})

    assert "WORKER_LIB_NAMESPACE='a: b'" == finding.text
    assert finding.remedy.startswith("use letters, digits")


WRONG = {
    "REDIS_URL": "http://",
    "WORKER_LIB_SECRET": "short",
    "WORKER_LIB_SECRET_OLD": "short",
    "WORKER_LIB_NAMESPACE": "a b",
    "WORKER_LIB_QUEUES": "a,a",
    "WORKER_LIB_MAX_MACHINES": "0",
    "WORKER_LIB_RUNTIME": "podman",
    "WORKER_LIB_LEASE_TTL": "soon",
    "WORKER_LIB_SECRT": "x",
}


@pytest.mark.parametrize("variable", WRONG)
def test_every_wrong_variable_is_a_finding_with_a_remedy(variable: str) -> None:
    """And the rest is loaded and checked without it."""
    settings, (finding,) = configuration.load(
        {variable: WRONG[variable], "WORKER_LIB_BOOT_TIMEOUT": "7"}
    )

    assert ("failed", 7.0) == (finding.verdict, settings.boot_timeout)
    assert variable in finding.text
    assert finding.remedy


def test_only_a_failure_fails_the_whole() -> None:
    """Warnings and what could not be checked are allowed."""
    assert passed([ok("a", "b"), warning("a", "b", "c"), unknown("a", "b", "c")])
    assert not passed([ok("a", "b"), failed("a", "b", "c")])


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("6.0.16", "failed"),
        ("5", "unknown"),
        ("6.2.0", "ok"),
        ("7.2.4", "ok"),
        ("10.0", "ok"),
        ("", "unknown"),
        ("unstable", "unknown"),
    ],
)
def test_redis_is_new_enough_from_6_2(told: str, verdict: str) -> None:
    """BLMOVE and ZADD LT came with 6.2; what is not told is not known."""
    assert verdict == server.check_version({"redis_version": told}).verdict


@pytest.mark.parametrize(
    ("info", "policy", "verdict"),
    [
        ({}, None, "unknown"),
        ({}, "noeviction", "ok"),
        ({"maxmemory_policy": "noeviction"}, None, "ok"),
        ({"maxmemory_policy": "volatile-lru"}, None, "failed"),
    ],
)
def test_eviction_is_read_from_either_place(
    info: dict[str, str], policy: str | None, verdict: str
) -> None:
    """Providers that forbid CONFIG may tell it in INFO."""
    assert verdict == server.check_eviction(info, policy).verdict


@pytest.mark.parametrize(
    ("info", "save", "verdict"),
    [
        ({}, None, "unknown"),
        ({"aof_enabled": "1"}, None, "ok"),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, None, "failed"),
        ({"aof_enabled": "0"}, "3600 1", "warning"),
        ({"aof_enabled": "0"}, "", "failed"),
    ],
)
def test_persistence_is_judged_by_what_a_crash_would_lose(
    info: dict[str, str], save: str | None, verdict: str
) -> None:
    """Nothing, some minutes, or everything."""
    assert verdict == server.check_persistence(info, save).verdict


@pytest.mark.parametrize(
    ("used", "limit", "verdict"),
    [("50", "0", "ok"), ("50", "100", "ok"), ("80", "100", "warning")],
)
def test_memory_is_judged_by_its_share(used: str, limit: str, verdict: str) -> None:
    """A limit of 0 is none."""
    info = {"used_memory": used, "maxmemory": limit}

    assert verdict == server.check_memory(info).verdict
    assert "unknown" == server.check_memory({}).verdict


def test_a_cluster_is_refused_and_a_single_server_not_mentioned() -> None:
    """Machines follow no redirection."""
    found = server.check_cluster({"cluster_enabled": "1"})

    assert found is not None
    assert "failed" == found.verdict
    assert server.check_cluster({"cluster_enabled": "0"}) is None


def test_a_slow_redis_is_a_warning() -> None:
    """One outlier is none; the median counts."""
    assert "ok" == server.check_latency([0.001, 0.001, 0.9]).verdict
    assert "warning" == server.check_latency([0.1, 0.1, 0.1]).verdict


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("NOAUTH Authentication required.", "password in REDIS_URL"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version", "redis:// or its TLS port"),
        ("[Errno -2] Name or service not known", "fly redis proxy"),
        ("the connection to Redis broke: closed", "rediss://"),
        ("[Errno 111] Connection refused", "start it"),
    ],
)
def test_each_way_of_not_reaching_redis_has_its_remedy(text: str, remedy: str) -> None:
    """By the words that were said."""
    assert remedy in server.unreachable(StoreUnavailable(text)).remedy


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("redis://:canary@fly-some.upstash.io:6379", "ok"),
        ("redis://:canary@top1.nearest.of.some.internal:6379", "ok"),
        ("redis://localhost/2", "ok"),
        ("rediss://:canary@example.com:6380", "ok"),
        ("redis://:canary@example.com", "warning"),
        ("rediss://:canary@fly-some.upstash.io:6379", "warning"),
        ("rediss://example.com?ssl_cert_reqs=none", "warning"),
        ("redis://localhost?socket_timeout=1", "warning"),
        ("redis://localhost?db=1", "ok"),
        ("redis://:pass#canary@localhost", "failed"),
        ("redis://[::1", "failed"),
    ],
)
def test_a_url_is_judged_by_what_both_sides_read(url: str, verdict: str) -> None:
    """And no judgement repeats the password."""
    found = configuration.check_url(url)

    assert verdict == found.verdict, found
    assert "canary" not in found.text


@pytest.mark.parametrize(
    ("secret", "verdict"),
    [
        ("0123456789abcdef" * 2, "failed"),
        ("a" * 32, "failed"),
        ("abcabcab" + "cbacbacb" * 3 + "a", "failed"),
        ("3f9a0c5e7d21b864f0a93c5d7e12b468", "ok"),
    ],
)
def test_a_secret_that_repeats_itself_is_refused(secret: str, verdict: str) -> None:
    """Length alone does not make one."""
    found = configuration.check_secret_strength(secret)

    assert verdict == found.verdict
    assert secret not in found.text


@pytest.mark.parametrize(
    ("skew", "verdict"), [(0, "ok"), (-6, "warning"), (6, "warning"), (-400, "failed")]
)
def test_clocks_may_differ_a_little(skew: float, verdict: str) -> None:
    """Five seconds are noted, five minutes break signed requests."""
    found = clocks.check_clock("some clock", 1000.0 + skew, 1000.0)

    assert verdict == found.verdict
    assert "unknown" == clocks.check_clock("some clock", 1000.0, None).verdict


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 99 Nov 2026 07:00:00 GMT"])
def test_a_date_that_is_none_is_no_moment(date: str) -> None:
    """A proxy may leave it out."""
    assert clocks.moment_of(date) is None
    assert 1795244400.5 == clocks.moment_of("Sat, 21 Nov 2026 07:00:00 GMT")


@pytest.mark.parametrize(
    ("tokens", "apps", "verdict", "said"),
    [
        ([{"apps": ["tasks"]}], [], "ok", "only"),
        ([{"apps": ["tasks", "web"]}], [], "warning", "web"),
        ([{"apps": ["tasks"], "user": "u-1"}], [], "warning", "a person's"),
        ([], ["tasks", "web", "x", "y", "z"], "warning", "web, x, y and 1 more"),
        ([], [], "unknown", "does not say"),
    ],
)
def test_a_token_is_judged_by_all_that_it_reaches(
    tokens: list[dict[str, Any]], apps: list[str], verdict: str, said: str
) -> None:
    """Fly may tell it in either place, or in none."""
    found = fly.check_scope(
        facts(
            token=Reply(body={"tokens": tokens}),
            neighbours=Reply(body={"apps": [{"name": name} for name in apps]}),
        ),
        "tasks",
    )

    assert (verdict, True) == (found.verdict, said in found.text), found


def test_what_a_token_may_not_ask_is_unknown_and_never_well() -> None:
    """A narrow token is no reason for a false tick."""
    told = facts(token=FORBIDDEN, neighbours=FORBIDDEN)

    assert "unknown" == fly.check_scope(told, "tasks").verdict
    assert "unknown" == fly.check_secrets(FORBIDDEN, "tasks").verdict
    assert "unknown" == fly.check_region(FORBIDDEN, "ams").verdict
    assert "unknown" == fly.check_apart(FORBIDDEN, "tasks", "web").verdict
    assert "unknown" == fly.check_image("some/image:v1", [FORBIDDEN]).verdict
    assert "failed" == fly.check_leftovers(FORBIDDEN, {}, ()).verdict


def test_machines_of_the_old_secret_are_ours_too() -> None:
    """They were made before it was changed; a stranger's are not."""
    machines = [
        {
            "id": f"m-{secret}",
            "state": "started",
            "config": {
                "metadata": {
                    METADATA_SLOT: secret,
                    METADATA_OWNER: owner("jobs", secret),
                }
            },
        }
        for secret in ("new", "old", "strange")
    ]
    found = fly.slots_of(Reply(body=machines), owners("jobs", "new", "old", ""))

    assert {"new": "m-new", "old": "m-old"} == found


@pytest.mark.parametrize(
    ("image", "ref", "verdict"),
    [
        ("registry.fly.io/web:v1", {"tag": "v1"}, "ok"),
        ("registry.fly.io/web:v2", {"tag": "v1"}, "unknown"),
        (f"registry.fly.io/web@{DIGEST}", {"digest": DIGEST}, "ok"),
        (f"registry.fly.io/web:v2@{DIGEST}", {"digest": DIGEST}, "ok"),
        (f"registry.fly.io/web:v1@{DIGEST}", {"digest": "sha256:b"}, "unknown"),
        ("registry.fly.io/web", {"tag": "latest"}, "unknown"),
        ("registry.fly.io/other:v1", {"tag": "v1"}, "unknown"),
    ],
)
def test_an_image_is_known_by_a_machine_made_of_it(
    image: str, ref: dict[str, str], verdict: str
) -> None:
    """By digest if there is one, else by tag."""
    home = {"registry": "registry.fly.io", "repository": "web", "tag": "v1"}
    machine = {"id": "a", "image_ref": {**home, **ref}}

    assert verdict == fly.check_image(image, [Reply(body=[machine])]).verdict


HERE = {"python": "3.11.7", "cloudpickle": "3.1.2", "worker_lib": "0.1.0"}


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({}, "ok", "python 3.11.7, cloudpickle 3.1.2, worker_lib 0.1.0 on both sides"),
        ({"python": "3.11.2"}, "ok", "python 3.11.7 here and 3.11.2 in the image"),
        ({"python": "3.12.1"}, "failed", "python 3.11.7 here and 3.12.1 in the image"),
        ({"cloudpickle": "2.2.1"}, "warning", "cloudpickle 3.1.2 here and 2.2.1 in"),
        ({"worker_lib": "0.2.0"}, "warning", "worker_lib 0.1.0 here and 0.2.0 in"),
    ],
)
def test_versions_are_compared_by_what_pickles_depend_on(
    changes: dict[str, str], verdict: str, said: str
) -> None:
    """Another minor version of Python cannot work, another library may.

    What differs is never said to be the same, whether it matters or not.
    """
    found = probe.check_versions({**HERE, **changes}, HERE)

    assert (verdict, True) == (found.verdict, said in found.text), found
    assert ("the same" in found.text) is False


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (WaitTimeout("late"), "fly logs -a tasks"),
        (UnknownVersion("3.12"), "the Python that runs here"),
        (StoreUnavailable("gone"), "lines about Redis"),
        (JobFailed("no such task"), "this version of worker_lib"),
        (MachineError("refused"), "lines about the token"),
    ],
)
def test_each_end_of_a_probe_has_its_remedy(error: Exception, remedy: str) -> None:
    """By the class of what went wrong."""
    found = probe.check_probe(probe.Probe(error=error, took=1.0), TASKS)

    assert "failed" == found.verdict
    assert remedy in found.remedy


def test_one_foreign_signature_is_enough() -> None:
    """However many agree with us."""
    ours = signing.Evidence(what="app web", same=True)
    theirs = signing.Evidence(what="machine 1", same=False)

    assert "ok" == signing.check_secret_shared([ours]).verdict
    assert "failed" == signing.check_secret_shared([ours, theirs]).verdict
    assert "unknown" == signing.check_secret_shared([]).verdict


def test_every_form_of_a_secret_is_blanked_out() -> None:
    """The token with and without its scheme, the password as written and as meant."""
    environ = {
        "FLY_API_TOKEN": "FlyV1 fm2_first,fm2_second",
        "REDIS_URL": "redis://user:pass%40word@host:6379/1",
        "WORKER_LIB_SECRET": "0123456789",
    }
    quoted = "fm2_first fm2_second pass%40word pass@word 0123456789"

    found = redacted(failed("some", quoted, quoted), secrets_of(environ))

    assert " ".join(["[hidden]"] * 5) == found.text == found.remedy
    assert () == secrets_of({"REDIS_URL": "unix:///tmp/redis"})
