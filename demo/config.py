"""How the demo is set up: read once, when the app is made.

Variables of the services are those of `worker.services`; the demo's own are
`DEMO_SECRET_KEY`, which signs cookies (else random, good until the next start), and
`DEMO_ALLOWED_RECIPIENTS`, who may get real mail.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from worker.services import (
    MAIL_VARIABLES,
    STORAGE_VARIABLES,
    MailSettings,
    NotConfigured,
    StorageSettings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DemoConfig", "Recipients", "Service"]

_REAL_MAIL = "Mails go out through Mailjet."
_REAL_FILES = "Files go to the bucket {bucket}."
_STANDIN_MAIL = (
    "a mail catcher on this computer speaks its protocol; no mail leaves it."
)
_STANDIN_FILES = (
    "moto on this computer speaks its protocol; files are gone when it stops."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service the tasks need, and what takes its place here.

    Attributes:
        state: `real`, `standin`, or `missing` (jobs that need it will fail).
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
        outbox_url: Where the mail catcher lists what it caught; "" without one.
        files_origin: Scheme and host of links to stored files; "" without storage.
        machine_env: Variables that lead a machine to the stand-ins. Real credentials
            are never among them: they are the tasks app's secrets.
    """

    services: tuple[Service, ...]
    recipients: Recipients
    on_fly: bool
    outbox_url: str
    files_origin: str
    machine_env: Mapping[str, str]
    secret_key: str = field(repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> DemoConfig:
        """Return the set-up; missing credentials are noted, not refused."""
        mail, storage = _mail(environ), _storage(environ)
        on_fly = bool(environ.get("FLY_APP_NAME"))
        caught = isinstance(mail, MailSettings) and mail.is_standin
        return cls(
            services=(_mail_service(mail), _storage_service(storage)),
            recipients=_recipients(mail, environ, on_fly=on_fly),
            on_fly=on_fly,
            outbox_url=f"{environ['MAILJET_API_URL']}outbox.json" if caught else "",
            files_origin=(
                storage.origin if isinstance(storage, StorageSettings) else ""
            ),
            machine_env=_standin_variables(mail, storage, environ),
            secret_key=environ.get("DEMO_SECRET_KEY") or secrets.token_urlsafe(32),
        )


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


def _mail_service(mail: MailSettings | NotConfigured) -> Service:
    if isinstance(mail, NotConfigured):
        return Service(name="Mailjet", state="missing", note=str(mail))
    if mail.is_standin:
        return Service(name="Mailjet", state="standin", note=_STANDIN_MAIL)
    return Service(name="Mailjet", state="real", note=_REAL_MAIL)


def _storage_service(storage: StorageSettings | NotConfigured) -> Service:
    if isinstance(storage, NotConfigured):
        return Service(name="S3", state="missing", note=str(storage))
    if storage.is_standin:
        return Service(name="S3", state="standin", note=_STANDIN_FILES)
    note = _REAL_FILES.format(bucket=storage.bucket)
    return Service(name="S3", state="real", note=note)


def _recipients(
    mail: MailSettings | NotConfigured, environ: Mapping[str, str], *, on_fly: bool
) -> Recipients:
    """Return the list that was given; without one, be strict where strangers come.

    Only a public app with real mail needs one: on a laptop the only visitor is its
    owner, and the catcher sends nothing. There, the sender's own address is allowed.
    """
    listed = (
        environ.get("DEMO_ALLOWED_RECIPIENTS", "").lower().replace(",", " ").split()
    )
    if listed:
        return Recipients(addresses=frozenset(listed))
    if on_fly and isinstance(mail, MailSettings) and not mail.is_standin:
        return Recipients(addresses=frozenset({mail.sender.lower()}))
    return Recipients(addresses=frozenset({"*"}))
