"""The pictures and sounds of a page: each distinct one once, and whole ones as far as they fit, the most needed first."""

from __future__ import annotations

import base64
import hashlib
import heapq
import io
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..harness.modalities.image import Image
from ..harness.system.disk_texts import DiskTexts

INLINE_VALUES = 4_096
"""Number of values up to which a picture stands in its sample; of a larger one, the sample has a thumbnail."""
INLINE_BYTES = 6_000
"""Size up to which a sound stands in its sample."""
THUMBNAIL_PX = 128
_SMALLEST_PX = 96
_LARGEST_PX = 512
"""Longest side of a whole picture."""

_NUMBER_BYTES = 10
"""What the number of a whole one takes in the head of the samples, at most."""

Need = tuple[int, ...]
"""How soon a sample is needed; smaller ones come first."""
Drawn = str | dict[str, str | int]
"""What a sample holds of a picture or a sound: a data URI, or a thumbnail (empty for a sound) and the number of the whole one."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound. ``uri``: its data URI."""

    uri: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.uri.encode()).hexdigest()


class Media:
    """The pictures and sounds that samples show.

    Encoding a photograph takes longer than all else that a page does with its sample. Therefore a whole one is encoded only if it is still
    among the most needed when it is added.

    most_bytes: the largest size of the whole ones, together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._size = most_bytes, 0
        self._numbers: dict[str, int] = {}
        self._needs: list[Need] = []
        self._encoded = DiskTexts()
        self._places: dict[int, int] = {}
        self._least_needed: list[tuple[Need, int]] = []

    def add(self, media: Image | Sound, need: Need, /) -> Drawn:
        """Add a picture or a sound of a sample, and return what the sample holds of it."""
        if isinstance(media, Sound):
            return media.uri if len(media.uri) <= INLINE_BYTES else {"small": "", "whole": self._hold(media, need)}
        if media.pixels.size <= INLINE_VALUES:
            return encode_png(media)
        return {"small": make_thumbnail(media), "whole": self._hold(media, need)}

    def write(self, room: int, /) -> tuple[list[int], list[str]]:
        """Return the numbers of the whole ones that fit into ``room`` bytes, the most needed first, and their data URIs."""
        numbers, uris = list[int](), list[str]()
        for number in sorted(self._places, key=lambda number: (self._needs[number], number)):
            place = self._places[number]
            room -= self._encoded.size(place) + _NUMBER_BYTES
            if room < 0:
                break
            numbers.append(number)
            uris.append(self._encoded[place].decode())
        return numbers, uris

    def _hold(self, media: Image | Sound, need: Need) -> int:
        """Return the number of a picture or a sound. The whole one is encoded if it is needed more than those that fill the page."""
        number = self._numbers.setdefault(media.digest, len(self._numbers))
        if number == len(self._needs):
            self._needs.append(need)
        elif need >= self._needs[number]:
            return number
        self._needs[number] = need
        if number not in self._places:
            if self._size >= self._most and _reverse(need) <= self._least_needed[0][0]:
                return number
            uri = media.uri if isinstance(media, Sound) else encode_png(media)
            self._places[number] = len(self._encoded)
            self._encoded.append(uri)
            self._size += len(uri)
        heapq.heappush(self._least_needed, (_reverse(need), number))
        self._drop()
        return number

    def _drop(self) -> None:
        """Drop the least needed while the others fill the page."""
        while self._size >= self._most:
            need, number = self._least_needed[0]
            if number in self._places and need == _reverse(self._needs[number]):
                size = self._encoded.size(self._places[number])
                if self._size - size < self._most:
                    return
                del self._places[number]
                self._size -= size
            heapq.heappop(self._least_needed)


def _reverse(need: Need) -> Need:
    return tuple(-part for part in need)


@lru_cache(maxsize=64)
def encode_png(image: Image, /) -> str:
    """Return a picture as the data URI of a PNG.

    Small images are enlarged by integer factors without smoothing, so that pixels stay square. Large images are shrunk.
    Only runs of equal bytes are matched: zlib's search for other repetitions takes eight times as long for a photograph,
    and does not make it smaller.
    """
    pixels = _to_bytes(image)
    factor = max(1, -(-_SMALLEST_PX // max(pixels.shape[:2])))
    return _encode(pixels.repeat(factor, axis=0).repeat(factor, axis=1), _LARGEST_PX, "PNG", compress_type=zlib.Z_RLE)


@lru_cache(maxsize=64)
def make_thumbnail(image: Image, /) -> str:
    """Return a small picture as the data URI of a JPEG."""
    return _encode(_to_bytes(image)[:, :, :3], THUMBNAIL_PX, "JPEG", quality=70)


def _to_bytes(image: Image) -> NDArray[np.uint8]:
    """Return the pixels [H, W, C] in 0..255."""
    pixels = image.pixels
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8) if pixels.dtype != np.uint8 else np.asarray(pixels, np.uint8)


def _encode(pixels: NDArray[np.uint8], largest_px: int, form: str, **options: int) -> str:
    """Return pixels as a data URI, shrunk to this longest side."""
    import PIL.Image

    picture = PIL.Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    picture.thumbnail((largest_px, largest_px))
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
