"""Settings: where values come from, what is refused and with which words."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from worker_lib.errors import ConfigError
from worker_lib.settings import Settings

SECRET = "0123456789abcdef" * 2
OLD = "fedcba9876543210" * 2

VARIABLES: list[tuple[str, str, str, object]] = [
    ("REDIS_URL", "redis_url", "rediss://:pw@host:6380/1", "rediss://:pw@host:6380/1"),
    ("REDIS_URL", "redis_url", " unix:///tmp/x ", "unix:///tmp/x"),
    ("FLY_API_TOKEN", "fly_api_token", "FlyV1 fm2_x", "FlyV1 fm2_x"),
    ("FLY_ACCESS_TOKEN", "fly_api_token", "fm2_y", "fm2_y"),
    ("FLY_TASKS_APP", "fly_app", "jobs", "jobs"),
    ("FLY_APP_NAME", "fly_app", "web", "web"),
    ("FLY_REGION", "region", "ams", "ams"),
    ("WORKER_IMAGE", "image", "registry.fly.io/a:b", "registry.fly.io/a:b"),
    ("FLY_IMAGE_REF", "image", "registry.fly.io/a:c", "registry.fly.io/a:c"),
    ("FLY_API_HOSTNAME", "api_hostname", "http://h:1", "http://h:1"),
    ("FLY_FLAPS_BASE_URL", "api_hostname", "http://h:2", "http://h:2"),
    ("WORKER_LIB_SECRET", "secret", SECRET, SECRET),
    ("WORKER_LIB_SECRET_OLD", "old_secret", OLD, OLD),
    ("WORKER_LIB_NAMESPACE", "namespace", "my-app_2", "my-app_2"),
    ("WORKER_LIB_MAX_MACHINES", "max_machines", "25", 25),
    ("WORKER_LIB_PARK", "park", "2", 2),
    ("WORKER_LIB_PREVIEWS", "previews", "off", "off"),
    ("WORKER_LIB_QUEUES", "queues", "urgent=3, bulk=1", "urgent=3,bulk=1"),
    ("WORKER_LIB_MAX_PAYLOAD", "max_payload_bytes", "300000", 300000),
    ("WORKER_LIB_MAX_OUTPUT", "max_output_bytes", "0", 0),
    ("WORKER_LIB_RESULT_TTL", "result_ttl", "2h", 7200.0),
    ("WORKER_LIB_PENDING_TTL", "pending_ttl", "1d", 86400.0),
    ("WORKER_LIB_LEASE_TTL", "lease_ttl", "5s", 5.0),
    ("WORKER_LIB_BOOT_TIMEOUT", "boot_timeout", "90", 90.0),
    ("WORKER_LIB_MAX_LIFETIME", "max_lifetime", "1h", 3600.0),
    ("WORKER_LIB_MAX_GENERATIONS", "max_generations", "3", 3),
    ("WORKER_LIB_NESTED_RATE", "nested_rate", "1000", 1000),
    ("WORKER_LIB_HOOKS", "hooks", "shop.hooks", "shop.hooks"),
    ("WORKER_LIB_RUNTIME", "runtime", "docker", "docker"),
    (
        "WORKER_LIB_DASHBOARD_PASSWORD",
        "dashboard_password",
        "open sesame",
        "open sesame",
    ),
    ("WORKER_LIB_DASHBOARD_READ_PASSWORD", "dashboard_read_password", "look", "look"),
    ("WORKER_LIB_METRICS_TOKEN", "metrics_token", "t" * 16, "t" * 16),
    ("WORKER_LIB_LOCAL_PATH", "local_path", "/srv", "/srv"),
    ("WORKER_LIB_LOCAL_ENV", "local_env", "0123ab", "0123ab"),
    ("WORKER_LIB_LOCAL_STAY", "local_stay", "1h", 3600.0),
]

BOUNDS = [
    ("WORKER_LIB_RUNTIME", "podman", "use process or docker"),
    ("WORKER_LIB_MAX_MACHINES", "0", "use a whole number from 1"),
    ("WORKER_LIB_MAX_MACHINES", "many", "use a whole number from 1"),
    ("WORKER_LIB_PARK", "-1", "use a whole number from 0"),
    ("WORKER_LIB_QUEUES", "high low", "is no name of a queue"),
    ("WORKER_LIB_MAX_PAYLOAD", "262143", "use a whole number from 262144"),
    ("WORKER_LIB_MAX_OUTPUT", "-1", "use a whole number from 0"),
    ("WORKER_LIB_MAX_GENERATIONS", "0", "use a whole number from 1"),
    ("WORKER_LIB_NESTED_RATE", "0", "use a whole number from 1"),
    ("WORKER_LIB_RESULT_TTL", "0.5s", "it must be 1 s or more"),
    ("WORKER_LIB_PENDING_TTL", "59s", "it must be 60 s or more"),
    ("WORKER_LIB_LEASE_TTL", "100ms", "it must be 0.2 s or more"),
    ("WORKER_LIB_BOOT_TIMEOUT", "0", "it must be 1 s or more"),
    ("WORKER_LIB_MAX_LIFETIME", "0", "it must be 1 s or more"),
    ("WORKER_LIB_LEASE_TTL", "soon", "is not a duration"),
    ("WORKER_LIB_NAMESPACE", "a:b", "use letters, digits, '-' and '_'"),
    ("WORKER_LIB_NAMESPACE", "a{b}", "use letters, digits, '-' and '_'"),
    ("WORKER_LIB_NAMESPACE", "--", "use letters, digits, '-' and '_'"),
    ("WORKER_LIB_NAMESPACE", "café", "use letters, digits, '-' and '_'"),
]


def problems(environ: dict[str, str], **explicit: Any) -> tuple[str, ...]:
    """Return the sentences with which these settings are refused."""
    with pytest.raises(ConfigError) as caught:
        Settings.load(environ, **explicit)
    return tuple(map(str, caught.value.problems))


@pytest.mark.parametrize(("variable", "field", "raw", "expected"), VARIABLES)
def test_each_variable_sets_its_field(
    variable: str, field: str, raw: str, expected: object
) -> None:
    """What is documented beside a field is what sets it."""
    assert expected == getattr(Settings.load({variable: raw}), field)


def test_every_field_has_a_variable_in_this_table() -> None:
    """A new field needs a line here, and a variable."""
    assert {one.name for one in dataclasses.fields(Settings)} == {
        field for _, field, _, _ in VARIABLES
    }


def test_the_documentation_of_each_field_names_its_variables() -> None:
    """The class's docstring is where people look variables up."""
    text = Settings.__doc__ or ""

    assert [] == [name for name, *_ in VARIABLES if f"`{name}`" not in text]


