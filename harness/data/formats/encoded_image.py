"""An encoded image, decoded on access."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.errors import SampleError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"}
)
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000")
"""Formats that Pillow decodes in process; PostScript, for example, would start another program."""

MAX_PIXELS = 89_478_485
"""Pillow's limit, above which it warns of a decompression bomb: 256 MiB as RGB."""


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image file in memory (``data``) or on disk (``path``). ``name``: its name in messages."""

    name: str
    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def from_struct(cls, value: Any, name: str) -> EncodedImage | None:
        """Build an image from the ``{bytes, path}`` that `datasets` stores; None if it has neither."""
        if not isinstance(value, Mapping) or not (value.get("bytes") or value.get("path")):
            return None
        data = value.get("bytes")
        return cls(str(value.get("path") or name), None if data else Path(value["path"]), data)

    def decode(self) -> Image:
        """Decode the image (its first frame) and apply its EXIF orientation. Raises `SampleError` if that fails."""
        from PIL import Image as Pillow
        from PIL import ImageOps

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # bombs are refused below; warnings about metadata do not matter
                with Pillow.open(self.path or io.BytesIO(self.data or b""), formats=_FORMATS) as opened:
                    width, height = opened.size
                    if width * height > MAX_PIXELS:
                        raise Pillow.DecompressionBombError
                    opened.load()
                    return ImageOps.exif_transpose(opened)
        except Pillow.DecompressionBombError as error:
            raise SampleError(f"image {self.name} has more than {MAX_PIXELS:,} pixels, the limit; store it smaller") from error
        except Exception as error:  # Pillow's decoders raise exceptions of any type for a broken file
            raise SampleError(f"image {self.name} cannot be decoded: {type(error).__name__}: {error}") from error
