"""The samples of a page under a byte budget: an index, and gzip chunks of what is drawn, which the page inflates when it needs them.

A line is a gzip stream of JSON in base64, which cannot end a ``<script>``. The first is the head of the index. Then follow, chunk by chunk,
the rows of the index, then what is drawn of these samples, then large pictures and sounds. Samples stand in the order of their need, so
that what does not fit is what matters least.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from ..harness.api.scorecard import SampleView
from ..harness.api.visible_text import make_visible
from ..harness.system.disk_texts import DiskTexts
from ..harness.system.interrupts import is_interrupt
from .display import clip
from .explorer import Media, draw_sample
from .sample_index import TEXT_LIMIT, Numbers, Profiles, write_text

CHUNK_BYTES = 128 * 1024
"""Size of a chunk before compression: it takes some milliseconds to inflate."""
MEDIA_CHUNK_BYTES = 1024 * 1024
INLINE_BYTES = 6_000
"""Size up to which a picture stays as it is; of a larger one, every sample has a thumbnail."""
THUMBNAIL_PX = 128
_ID_LIMIT = 300


def pack_samples(samples: Collection[SampleView], budget: int, /) -> str:
    """Return the lines with as many samples as fit.

    ``samples``: all samples of the run; they are iterated once, and never all in memory.
    ``budget``: the largest size in bytes.
    """
    packed = _Packed()
    for sample in samples:
        packed.add(sample)
    return "\n".join(packed.write(budget))


class _Packed:
    """What the page may hold of the samples, on disk, except for what tells them apart."""

    def __init__(self) -> None:
        self._profiles, self._numbers = Profiles(), Numbers()
        self._said, self._drawn, self._media = DiskTexts(), DiskTexts(), DiskTexts()

    def add(self, sample: SampleView) -> None:
        """Add the next sample."""
        self._profiles.add(sample)
        self._numbers.add(sample)
        text = write_text(sample)
        drawn = draw_sample(sample, text.partition("\n")[0])
        written, media = _dump(drawn), dict[str, int]()
        if _IS_MEDIA in written:
            written = _dump(_take_out(drawn, media))
        self._said.append(_dump([make_visible(clip(sample.id, _ID_LIMIT)), text]))
        self._drawn.append(written)
        self._media.append(_dump(list(media)) if media else "")

    def write(self, budget: int) -> list[str]:
        """Return the lines with as many samples as fit."""
        order, encoded = self._profiles.rank(), self._profiles.encode()
        head = {
            "num": len(order), "text_limit": TEXT_LIMIT, "numbers": [make_visible(clip(name, 100)) for name in self._numbers.names],
            "facets": encoded.facets, "profiles": encoded.profiles,
        }  # fmt: skip
        # A bit per profile and some digits per chunk: the counts that stand in the head are known at the end.
        room = budget - len(_compress(_dump(head | {"left": encoded.count_left(())}))) - len(encoded.profiles) // 4 - 100
        starts, rows, drawn = [0], list[str](), list[str]()
        for places in _split(order, self._drawn.size, min(CHUNK_BYTES, budget // 50)):
            lines = _compress(self._write_rows(places, encoded.of[places].tolist())), _compress(_join(self._drawn, places))
            room -= sum(map(len, lines)) + 20
            if room < 0:
                break
            starts.append(starts[-1] + len(places))
            rows.append(lines[0])
            drawn.append(lines[1])
        kept = order[: starts[-1]]
        media_starts, large = [0], list[str]()
        for places in _split(kept, self._media.size, min(MEDIA_CHUNK_BYTES, budget // 50)):
            line = _compress(_join(self._media, places))
            room -= len(line) + 10
            if room < 0:
                break
            media_starts.append(media_starts[-1] + len(places))
            large.append(line)
        head |= {"left": encoded.count_left(kept), "starts": starts, "media_starts": media_starts}
        return [_compress(_dump(head)), *rows, *drawn, *large]

    def _write_rows(self, places: Sequence[int], profiles: Sequence[int]) -> bytes:
        """Return the rows of the index for these samples: ids with texts, and columns."""
        columns = {"said": _join(self._said, places), "numbers": self._numbers.write(places).encode(), "places": _dump(places).encode(),
                   "profile": _dump(profiles).encode()}  # fmt: skip
        return b"{%s}" % b",".join([b'"%s":%s' % (name.encode(), column) for name, column in columns.items()])


def _split(order: Sequence[int], size: Callable[[int], int], most: int) -> Iterator[Sequence[int]]:
    """Yield the places in this order, in chunks whose texts take about ``most`` bytes, at least one each."""
    start = total = 0
    for end, place in enumerate(order):
        added = size(place)
        if end > start and total + added > most:
            yield order[start:end]
            start, total = end, 0
        total += added
    if start < len(order):
        yield order[start:]


def _join(texts: DiskTexts, places: Sequence[int]) -> bytes:
    """Return texts of JSON as a list; an empty one stands for an empty list."""
    return b"[%s]" % b",".join([texts[place] or b"[]" for place in places])


_IS_MEDIA = ";base64,"
"""What each picture and sound contains: without it, nothing has to be taken out of what is drawn."""


def _take_out(drawn: Any, media: dict[str, int]) -> Any:
    """Return what is drawn with large pictures and sounds replaced by ``[thumbnail, position in media]``, and add them to ``media``."""
    if isinstance(drawn, Media):
        if len(drawn) <= INLINE_BYTES:
            return drawn
        return [make_thumbnail(drawn), media.setdefault(drawn, len(media))]
    if isinstance(drawn, dict):
        return {name: _take_out(part, media) for name, part in drawn.items()}
    return [_take_out(part, media) for part in drawn] if isinstance(drawn, list) else drawn


def make_thumbnail(uri: str, /) -> str:
    """Return a small JPEG of a picture as a data URI; empty for a sound, and for a picture that cannot be read."""
    from PIL import Image

    if not uri.startswith("data:image/"):
        return ""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=70)
    except Exception as error:
        if is_interrupt(error):
            raise
        return ""  # a plugin's modality may give any bytes
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _compress(text: str | bytes) -> str:
    """Return a text as gzip in base64, equal for equal texts."""
    return base64.b64encode(gzip.compress(text.encode() if isinstance(text, str) else text, 6, mtime=0)).decode()


_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
