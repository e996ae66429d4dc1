"""Names of images, and what their parts say.

Source: the reference grammar of the distribution project (registry, repository, tag,
digest); "Fly's registry" for apps: an app pushes to `registry.fly.io/<app>`; "The
Machine runtime environment" for the tags of deployments: each ends in a ULID, whose
order as text is that of time.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["image_app", "parse_image", "supersedes"]

_FLY_REGISTRY: Final = "registry.fly.io"
_IMAGE: Final = re.compile(
    r"(?:(?P<registry>[a-z0-9-]+(?:[.:][a-z0-9.:-]+)+)/)?"
    r"(?P<repository>[a-z0-9._-]+(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_DEPLOYMENT: Final = re.compile(r"deployment-[0-9A-HJKMNP-TV-Z]{26}")


def parse_image(image: str) -> dict[str, str] | None:
    """Return registry, repository, tag and digest, "" for what is not given.

    None if `image` is not the name of an image.
    """
    found = _IMAGE.fullmatch(image)
    return found.groupdict("") if found else None


def image_app(image: str) -> str:
    """Return the app that an image of Fly's registry was built for, or ""."""
    parts = parse_image(image) or {}
    return parts["repository"] if parts.get("registry") == _FLY_REGISTRY else ""


def supersedes(image: str, other: str) -> bool:
    """Say whether both were deployed for one app of Fly's registry, `other` earlier.

    False where that cannot be told from their names.
    """
    later, earlier = parse_image(image) or {}, parse_image(other) or {}
    app = image_app(image)
    if not app or app != image_app(other):
        return False
    tags = later.get("tag", ""), earlier.get("tag", "")
    return all(map(_DEPLOYMENT.fullmatch, tags)) and tags[0] > tags[1]
