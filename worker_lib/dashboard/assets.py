"""Style, scripts and icons, compressed once, at addresses that name their version.

So a browser may keep them for a year: what changes gets another address.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flask import Response
from werkzeug.exceptions import NotFound

if TYPE_CHECKING:
    from flask import Request

__all__ = ["FOLDER", "Assets"]

FOLDER = Path(__file__).with_name("static")
_SERVED = frozenset({".css", ".js", ".svg"})
_DIGITS = 12


class _Asset(NamedTuple):
    content_type: str
    plain: bytes
    packed: bytes


class Assets:
    """The files of `static`, read on first use."""

    @cached_property
    def files(self) -> dict[str, _Asset]:
        """Every file that browsers get, by its name."""
        found = sorted(FOLDER.rglob("*"))
        return {
            path.relative_to(FOLDER).as_posix(): _read(path)
            for path in found
            if path.suffix in _SERVED
        }

    @cached_property
    def version(self) -> str:
        """What changes when any of them does."""
        digest = hashlib.sha256()
        for name, asset in self.files.items():
            digest.update(name.encode() + asset.plain)
        return digest.hexdigest()[:_DIGITS]

    def response(self, request: Request, name: str) -> Response:
        """Return a file, compressed if the browser takes that.

        Raises:
            NotFound: as HTTP 404.
        """
        asset = self.files.get(name)
        if asset is None:
            raise NotFound
        packs = request.accept_encodings.quality("gzip") > 0
        response = Response(
            asset.packed if packs else asset.plain, content_type=asset.content_type
        )
        if packs:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _read(path: Path) -> _Asset:
    plain = path.read_bytes()
    kind = mimetypes.types_map.get(path.suffix, "text/plain")
    return _Asset(f"{kind}; charset=utf-8", plain, gzip.compress(plain, 9, mtime=0))
