"""What the environment makes of the demo."""

from __future__ import annotations

import os

import pytest

from demo import standins
from demo.config import DemoConfig, machines_elsewhere
from worker_lib.errors import ConfigError

MAIL = {
    "MAILJET_API_KEY": "key",
    "MAILJET_SECRET_KEY": "private",
    "MAILJET_SENDER": "Me@example.com",
}
CATCHER = {"MAILJET_API_URL": "http://127.0.0.1:5/"}
FLY = {"FLY_APP_NAME": "demo", "FLY_API_TOKEN": "t"}
S3 = {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "private",
    "AWS_REGION": "eu-west-1",
    "S3_BUCKET": "pictures",
}


def test_real_credentials_mean_the_real_services() -> None:
    """And their secrets go neither to a machine's settings nor into a repr."""
    config = DemoConfig.load({**MAIL, **S3})

    assert ["real", "real"] == [service.state for service in config.services]
    assert "https://pictures.s3.eu-west-1.amazonaws.com" == config.files_origin
    assert "" == config.outbox_url
    assert {} == config.machine_env
    assert "private" not in repr(config)


def test_stand_ins_are_known_by_their_loopback_address() -> None:
    """Machines are led to the ones of this run."""
    mail = {**MAIL, "MAILJET_API_URL": "http://127.0.0.1:5/"}
    files = {**S3, "S3_ENDPOINT_URL": "http://127.0.0.1:6"}
    config = DemoConfig.load({**mail, **files})

    assert ["standin", "standin"] == [service.state for service in config.services]
    assert "http://127.0.0.1:5/outbox.json" == config.outbox_url
    assert {**mail, **files} == config.machine_env


def test_an_empty_environment_is_no_reason_not_to_start() -> None:
    """What is missing is said."""
    services = DemoConfig.load({}).services

    assert ["missing", "missing"] == [service.state for service in services]
    assert "MAILJET_SENDER" in services[0].note
    assert "S3_BUCKET" in services[1].note


@pytest.mark.parametrize(
    "mail",
    [{}, {"MAILJET_SENDER": "me@example.com"}, MAIL, {**MAIL, **CATCHER}],
    ids=["nothing known", "keys with the machines", "keys here", "catcher"],
)
def test_a_public_app_mails_nobody_unless_told_whom(mail: dict[str, str]) -> None:
    """An app that mails anyone for anyone would be an open relay.

    Not even if it takes mail for missing: the machines may have the keys.
    """
    recipients = DemoConfig.load({**mail, "FLY_APP_NAME": "demo"}).recipients

    assert not recipients
    assert not recipients.allow("me@example.com")
    assert not recipients.allow("victim@example.com")


def test_an_app_under_a_name_of_its_own_is_public_too() -> None:
    """Outside Fly; but what a catcher takes goes to nobody."""
    hosts = {"DEMO_HOSTS": "Demo.example.com"}

    assert not DemoConfig.load({**MAIL, **hosts}).recipients
    assert DemoConfig.load({**MAIL, **CATCHER, **hosts}).recipients
    assert DemoConfig.load(hosts).public
    assert not DemoConfig.load(MAIL).public


def test_on_fly_the_app_knows_its_services_without_their_keys() -> None:
    """As the README deploys it, only the machines have those."""
    known = {"MAILJET_SENDER": "me@example.com", "AWS_REGION": "eu-west-1"}
    web = {**known, "S3_BUCKET": "pictures", **FLY}
    config = DemoConfig.load(web)

    assert ["real", "real"] == [service.state for service in config.services]
    assert "me@example.com" in config.services[0].note
    assert "https://pictures.s3.eu-west-1.amazonaws.com" == config.files_origin
    assert {} == config.machine_env
    elsewhere = {"S3_ENDPOINT_URL": "https://fly.storage.tigris.dev"}
    assert elsewhere["S3_ENDPOINT_URL"] == DemoConfig.load(web | elsewhere).files_origin


def test_on_fly_the_app_says_what_it_should_know_and_asks_for_no_keys() -> None:
    """It cannot know whether the machines have them."""
    services = DemoConfig.load(FLY).services

    assert "MAILJET_SENDER" in services[0].note
    assert "S3_BUCKET" in services[1].note
    told = " ".join(service.note for service in services)
    assert "API_KEY" not in told
    assert "ACCESS_KEY" not in told


def test_machines_of_an_emulator_are_not_elsewhere() -> None:
    """They have the environment of this computer."""
    emulator = {"FLY_API_TOKEN": "t", "FLY_API_HOSTNAME": "http://127.0.0.1:4280"}

    assert machines_elsewhere({"FLY_API_TOKEN": "t"})
    assert not machines_elsewhere(emulator)
    assert not machines_elsewhere({})


def test_stand_ins_are_not_started_for_machines_that_cannot_reach_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They would be led to their own loopback address."""
    monkeypatch.setenv("FLY_API_TOKEN", "t")

    with standins.running() as started:
        assert () == started
        assert "MAILJET_API_URL" not in os.environ


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEMO_HOSTS", "https://demo.example.com"),
        ("DEMO_HOSTS", "demo.example.com:443"),
        ("DEMO_ALLOWED_RECIPIENTS", "example.com"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(name: str, value: str) -> None:
    """It would silently refuse everybody."""
    with pytest.raises(ConfigError, match=f"{name} has '{value}'"):
        DemoConfig.load({name: value})


def test_cookies_outlive_a_restart_if_any_secret_is_set() -> None:
    """Fly stops and starts an app that nobody visits."""
    shared = {"WORKER_LIB_SECRET": "s" * 32}
    key = DemoConfig.load(shared).secret_key

    assert key == DemoConfig.load(shared).secret_key
    assert shared["WORKER_LIB_SECRET"] not in key
    own = {**shared, "DEMO_SECRET_KEY": "mine"}
    assert "mine" == DemoConfig.load(own).secret_key
    assert DemoConfig.load({}).secret_key != DemoConfig.load({}).secret_key


def test_allowed_recipients_are_addresses_domains_or_anybody() -> None:
    """With commas or spaces between, in any case."""
    listed = "One@example.com, @example.org"
    config = DemoConfig.load({**MAIL, "DEMO_ALLOWED_RECIPIENTS": listed})

    assert config.recipients.allow("one@EXAMPLE.com")
    assert config.recipients.allow("anyone@example.org")
    assert not config.recipients.allow("two@example.com")
    assert not config.recipients.allow("x@sub.example.org")
    anybody = DemoConfig.load({**MAIL, "DEMO_ALLOWED_RECIPIENTS": "*"})
    assert anybody.recipients.allow("two@example.com")


def test_on_ones_own_computer_anybody_may_get_mail() -> None:
    """The only visitor there is its owner."""
    assert DemoConfig.load(MAIL).recipients.allow("anybody@example.com")
