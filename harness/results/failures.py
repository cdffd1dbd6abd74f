"""How many samples of each item failed, or of an item that it is computed from: such an item decides little, whatever its rows say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..items.base.results import RunResults
from ..store import StoredItem


@dataclass(frozen=True, slots=True)
class Failures:
    """``num``: the failed samples of an item. ``total``: all that it works on. ``first_error``: the error of the first failed one."""

    num: int
    total: int
    first_error: str

    @property
    def share(self) -> float:
        return self.num / max(1, self.total)


def list_failures(results: RunResults, own: Mapping[int, Failures], /) -> list[dict[str, Any]]:
    """Return the failures behind the numbers of each item that has rows, for the manifest; items without any are left out.

    ``results``: with all rows. ``own``: the failures of each item, by its id.

    They are those of the item or of the items that it is computed from, whichever has the largest share: a transfer has only the samples
    that its attack could work on.
    """
    stored = {(item.model, item.key): item for item in results.items}
    found = []
    for model, key in dict.fromkeys((row.model, row.key) for row in results.rows):
        item = stored.get((model, key))
        sources = results.kinds[key.kind].sources(model, key, results) if key.kind in results.kinds else []
        behind = [each for source in [*([item] if item else []), *sources] for each in _list_behind(source, results.items)]
        worst = max(behind, key=lambda each: own[each.id].share, default=None)
        if worst is not None and (failures := own[worst.id]).num:
            found.append({
                "model": model, "item": str(key), "num": failures.num, "of": failures.total, "where": f"{worst.model}/{worst.item}",
                "first_error": failures.first_error,
            })  # fmt: skip
    return found


def _list_behind(item: StoredItem, items: Iterable[StoredItem]) -> Iterator[StoredItem]:
    """Yield an item, its repetitions with other seeds, and the items whose records they read."""
    listed = list(items)
    waiting, seen = [item, *(other for other in listed if (other.model, other.key.first) == (item.model, item.key))], set[int]()
    while waiting:
        one = waiting.pop()
        if one.id not in seen:
            seen.add(one.id)
            yield one
            waiting += [other for other in listed if other.id in one.facts.get("rests_on", ())]
