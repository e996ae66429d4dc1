"""The arguments of a job as JSON, where its preview tells all of them.

A preview is signed text. What it shows in full are plain values, written as Python
writes them; all else in it (a class, something hidden, cut or too deep) is no Python.
So it can be read without unpickling anything.
"""

from __future__ import annotations

import ast
import json
import math
from typing import Any, NamedTuple

from worker_lib.printable import printable

__all__ = ["PlainArguments", "plain_arguments"]


class PlainArguments(NamedTuple):
    """Arguments that are plain JSON values.

    Attributes:
        args: Those without a name.
        kwargs: Those with one.
    """

    args: list[Any]
    kwargs: dict[str, Any]

    def as_json(self) -> str:
        """Return them as people edit them: an object, or a list where none is named."""
        shown: Any = self.kwargs if self.kwargs or not self.args else self.args
        text = json.dumps(shown, ensure_ascii=False, indent=2)
        if printable(text) == text:
            return text
        return json.dumps(shown, indent=2).replace("\x7f", "\\u007f")

    @classmethod
    def from_json(cls, text: str) -> PlainArguments:
        """Return what a person has written.

        Raises:
            ValueError: it is neither an object nor a list.
        """
        value = json.loads(text, parse_constant=_no_number)
        if isinstance(value, dict):
            return cls([], value)
        if isinstance(value, list):
            return cls(value, {})
        raise ValueError('write an object, as {"name": 7}, or a list, as [7]')


def plain_arguments(preview: str | None) -> PlainArguments | None:
    """Return the arguments that a preview shows; None if it does not show all of them.

    Args:
        preview: As `Preview.args`.
    """
    if preview is None:
        return None
    try:
        call: Any = ast.parse(f"_({preview}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        args = [ast.literal_eval(one) for one in call.args]
        named = [(one.arg, ast.literal_eval(one.value)) for one in call.keywords]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    names = [name for name, _ in named]
    if not _is_json([args, [value for _, value in named]]) or (args and named):
        return None
    if None in names or len(set(names)) != len(names):
        return None
    return PlainArguments(args, dict(named))  # type: ignore[arg-type]  # no name is None


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(type(name) is str for name in value) and _is_json(
            list(value.values())
        )
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
