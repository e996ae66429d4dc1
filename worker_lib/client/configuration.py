"""The settings for people: each with where it comes from, and no secret."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.errors import ConfigError
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

__all__ = ["SettingShown", "problems_of", "settings_in_use", "settings_of"]

_UNITS = (86400, "d"), (3600, "h"), (60, "m")


class SettingShown(NamedTuple):
    """A setting for people.

    Attributes:
        variable: That sets it, or would.
        value: None where it is a secret.
        text: The same for people; of a secret what may be shown.
        origin: `environment`, `default`, or `program`: the local stack, or what the
            program gave itself.
    """

    name: str
    variable: str
    value: Any
    text: str
    origin: str


def settings_of(environ: Mapping[str, str]) -> list[SettingShown]:
    """Return each setting as these variables have it, whether or not it can be used."""
    shown = []
    for setting in fields(Settings):
        variable, raw = _given(setting, environ)
        origin = "environment" if raw else "default"
        shown.append(_shown(setting, variable, raw or setting.default, origin))
    return shown


def settings_in_use(used: Settings, environ: Mapping[str, str]) -> list[SettingShown]:
    """Return each setting as this process uses it.

    Args:
        used: The settings of its client.
        environ: The variables of the process.
    """
    loaded = _loaded(environ)
    shown = []
    for setting in fields(Settings):
        variable, raw = _given(setting, environ)
        value = getattr(used, setting.name)
        origin = "environment" if raw else "default"
        if loaded is None or value != getattr(loaded, setting.name):
            origin = "program"
        shown.append(_shown(setting, variable, value, origin))
    return shown


def problems_of(environ: Mapping[str, str]) -> list[str]:
    """Return why these variables cannot be used, each with its remedy."""
    try:
        Settings.load(environ)
    except ConfigError as error:
        return [str(one) for one in error.problems]
    return []


def _loaded(environ: Mapping[str, str]) -> Settings | None:
    try:
        return Settings.load(environ)
    except ConfigError:
        return None


def _given(setting: Field[Any], environ: Mapping[str, str]) -> tuple[str, str]:
    names = setting.metadata["env"]
    variable = next((name for name in names if environ.get(name)), names[0])
    return variable, environ.get(variable, "")


def _shown(setting: Field[Any], variable: str, value: Any, origin: str) -> SettingShown:
    if setting.repr:
        return SettingShown(setting.name, variable, value, _text(value), origin)
    return SettingShown(setting.name, variable, None, _hidden(variable, value), origin)


def _text(value: Any) -> str:
    """Return a value as it may be written; numbers with a fraction are seconds."""
    if not isinstance(value, float):
        return str(value)
    whole = ((size, unit) for size, unit in _UNITS if value and value % size == 0)
    size, unit = next(whole, (1, "s"))
    return f"{value / size:.12g}{unit}"


def _hidden(variable: str, secret: str) -> str:
    """Return what may be shown of a secret: enough to compare two sides by."""
    if not secret:
        return ""
    if variable == "REDIS_URL":
        return _place(secret)
    if variable.startswith("WORKER_LIB_SECRET"):
        from worker_lib.calls.codec import key_id_of  # noqa: PLC0415 - not for --help

        return f"hidden, key id {key_id_of(secret.encode()).hex()}"
    return "hidden"


def _place(url: str) -> str:
    from worker_lib.store.address import parse  # noqa: PLC0415 - not for --help

    try:
        address = parse(url.strip())
    except ConfigError:
        return "hidden, cannot be read"
    login = "password hidden" if address.greeting else "no password"
    return f"{address.scheme}://{address.place} ({login})"
