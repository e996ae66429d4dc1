"""Files in an S3 bucket: put, link, remove. The home of boto3.

Keys are random, so that nobody guesses one and nothing of a person's file name gets
into it; links are presigned and end after `LINK_TTL`.
"""

# ruff: noqa: PLC0415 - a machine loads only what its task needs
from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from worker.services import StorageSettings

__all__ = ["LINK_TTL", "StorageFailed", "Upload", "connect"]

LINK_TTL = 24 * 3600
"""Seconds for which a link works."""


class StorageFailed(Exception):
    """The bucket did not take a file, after boto3's own attempts; says why."""


class Upload:
    """Files that belong together: all of them are kept, or none.

    Use it as a context manager; leaving it with an exception (a cancelled job
    included) removes what was stored so far.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._client = connect(settings)
        self._keys: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            return
        from botocore.exceptions import BotoCoreError, ClientError

        for key in self._keys:
            # What went wrong before is what people should hear of.
            with suppress(BotoCoreError, ClientError):
                self._client.delete_object(Bucket=self._settings.bucket, Key=key)

    def put(self, folder: str, extension: str, data: bytes, content_type: str) -> str:
        """Store one file and return its key, `folder/<random>.extension`.

        Raises:
            StorageFailed: the bucket did not take it.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        bucket = self._settings.bucket
        key = f"{folder}/{secrets.token_urlsafe(18)}.{extension}"
        self._keys.append(key)
        try:
            self._client.put_object(
                Bucket=bucket, Key=key, Body=data, ContentType=content_type
            )
        except (BotoCoreError, ClientError) as error:
            raise StorageFailed(f"The bucket {bucket} took no file: {error}") from error
        return key

    def link(self, key: str, *, save_as: str = "") -> str:
        """Return a URL that anyone may use for `LINK_TTL`.

        Args:
            save_as: Name that a browser saves the file under, instead of showing it;
                letters, digits, dots, hyphens only, since it becomes a header.
        """
        params = {"Bucket": self._settings.bucket, "Key": key}
        if save_as:
            params["ResponseContentDisposition"] = f'attachment; filename="{save_as}"'
        url: str = self._client.generate_presigned_url(
            "get_object", Params=params, ExpiresIn=LINK_TTL
        )
        return url


def connect(settings: StorageSettings) -> Any:
    """Return a boto3 client of S3; nothing is sent before its first call."""
    import boto3
    from botocore.config import Config

    # The host that the browser is told to allow images from has to be the one in the
    # links: path style for a given endpoint, bucket and region in AWS's host name.
    style = "path" if settings.endpoint_url else "virtual"
    return boto3.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url
        or f"https://s3.{settings.region}.amazonaws.com",
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": style}),
    )
