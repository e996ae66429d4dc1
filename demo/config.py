"""How the demo is set up: read once, when the app is made.

Variables of the services are those of `worker.services`. Of those the app itself needs
only what is no secret: the keys belong to the machines, and on Fly to the tasks app.
The demo's own are

- `DEMO_SECRET_KEY`, which signs cookies; without it a key made from
  `WORKER_LIB_SECRET`, and without both a random one that is good until the next start;
- `DEMO_HOSTS`, names besides its own under which the app may be reached;
- `DEMO_ALLOWED_RECIPIENTS`, who may get real mail.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from worker.services import (
    MAIL_VARIABLES,
    STORAGE_VARIABLES,
    MailSettings,
    NotConfigured,
    StorageSettings,
    files_origin,
    is_loopback,
)
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DemoConfig", "Recipients", "Service", "machines_elsewhere"]

_REAL_MAIL = "Mails go out through Mailjet, from {sender}."
_REAL_FILES = "Files go to the bucket {bucket}."
_STANDIN_MAIL = (
    "a mail catcher on this computer speaks its protocol; no mail leaves it."
)
_STANDIN_FILES = (
    "moto on this computer speaks its protocol; files are gone when it stops."
)
_UNKNOWN_MAIL = (
    "This app does not know who mails come from: set MAILJET_SENDER here, too. "
    "Mailjet's keys are needed by the machines only."
)
_UNKNOWN_FILES = (
    "This app does not know where files are kept, so its pages may not show pictures: "
    "set AWS_REGION and S3_BUCKET here, too (and S3_ENDPOINT_URL, if the machines "
    "have it). The bucket's keys are needed by the machines only."
)
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service the tasks need, and what takes its place here.

    Attributes:
        state: `real`, `standin`, or `missing` (jobs that need it will fail, or their
            results cannot be shown).
        note: A sentence for people.
    """

    name: str
    state: Literal["real", "standin", "missing"]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """Who may get mail: an app that mails anyone for anyone is an open relay.

    Attributes:
        addresses: Whole addresses, or `@domain` for everyone there; `*` for anybody.
    """

    addresses: frozenset[str]

    def __bool__(self) -> bool:
        """Say whether anybody may get mail at all."""
        return bool(self.addresses)

    def allow(self, address: str) -> bool:
        """Say whether this address may get mail."""
        address = address.lower()
        domain = "@" + address.rpartition("@")[2]
        return not self.addresses.isdisjoint({"*", address, domain})


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """Everything that the app wants to know of its surroundings.

    Attributes:
        on_fly: Whether Fly's proxy is in front, so that its headers can be trusted.
        public: Whether strangers may come: on Fly, or where `DEMO_HOSTS` is set. They
            are told what went wrong, and nothing of the server.
        fly_bills: Whether machines are Fly's; those of an emulator cost nothing.
        hosts: Names that a request may be for, in lower case, without ports.
        outbox_url: Where the mail catcher lists what it caught; "" without one.
        files_origin: Scheme and host of links to stored files; "" if not known.
        machine_env: Variables that lead a machine to the stand-ins. Real credentials
            are never among them: they are the tasks app's secrets.
    """

    services: tuple[Service, ...]
    recipients: Recipients
    on_fly: bool
    public: bool
    fly_bills: bool
    hosts: frozenset[str]
    outbox_url: str
    files_origin: str
    machine_env: Mapping[str, str]
    secret_key: str = field(repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> DemoConfig:
        """Return the set-up; missing credentials are noted, not refused.

        Raises:
            ConfigError: a list holds what cannot be meant.
        """
        mail, storage = _mail(environ), _storage(environ)
        on_fly = bool(environ.get("FLY_APP_NAME"))
        caught = isinstance(mail, MailSettings) and mail.is_standin
        listed_hosts = _listed_hosts(environ)
        public = on_fly or bool(listed_hosts)
        own = {f"{environ['FLY_APP_NAME']}.fly.dev"} if on_fly else _LOCAL_HOSTS
        return cls(
            services=(_mail_service(mail, environ), _storage_service(storage, environ)),
            recipients=_recipients(environ, deny=on_fly or (public and not caught)),
            on_fly=on_fly,
            public=public,
            fly_bills=machines_elsewhere(environ),
            hosts=listed_hosts | own,
            outbox_url=f"{environ['MAILJET_API_URL']}outbox.json" if caught else "",
            files_origin=files_origin(environ),
            machine_env=_standin_variables(mail, storage, environ),
            secret_key=_secret_key(environ),
        )


def machines_elsewhere(environ: Mapping[str, str]) -> bool:
    """Say whether machines are Fly's, so that they have secrets we need not have."""
    token = environ.get("FLY_API_TOKEN") or environ.get("FLY_ACCESS_TOKEN")
    api = environ.get("FLY_API_HOSTNAME") or environ.get("FLY_FLAPS_BASE_URL") or ""
    return bool(token or environ.get("FLY_APP_NAME")) and not is_loopback(api)


def _mail(environ: Mapping[str, str]) -> MailSettings | NotConfigured:
    try:
        return MailSettings.load(environ)
    except NotConfigured as error:
        return error


def _storage(environ: Mapping[str, str]) -> StorageSettings | NotConfigured:
    try:
        return StorageSettings.load(environ)
    except NotConfigured as error:
        return error


def _standin_variables(
    mail: MailSettings | NotConfigured,
    storage: StorageSettings | NotConfigured,
    environ: Mapping[str, str],
) -> dict[str, str]:
    """Return what a machine needs to reach the stand-ins of this very run.

    A local stack may be older than they are, and then know others or none.
    """
    names: tuple[str, ...] = ()
    if isinstance(mail, MailSettings) and mail.is_standin:
        names += MAIL_VARIABLES
    if isinstance(storage, StorageSettings) and storage.is_standin:
        names += STORAGE_VARIABLES
    return {name: environ[name] for name in names}


def _mail_service(
    mail: MailSettings | NotConfigured, environ: Mapping[str, str]
) -> Service:
    if isinstance(mail, MailSettings) and mail.is_standin:
        return Service(name="Mailjet", state="standin", note=_STANDIN_MAIL)
    sender = environ.get("MAILJET_SENDER", "")
    if isinstance(mail, MailSettings) or (sender and machines_elsewhere(environ)):
        note = _REAL_MAIL.format(sender=sender)
        return Service(name="Mailjet", state="real", note=note)
    note = _UNKNOWN_MAIL if machines_elsewhere(environ) else str(mail)
    return Service(name="Mailjet", state="missing", note=note)


def _storage_service(
    storage: StorageSettings | NotConfigured, environ: Mapping[str, str]
) -> Service:
    if isinstance(storage, StorageSettings) and storage.is_standin:
        return Service(name="S3", state="standin", note=_STANDIN_FILES)
    elsewhere = machines_elsewhere(environ)
    bucket = environ.get("S3_BUCKET", "")
    known = bucket and files_origin(environ)
    if isinstance(storage, StorageSettings) or (known and elsewhere):
        note = _REAL_FILES.format(bucket=bucket)
        return Service(name="S3", state="real", note=note)
    note = _UNKNOWN_FILES if elsewhere else str(storage)
    return Service(name="S3", state="missing", note=note)


def _recipients(environ: Mapping[str, str], *, deny: bool) -> Recipients:
    """Return the list that was given; without one, nobody where strangers come.

    On a laptop the only visitor is its owner. What this app knows of the mail's keys
    says nothing: they may be with the machines only.
    """
    listed = frozenset(_words(environ, "DEMO_ALLOWED_RECIPIENTS"))
    for word in listed:
        if word != "*" and "@" not in word:
            raise ConfigError(
                f"DEMO_ALLOWED_RECIPIENTS has {word!r}: list addresses, @domains for "
                "everyone there, or * for anybody"
            )
    if not listed and not deny:
        return Recipients(addresses=frozenset({"*"}))
    return Recipients(addresses=listed)


def _listed_hosts(environ: Mapping[str, str]) -> frozenset[str]:
    listed = frozenset(_words(environ, "DEMO_HOSTS"))
    for word in listed:
        if any(mark in word for mark in "/:*@"):
            raise ConfigError(
                f"DEMO_HOSTS has {word!r}: list names only, such as demo.example.com"
            )
    return listed


def _words(environ: Mapping[str, str], name: str) -> list[str]:
    return environ.get(name, "").lower().replace(",", " ").split()


def _secret_key(environ: Mapping[str, str]) -> str:
    if given := environ.get("DEMO_SECRET_KEY"):
        return given
    if shared := environ.get("WORKER_LIB_SECRET"):
        return hmac.digest(shared.encode(), b"demo cookies", "sha256").hex()
    return secrets.token_urlsafe(32)
