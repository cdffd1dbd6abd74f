"""The samples of a page under a byte budget: an index, and gzip chunks of what is drawn, which the page inflates when it needs them.

A line is a gzip stream of JSON in base64, which cannot end a ``<script>``. The first is the head of the index. Then follow, chunk by chunk,
the rows of the index, then what is drawn of these samples. Each line after them is the data URI of a large picture or sound. Samples stand
in the order of their need, so that what does not fit is what matters least.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import Any

from ..harness.api.scorecard import SampleView
from ..harness.api.visible_text import make_visible
from ..harness.system.disk_texts import DiskTexts
from .display import clip
from .explorer import draw_sample
from .media import Media
from .sample_index import TEXT_LIMIT, Numbers, Profiles, write_text

CHUNK_BYTES = 128 * 1024
"""Size of a chunk before compression: it takes some milliseconds to inflate."""
_ID_LIMIT = 300


def pack_samples(samples: Collection[SampleView], budget: int, /) -> str:
    """Return the lines with as many samples as fit.

    ``samples``: all samples of the run; they are iterated once, and never all in memory.
    ``budget``: the largest size in bytes.
    """
    packed = _Packed(budget)
    for sample in samples:
        packed.add(sample)
    return "\n".join(packed.write())


class _Packed:
    """What the page may hold of the samples, on disk, except for what tells them apart."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._profiles, self._numbers, self._media = Profiles(), Numbers(), Media(budget)
        self._said, self._drawn = DiskTexts(), DiskTexts()

    def add(self, sample: SampleView) -> None:
        """Add the next sample."""
        self._profiles.add(sample)
        self._numbers.add(sample)
        text = write_text(sample)
        need = cache(self._profiles.take_turn)
        drawn = draw_sample(sample, text.partition("\n")[0])
        self._said.append(_dump([make_visible(clip(sample.id, _ID_LIMIT)), text]))
        self._drawn.append(_make_encoder(lambda media: self._media.add(media, need()))(drawn))

    def write(self) -> list[str]:
        """Return the lines with as many samples as fit."""
        budget = self._budget
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
        numbers, media = self._media.write(room)
        head |= {"left": encoded.count_left(order[: starts[-1]]), "starts": starts, "media": numbers}
        return [_compress(_dump(head)), *rows, *drawn, *media]

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
    """Return texts of JSON as a list."""
    return b"[%s]" % b",".join([texts[place] for place in places])


def _compress(text: str | bytes) -> str:
    """Return a text as gzip in base64, equal for equal texts."""
    return base64.b64encode(gzip.compress(text.encode() if isinstance(text, str) else text, 6, mtime=0)).decode()


def _make_encoder(default: Callable[[Any], Any] | None = None) -> Callable[[Any], str]:
    """Return a function that writes JSON. ``default``: what stands for a value that is no JSON."""
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default).encode


_dump = _make_encoder()
