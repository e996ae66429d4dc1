"""Credentials of the two services, read from the environment when they are needed.

Standard names, so that what works for the services' own tools works here. A service
whose endpoint is on loopback is a stand-in: same protocol, nothing leaves the house.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "MAIL_VARIABLES",
    "STORAGE_VARIABLES",
    "MailSettings",
    "NotConfigured",
    "StorageSettings",
    "files_origin",
    "is_loopback",
]

MAIL_VARIABLES = (
    "MAILJET_API_KEY",
    "MAILJET_SECRET_KEY",
    "MAILJET_SENDER",
    "MAILJET_API_URL",
)
STORAGE_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "S3_BUCKET",
    "S3_ENDPOINT_URL",
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class NotConfigured(Exception):
    """A service cannot be used: variables of the environment are missing.

    Attributes:
        service: What people call it.
        missing: The variables' names.
    """

    def __init__(self, service: str, missing: tuple[str, ...]) -> None:
        self.service = service
        self.missing = missing
        # All that __init__ takes: so it can be pickled, and travel with a job.
        super().__init__(service, missing)

    def __str__(self) -> str:
        return (
            f"{self.service} is not set up: set {', '.join(self.missing)}, "
            "or run the demo with stand-ins (python -m demo.serve)."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """How to reach Mailjet.

    Attributes:
        api_key: `MAILJET_API_KEY`.
        secret_key: `MAILJET_SECRET_KEY`.
        sender: `MAILJET_SENDER`; an address that Mailjet has validated.
        api_url: `MAILJET_API_URL`; mailjet-rest takes Mailjet's hosts and loopback.
    """

    api_key: str
    secret_key: str = field(repr=False)
    sender: str
    api_url: str

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> MailSettings:
        """Return the settings.

        Raises:
            NotConfigured: names every variable that is missing.
        """
        *needed, optional = MAIL_VARIABLES
        api_key, secret_key, sender = _require("Mailjet", needed, environ)
        return cls(
            api_key=api_key,
            secret_key=secret_key,
            sender=sender,
            api_url=environ.get(optional) or "https://api.mailjet.com/",
        )

    @property
    def is_standin(self) -> bool:
        """Whether mail goes to a catcher on this computer."""
        return is_loopback(self.api_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """How to reach the S3 bucket.

    Attributes:
        access_key_id: `AWS_ACCESS_KEY_ID`.
        secret_access_key: `AWS_SECRET_ACCESS_KEY`.
        region: `AWS_REGION`.
        bucket: `S3_BUCKET`; it must exist.
        endpoint_url: `S3_ENDPOINT_URL`; empty for AWS itself.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str
    bucket: str
    endpoint_url: str

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> StorageSettings:
        """Return the settings.

        Raises:
            NotConfigured: names every variable that is missing.
        """
        *needed, optional = STORAGE_VARIABLES
        key_id, secret, region, bucket = _require("S3", needed, environ)
        return cls(
            access_key_id=key_id,
            secret_access_key=secret,
            region=region,
            bucket=bucket,
            endpoint_url=environ.get(optional, ""),
        )

    @property
    def is_standin(self) -> bool:
        """Whether files stay on this computer."""
        return is_loopback(self.endpoint_url)


def files_origin(environ: Mapping[str, str]) -> str:
    """Return scheme and host that links to stored files have, "" if it is not known.

    Needs no secrets, so that a web app whose machines have the keys can tell, too.
    """
    if endpoint := environ.get("S3_ENDPOINT_URL"):
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{parts.netloc}"
    region, bucket = environ.get("AWS_REGION"), environ.get("S3_BUCKET")
    return f"https://{bucket}.s3.{region}.amazonaws.com" if region and bucket else ""


def is_loopback(url: str) -> bool:
    """Say whether a URL leads to this computer."""
    return urlsplit(url).hostname in _LOOPBACK


def _require(
    service: str, names: Sequence[str], environ: Mapping[str, str]
) -> tuple[str, ...]:
    missing = tuple(name for name in names if not environ.get(name))
    if missing:
        raise NotConfigured(service, missing)
    return tuple(environ[name] for name in names)