def test_an_argument_beats_the_environment_and_that_the_default() -> None:
    """The order of precedence is always the same."""
    environ = {"FLY_REGION": "ams", "WORKER_LIB_MAX_MACHINES": "5"}
    loaded = Settings.load(environ, region="fra")

    assert ("fra", 5, 60.0) == (
        loaded.region,
        loaded.max_machines,
        loaded.boot_timeout,
    )


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ("FLY_API_TOKEN", "FLY_ACCESS_TOKEN", "fly_api_token"),
        ("FLY_TASKS_APP", "FLY_APP_NAME", "fly_app"),
        ("WORKER_IMAGE", "FLY_IMAGE_REF", "image"),
        ("FLY_API_HOSTNAME", "FLY_FLAPS_BASE_URL", "api_hostname"),
    ],
)
def test_the_variable_of_our_own_beats_the_one_that_fly_sets(
    first: str, second: str, field: str
) -> None:
    """On Fly both are set, and only one was set by a person."""
    loaded = Settings.load({second: "http://b", first: "http://a"})

    assert "http://a" == getattr(loaded, field)


def test_an_empty_variable_counts_as_unset() -> None:
    """`FOO= python app.py` is how shells unset things."""
    environ = dict.fromkeys((name for name, *_ in VARIABLES), "")

    assert Settings() == Settings.load(environ)


@pytest.mark.parametrize(("variable", "raw", "words"), BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_name_and_value(
    variable: str, raw: str, words: str
) -> None:
    """The sentence has the variable, the value and the bound."""
    (problem,) = problems({variable: raw})

    assert problem.startswith(f"{variable}={raw!r}")
    assert words in problem


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 2.5, "2.5"])
def test_a_number_of_machines_is_whole(value: Any) -> None:
    """Nothing is rounded, and no number ends in another exception."""
    assert problems({}, max_machines=value)[0].startswith(f"max_machines={value!r}")


def test_an_argument_of_none_counts_as_not_given() -> None:
    """Callers pass their own optional arguments on."""
    assert Settings() == Settings.load({}, max_machines=None, region=None)


