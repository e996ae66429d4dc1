"""Hashes without OpenSSL, for what is small.

`hashlib` and `hmac` load OpenSSL: 4 ms, and 4 MB of memory in each process of a
machine. Python has SHA of its own besides, by which a short message is hashed faster;
a long one pays for the import.
"""

from __future__ import annotations

import sys
from _operator import _compare_digest as same_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol, Self

    class _Hash(Protocol):
        def copy(self) -> Self: ...
        def digest(self) -> bytes: ...
        def hexdigest(self) -> str: ...
        def update(self, data: bytes, /) -> None: ...


__all__ = ["LARGE_BYTES", "Mac", "same_digest", "sha1", "sha256"]

# From here on OpenSSL is several times faster, as processors help it.
LARGE_BYTES = 1 << 15
_BLOCK_BYTES = 64
_INNER, _OUTER = (bytes(at ^ pad for at in range(256)) for pad in (0x36, 0x5C))


def _builtin(module: str, name: str) -> Callable[[bytes], _Hash]:
    """Return Python's own hash; that of OpenSSL if this Python was built without."""
    try:
        found: Callable[[bytes], _Hash] = getattr(__import__(module), name)
    except ImportError:
        return _of_openssl(name)
    return found


def _of_openssl(name: str) -> Callable[[bytes], _Hash]:
    import hashlib  # noqa: PLC0415 - see above

    found: Callable[[bytes], _Hash] = getattr(hashlib, name)
    return found


_sha256 = _builtin("_sha2" if sys.version_info >= (3, 12) else "_sha256", "sha256")


def sha256(data: bytes) -> str:
    """Return the SHA-256 of these bytes in hexadecimal digits."""
    new = _sha256 if len(data) < LARGE_BYTES else _of_openssl("sha256")
    return new(data).hexdigest()


def sha1(data: bytes) -> str:
    """Return the SHA-1 of these bytes in hexadecimal digits; not for signatures."""
    return _builtin("_sha1", "sha1")(data).hexdigest()


class Mac:
    """HMAC-SHA256 with one key.

    Args:
        key: Of any length.
    """

    __slots__ = ("_inner", "_outer", "_padded")

    def __init__(self, key: bytes) -> None:
        short = _sha256(key).digest() if len(key) > _BLOCK_BYTES else key
        block = short.ljust(_BLOCK_BYTES, b"\0")
        self._padded = block.translate(_INNER)
        self._inner = _sha256(self._padded)
        self._outer = _sha256(block.translate(_OUTER))

    def digest(self, *pieces: bytes) -> bytes:
        """Return the MAC of these bytes, one after the other."""
        inner = self._start(pieces)
        for piece in pieces:  # a copy of them would cost a good part of their hash
            inner.update(piece)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def _start(self, pieces: Sequence[bytes]) -> _Hash:
        if max(map(len, pieces)) < LARGE_BYTES:
            return self._inner.copy()
        return _of_openssl("sha256")(self._padded)
