"""The samples of a page under a byte budget: an index, and gzip chunks of what is drawn, which the page inflates when it needs them.

A line is a gzip stream of JSON in base64, which cannot end a ``<script>``. The first is the index, then follow the chunks of samples, then
those of large pictures and sounds. Samples stand in the order of their need, so that what does not fit is what matters least.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..harness.api.scorecard import SampleView
from ..harness.api.visible_text import make_visible
from ..harness.system.disk_sequence import Spool
from ..harness.system.interrupts import is_interrupt
from .display import clip
from .explorer import Media, draw_sample
from .sample_index import MOST_NUMBERS, TEXT_LIMIT, Profiles, list_numbers, write_text

CHUNK_BYTES = 128 * 1024
"""Size of a chunk before compression: it takes some milliseconds to inflate."""
MEDIA_CHUNK_BYTES = 1024 * 1024
INLINE_BYTES = 6_000
"""Size up to which a picture stays as it is; of a larger one, every sample has a thumbnail."""
THUMBNAIL_PX = 128
_ID_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """What the page holds of a sample.

    ``text``: what is searched and listed. ``drawn``: JSON of what is drawn. ``media``: JSON of its large pictures and sounds, or empty.
    """

    id: str
    text: str
    numbers: dict[str, float]
    drawn: str
    media: str


def pack_samples(samples: Collection[SampleView], budget: int, /) -> str:
    """Return the lines with as many samples as fit.

    ``samples``: all samples of the run; they are iterated once, and never all in memory.
    ``budget``: the largest size in bytes.
    """
    profiles = Profiles()
    entries = Spool.of((_make_entry(sample, profiles) for sample in samples), block_length=1)
    order = profiles.rank()
    share = 1.0
    while True:
        lines = _pack(entries, profiles, order, budget, share)
        size = sum(map(len, lines)) + len(lines)
        if size <= budget or share < 0.01:
            return "\n".join(lines)
        share *= 0.98 * budget / size  # the estimated size of the index was too small


def _pack(entries: Sequence[Entry], profiles: Profiles, order: Sequence[int], budget: int, share: float) -> list[str]:
    """Return the lines. ``share``: the share of the budget that may be used."""
    room, kept, starts, lines = share * budget, 0, [0], []
    for chunk in _split(entries, order, "drawn", min(CHUNK_BYTES, budget // 50)):
        line = _compress(f"[{','.join(entry.drawn for entry in chunk)}]")
        room -= len(line) + len(_compress(_dump([[e.id, e.text, *e.numbers.values()] for e in chunk])))
        if room < 0:
            break
        kept += len(chunk)
        starts.append(kept)
        lines.append(line)
    large, media_starts, seen = [], [0], 0
    for chunk in _split(entries, order[:kept], "media", min(MEDIA_CHUNK_BYTES, budget // 50)):
        line = _compress(f"[{','.join(entry.media or '[]' for entry in chunk)}]")
        room -= len(line)
        if room < 0:
            break
        seen += len(chunk)
        media_starts.append(seen)
        large.append(line)
    index = _make_index(entries, order[:kept], len(order)) | profiles.encode(order[:kept])
    index |= {"starts": starts, "media_starts": media_starts}
    return [_compress(_dump(index)), *lines, *large]


def _split(entries: Sequence[Entry], order: Sequence[int], part: str, most: int) -> Iterator[list[Entry]]:
    """Yield the entries in this order, in chunks whose texts of a ``part`` take about ``most`` bytes, at least one each."""
    chunk: list[Entry] = []
    size = 0
    for place in order:
        entry = entries[place]
        added = len(entry.drawn if part == "drawn" else entry.media)
        if chunk and size + added > most:
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += added
    if chunk:
        yield chunk


def _make_index(entries: Sequence[Entry], kept: Sequence[int], num: int) -> dict[str, Any]:
    """Return the columns of the index: ids, texts, positions in the data, and numbers. ``num``: the number of all samples."""
    ids, texts, numbers = [], [], dict[str, list[float | None]]()
    for row, place in enumerate(kept):
        entry = entries[place]
        ids.append(entry.id)
        texts.append(entry.text)
        for name, value in entry.numbers.items():
            if name in numbers or len(numbers) < MOST_NUMBERS:
                numbers.setdefault(name, [None] * len(kept))[row] = value
    shown = {make_visible(clip(name, 100)): column for name, column in numbers.items()}
    return {"num": num, "text_limit": TEXT_LIMIT, "ids": ids, "texts": texts, "places": list(kept), "numbers": shown}


def _make_entry(sample: SampleView, profiles: Profiles) -> Entry:
    profiles.add(sample)
    drawn, text = draw_sample(sample), write_text(sample)
    first = text.partition("\n")[0]
    if drawn["input"] == {"kind": "text", "image": "", "texts": [["", [["=", first]], ""]], "note": ""}:
        del drawn["input"]  # the index has all of it
    media: dict[str, int] = {}
    thumbnailed = _take_out(drawn, media)
    return Entry(
        make_visible(clip(sample.id, _ID_LIMIT)), text, list_numbers(sample), _dump(thumbnailed), _dump(list(media)) if media else ""
    )


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


def _compress(text: str) -> str:
    """Return a text as gzip in base64, equal for equal texts."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
