"""A cache of the functions that came to a child by value."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Function: TypeAlias = Callable[..., Any]

__all__ = ["Functions"]

_MOST = 64
# Of pickled code; what it refers to is still a fraction of the smallest machine.
_MOST_BYTES = 16 * 1024 * 1024


class Functions:
    """The functions that were used last, by the hash of their code.

    The one that was put or used last always stays, whatever its size: the supervisor
    tells Redis that its child has it.

    Args:
        most: How many are kept.
        most_bytes: How large their code may be, all together.
    """

    def __init__(self, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[str, tuple[Function, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, code_hash: str) -> Function | None:
        """Return a function that is kept; None if it is not, or not any more."""
        found = self._kept.pop(code_hash, None)
        if found is None:
            return None
        self._kept[code_hash] = found
        return found[0]

    def put(self, code_hash: str, function: Function, size_bytes: int) -> None:
        """Keep a function; what was not used for longest goes if there is no room."""
        self._kept[code_hash] = (function, size_bytes)
        while len(self._kept) > 1 and self._is_over():
            del self._kept[next(iter(self._kept))]

    def _is_over(self) -> bool:
        size = sum(size for _, size in self._kept.values())
        return len(self._kept) > self._most or size > self._most_bytes
