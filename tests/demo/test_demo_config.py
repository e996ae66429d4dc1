"""What the environment makes of the demo."""

from __future__ import annotations

from demo.config import DemoConfig

MAIL = {
    "MAILJET_API_KEY": "key",
    "MAILJET_SECRET_KEY": "private",
    "MAILJET_SENDER": "Me@example.com",
}
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


def test_a_public_app_mails_only_its_owner_unless_told_otherwise() -> None:
    """An app that mails anyone for anyone would be an open relay."""
    public = DemoConfig.load({**MAIL, "FLY_APP_NAME": "demo"}).recipients

    assert public.allow("me@example.com")
    assert not public.allow("victim@example.com")


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
