"""An image as it is stored, decoded when somebody looks at it."""

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
"""Formats that Pillow decodes by itself: it hands PostScript to another program."""

MOST_PIXELS = 89_478_485
"""Pillow's own limit, above which it warns of a decompression bomb: 256 MiB as RGB."""


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """``name``: what messages call it. Its bytes are ``data``, else those of the file at ``path``."""

    name: str
    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def from_struct(cls, value: Any, name: str) -> EncodedImage | None:
        """Of the ``{bytes, path}`` that `datasets` stores; None where there is neither."""
        if not isinstance(value, Mapping) or not (value.get("bytes") or value.get("path")):
            return None
        data = value.get("bytes")
        return cls(str(value.get("path") or name), None if data else Path(value["path"]), data)

    def decode(self) -> Image:
        """The image upright, as its EXIF orientation says; of several frames the first. Raises `SampleError` where it does not decode."""
        from PIL import Image as Pillow
        from PIL import ImageOps

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of bombs, which are refused here, and of metadata that is of no concern
                with Pillow.open(self.path or io.BytesIO(self.data or b""), formats=_FORMATS) as opened:
                    width, height = opened.size
                    if width * height > MOST_PIXELS:
                        raise Pillow.DecompressionBombError
                    opened.load()
                    return ImageOps.exif_transpose(opened)
        except Pillow.DecompressionBombError as error:
            raise SampleError(f"image {self.name} has more than the {MOST_PIXELS:,} pixels that are read; store it smaller") from error
        except Exception as error:  # Pillow's decoders raise whatever a broken file makes them stumble over
            raise SampleError(f"image {self.name} does not decode: {type(error).__name__}: {error}") from error
