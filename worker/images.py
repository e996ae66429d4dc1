"""Three JPEG sizes of one picture, made within the memory of a small machine.

Pixels are limited before any is decoded, and a JPEG is decoded no larger than needed,
so that a picture of 30 megapixels fits 512 MB and a decompression bomb never unfolds.
"""

# ruff: noqa: PLC0415 - a machine loads only what its task needs
from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BOXES", "ImageRefused", "Size", "resize"]

BOXES = {"thumb": 160, "medium": 640, "large": 1280}
"""Name of each size, and the side in pixels of the square that it fits in."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_MAX_PIXELS = 30_000_000
_QUALITY = 85
# Pillow scales these by picking pixels, which looks torn.
_UNSMOOTH = frozenset({"1", "P", "PA"})


class ImageRefused(Exception):
    """The file is not a picture that can be resized; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One finished size.

    Attributes:
        name: A key of `BOXES`.
        jpeg: The file; it carries no EXIF data, so no place and no camera.
    """

    name: str
    width: int
    height: int
    jpeg: bytes


def resize(data: bytes, filename: str) -> list[Size]:
    """Return the picture in every size of `BOXES`, smallest first.

    Turned upright as its EXIF data says, proportions kept, never enlarged; what is
    transparent becomes white; of an animation, the first frame.

    Args:
        filename: For messages only.

    Raises:
        ImageRefused: not a picture, damaged, or more than 30 million pixels.
    """
    try:
        original = _upright(_decode(data, filename))
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageRefused(
            f"{filename} cannot be read: it is damaged, "
            f"or no JPEG, PNG, WebP or GIF at all ({type(error).__name__})."
        ) from error
    return [_fit(original, name, box) for name, box in BOXES.items()]


def _decode(data: bytes, filename: str) -> Image:
    """Return the picture, sideways as it may be, at the largest size needed."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefused(f"{filename} is refused: {error}") from error
    if image.width * image.height > _MAX_PIXELS:
        raise ImageRefused(
            f"{filename} has {image.width} x {image.height} pixels; "
            f"more than {_MAX_PIXELS:,} are refused."
        )
    return _shrink(image)


def _shrink(image: Image) -> Image:
    """Return the picture no larger than needed: what follows copies it."""
    largest = max(BOXES.values())
    box = (largest, largest)
    image.draft("RGB", box)
    if image.mode in _UNSMOOTH:
        image = image.convert("RGBA")
    image.thumbnail(box)
    return image


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.has_transparency_data:
        return _on_white(turned)
    return turned.convert("RGB")


def _on_white(image: Image) -> Image:
    from PIL import Image as Pillow

    layer = image.convert("RGBA")
    white = Pillow.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _fit(original: Image, name: str, box: int) -> Size:
    """Return the picture scaled down to a square of `box` pixels."""
    image = original.copy()
    image.thumbnail((box, box))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return Size(name=name, width=image.width, height=image.height, jpeg=out.getvalue())
