"""What a page holds of its samples."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Held:
    """The index, in its order what is drawn of each sample, and the large pictures and sounds by number."""

    index: dict[str, Any]
    drawn: list[dict[str, Any]]
    media: dict[int, str]

    def answers(self, facet: str) -> list[list[str]]:
        """Return what each sample answers to a facet."""
        (place,) = (i for i, known in enumerate(self.index["facets"]) if known["name"] == facet)
        names = self.index["facets"][place]["answers"]
        return [[names[answer] for answer in self.index["profiles"][profile][place]] for profile in self.index["profile"]]


def unpack(lines: str) -> Held:
    """Read the lines of `pack_samples`."""
    first, *rest = lines.split("\n")
    head = _inflate(first)
    num = len(head["starts"]) - 1
    rows, drawn = ([_inflate(line) for line in part] for part in (rest[:num], rest[num : 2 * num]))
    columns = {name: [value for chunk in rows for value in chunk[name]] for name in ("said", "places", "profile")}
    columns |= {"ids": [said[0] for said in columns["said"]], "texts": [said[1] for said in columns["said"]]}
    numbers = {name: [value for chunk in rows for value in chunk["numbers"][i]] for i, name in enumerate(head["numbers"])}
    media = dict(zip(head["media"], rest[2 * num :], strict=True))
    return Held({**head, **columns, "numbers": numbers}, [one for chunk in drawn for one in chunk], media)


def _inflate(line: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(line, validate=True)))


def read_page(page: str) -> Held:
    """Read the samples of a page."""
    found = re.search(r'<script type="text/plain" id="samples">([^<]*)</script>', page)
    assert found is not None
    return unpack(found[1])
