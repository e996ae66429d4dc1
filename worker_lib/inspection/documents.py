"""What is read, as JSON: Python's names, times in ISO 8601 and UTC."""

from __future__ import annotations

from typing import Any

__all__ = ["as_document", "moment"]


def moment(at: float | None) -> str | None:
    """Return a time in ISO 8601, in UTC; None for none."""
    if at is None:
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - not for --help

    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def as_document(value: Any) -> Any:
    """Return a tuple with names, or several, as dicts and lists for JSON.

    Fields whose names end in `_at`, and `at`, are times.
    """
    if hasattr(value, "_fields"):
        return {
            name: _field(name, one)
            for name, one in zip(value._fields, value, strict=True)
        }
    if isinstance(value, dict):
        return {name: as_document(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_document(one) for one in value]
    return value


def _field(name: str, value: Any) -> Any:
    is_time = name == "at" or name.endswith("_at")
    return moment(value) if is_time and value is not None else as_document(value)