def test_a_short_secret_is_refused_without_being_shown() -> None:
    """A guessable key is no key."""
    (token,) = problems({"WORKER_LIB_METRICS_TOKEN": "hunter3"})
    (problem,) = problems({"WORKER_LIB_SECRET": "hunter2"})

    assert token.startswith("WORKER_LIB_METRICS_TOKEN is too short")
    assert "hunter3" not in token

    assert problem.startswith("WORKER_LIB_SECRET is 7 bytes long")
    assert "openssl rand -hex 32" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "http://:CANARY@host",
        "localhost:6379",
        "://:CANARY@host",
        "redis://:CANARY@[::1",
        "http://:CANARY\u2100@host",
    ],
)
def test_a_wrong_redis_url_is_refused_without_being_shown(url: str) -> None:
    """It has a password in it, so no part of it is repeated."""
    told = " ".join(_problems_or_none({"REDIS_URL": url}))

    assert "CANARY" not in told
    if not url.startswith("redis://"):
        assert "REDIS_URL is no Redis URL" in told


def _problems_or_none(environ: dict[str, str]) -> tuple[str, ...]:
    try:
        Settings.load(environ)
    except ConfigError as error:
        return tuple(map(str, error.problems))
    return ()


def test_an_unknown_variable_of_ours_offers_the_nearest() -> None:
    """A typing error in a variable's name would else go unnoticed."""
    assert (
        "unknown variable 'WORKER_LIB_SECRT': did you mean 'WORKER_LIB_SECRET'?",
    ) == problems({"WORKER_LIB_SECRT": "x"})


def test_an_unknown_argument_offers_the_nearest() -> None:
    """The same for code."""
    assert ("unknown setting 'max_machine': did you mean 'max_machines'?",) == problems(
        {}, max_machine=3
    )


def test_variables_of_others_and_those_of_the_launcher_are_left_alone() -> None:
    """Only what starts with our name is ours to judge."""
    environ = {"WORKER": "x", "WORKER_LIB_SLOT": "s", "WORKER_LIB_POOL": "p"}

    assert Settings() == Settings.load(environ)


def test_all_problems_are_told_at_once() -> None:
    """One round of corrections is enough."""
    environ = {
        "WORKER_LIB_SECRT": "x",
        "WORKER_LIB_SECRET": "short",
        "REDIS_URL": "http://",
        "WORKER_LIB_MAX_MACHINES": "0",
    }
    found = problems(environ, colour="red")

    assert 5 == len(found)
    assert "; ".join(found) == str(ConfigError(*found))


def test_no_secret_is_in_the_representation() -> None:
    """Settings end up in logs and in error trackers."""
    settings = Settings.load(
        {
            "REDIS_URL": "redis://:CANARY-1@host",
            "FLY_API_TOKEN": "CANARY-2",
            "WORKER_LIB_SECRET": "CANARY-3" * 4,
            "WORKER_LIB_SECRET_OLD": "CANARY-4" * 4,
        }
    )

    assert "CANARY" not in repr(settings)
    assert "CANARY" not in str(settings)


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        (True, {}),
        (True, {"WORKER_LIB_SECRET": SECRET}),
        (False, {"REDIS_URL": "redis://h"}),
        (False, {"FLY_API_TOKEN": "t"}),
    ],
)
def test_local_mode_needs_neither_redis_nor_token(
    expected: bool, environ: dict[str, str]
) -> None:
    """Nothing set means a stack of this folder's own."""
    assert expected is Settings.load(environ).local


def test_remote_mode_asks_for_redis_and_secret_with_remedies() -> None:
    """Both are told at once, each with what to do."""
    with pytest.raises(ConfigError) as caught:
        Settings(fly_api_token="t").require_remote()
    redis, secret = caught.value.problems

    assert str(redis).startswith(
        "REDIS_URL is not set but FLY_API_TOKEN is: set REDIS_URL"
    )
    assert "WORKER_LIB_SECRET is not set" == secret.text
    assert "openssl rand -hex 32" in secret.remedy


def test_remote_mode_is_content_with_redis_and_secret() -> None:
    """A process without a token can store calls."""
    Settings(redis_url="redis://h", secret=SECRET).require_remote()


def test_machines_ask_for_token_app_and_image_with_remedies() -> None:
    """Three things are needed to start a machine; each sentence has its remedy."""
    with pytest.raises(ConfigError) as caught:
        Settings().require_machines()

    assert ["FLY_API_TOKEN", "FLY_TASKS_APP", "WORKER_IMAGE"] == [
        one.source for one in caught.value.problems
    ]
    assert "fly tokens create deploy" in caught.value.problems[0].remedy


def test_machines_are_content_with_token_app_and_image() -> None:
    """Nothing else is asked for."""
    Settings(fly_api_token="t", fly_app="a", image="i").require_machines()


def test_settings_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().region = "ams"  # type: ignore[misc]  # that is the point
