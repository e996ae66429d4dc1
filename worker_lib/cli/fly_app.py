"""Which app the website is: as the person says, or as `fly.toml` does."""

from __future__ import annotations

import os
import re
from pathlib import Path

from worker_lib.errors import ConfigError

__all__ = ["APP_NAME", "web_app"]

# Source: Fly's rule for the names of apps: shorter than 63, a-z, 0-9 and -.
APP_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?")


def web_app(given: str | None, option: str = "--web-app") -> str:
    """Return the name of the website's app.

    Args:
        given: By the person; None: as `fly.toml` of this folder has it.
        option: What gives it.

    Raises:
        ConfigError: it is not known, or is no name of an app.
    """
    name = given or _from_file() or os.environ.get("FLY_APP_NAME", "")
    if not name:
        raise ConfigError(
            f"the website's app is not known: give {option} NAME, or run this in the "
            "folder that has its fly.toml"
        )
    if not APP_NAME.fullmatch(name):
        raise ConfigError(
            f"{option} {name!r}: use at most 62 of a-z, 0-9 and - for an app's name"
        )
    return name


def _from_file() -> str:
    import tomllib  # noqa: PLC0415 - not for --help

    try:
        told = tomllib.loads(Path("fly.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ConfigError(f"fly.toml cannot be read: {error}") from error
    app = told.get("app", "")
    return app if isinstance(app, str) else ""
