"""The samples whose result differs between two sides, with both outputs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ...api.comparison import Flip, FlipCount, RowChange
from ...api.item_key import ItemKey
from ...api.samples import Record, Sample
from ...api.scorecard import Twin
from ...items.base.kind import ItemKind
from ...items.base.view import SeenSample, answer, label, preview_input
from ...scorecard.counterparts import drop_models
from ...statistics import Evidence, get_evidence, pair_evidence
from ...statistics.evidence import hash_id
from ...store import FILE_NAME, Store, StoredItem
from .sides import Side

MOST_FLIPS = 100
"""The largest number of flips per item that a comparison lists; its counts cover all."""


@dataclass(frozen=True)
class Records:
    """The open store of a side, and its model's items by key (`drop_models`)."""

    store: Store
    items: Mapping[ItemKey, StoredItem]

    def of(self, key: ItemKey, ids: set[str]) -> dict[str, Record]:
        """Return the records of these samples, by id."""
        item = self.items.get(key)
        return {} if item is None else {record.sample_id: record for record in self.store.records(item, ids)}


@contextmanager
def open_records(side: Side, /) -> Iterator[Records | None]:
    """Open a side's records; None if it has no run folder."""
    if side.folder is None:
        yield None
        return
    store = Store.open(side.folder / FILE_NAME, readonly=True, checked=False)  # its scorecard was made of a checked one
    try:
        yield Records(store, {drop_models(item.key): item for item in store.items() if item.model == side.model})
    finally:
        store.close()


def find_flips(
    sides: tuple[Side, Side], records: tuple[Records | None, Records | None], changes: Sequence[RowChange], kinds: Mapping[str, ItemKind]
) -> tuple[list[Flip], list[FlipCount]]:
    """Return the flips of the headline rows that are rates, and their numbers by slice and class.

    ``sides``, ``records``: of the baseline and the candidate. Without records of a side, its outputs are not known;
    without any, there are only numbers.
    """
    flips: list[Flip] = []
    counts: list[FlipCount] = []
    for change in changes:
        key = drop_models(change.row.key)
        outcomes = _pair_outcomes(change, *(get_evidence(side.rows[key, change.row.name]) for side in sides if change.is_headline
                                            and (key, change.row.name) in side.rows))  # fmt: skip
        if not outcomes:
            continue
        source = records[1] or records[0]
        samples = list(_read_samples(source, key, outcomes))
        counts += _count(change.row.key, outcomes, samples)
        found = _describe(change.row.key, key, outcomes, samples, records, kinds)
        for name, worst_first in (("regressed", -1), ("fixed", 1)):
            named = [flip for flip in found if flip.change == name]
            flips += sorted(named, key=lambda flip: worst_first * (flip.size or 0.0))[:MOST_FLIPS]
    return flips, counts


def _pair_outcomes(change: RowChange, *evidence: Evidence | None) -> dict[int, tuple[bool, bool]]:
    """Return whether each sample is good on both sides, by the hash of its id; empty if the row is no rate."""
    if len(evidence) != 2 or evidence[0] is None or evidence[1] is None:
        return {}
    pair = pair_evidence(evidence[0], evidence[1])
    scores = [each.statistic.per_sample(each.columns, each.labels) for each in pair if len(each.ids_N)]
    values = [score.values_N for score in scores if score is not None and set(score.values_N.tolist()) <= {0.0, 1.0}]
    if len(values) != 2:
        return {}
    good = 1.0 if change.row.higher_is_better else 0.0
    return {
        int(key): (before == good, after == good)
        for key, before, after in zip(pair[0].ids_N.tolist(), values[0].tolist(), values[1].tolist(), strict=True)
    }


def _read_samples(records: Records | None, key: ItemKey, outcomes: Mapping[int, tuple[bool, bool]]) -> Iterator[Sample]:
    """Yield the compared samples; flipped ones whole, others without their input."""
    if records is None or key not in records.items:
        return
    for sample in records.store.samples(key.task):
        if (outcome := outcomes.get(hash_id(sample.id))) is not None:
            yield sample if outcome[0] != outcome[1] else replace(sample, input="")


def _count(key: ItemKey, outcomes: Mapping[int, tuple[bool, bool]], samples: Sequence[Sample]) -> list[FlipCount]:
    parts: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    parts["all", ""] = list(outcomes.values())
    for sample in samples:
        for part, name in (("slice", sample.metadata.get("slice")), ("class", _name_class(sample))):
            if name is not None:
                parts[part, str(name)].append(outcomes[hash_id(sample.id)])
    counts = [
        FlipCount(key, part, name, sum(b and not a for b, a in pairs), sum(a and not b for b, a in pairs), len(pairs))
        for (part, name), pairs in parts.items()
    ]
    return [count for count in counts if count.part == "all" or count.regressed or count.fixed]


def _name_class(sample: Sample) -> str | None:
    return label(sample.target, sample.labels) if sample.labels else None


def _describe(
    own_key: ItemKey, key: ItemKey, outcomes: Mapping[int, tuple[bool, bool]], samples: Sequence[Sample],
    records: tuple[Records | None, Records | None], kinds: Mapping[str, ItemKind],
) -> list[Flip]:  # fmt: skip
    flipped = [sample for sample in samples if len(set(outcomes[hash_id(sample.id)])) == 2]
    ids = {sample.id for sample in flipped}
    found = [{} if side is None else side.of(key, ids) for side in records]
    items = [None if side is None else side.items.get(key) for side in records]
    flips = []
    for sample in flipped:
        pair = [each.get(sample.id) for each in found]
        before, after = (_show_output(sample, item, record, kinds) for item, record in zip(items, pair, strict=True))
        flips.append(
            Flip(own_key, sample.id, "fixed" if outcomes[hash_id(sample.id)][1] else "regressed", before, after,
                 label(sample.target, sample.labels), str(sample.metadata.get("slice", "")), preview_input(sample.input),
                 _measure(sample, *pair))
        )  # fmt: skip
    return flips


def _show_output(sample: Sample, item: StoredItem | None, record: Record | None, kinds: Mapping[str, ItemKind]) -> str | None:
    """Return the output of a side as text; with the perturbed text for an attack."""
    if item is None or record is None:
        return None
    text = record.error or answer(record, sample.labels)
    view = None if item.key.is_task or item.kind not in kinds else kinds[item.kind].view(SeenSample(sample, item, record, None, ()))
    if isinstance(view, Twin):
        if view.input is None or not view.input.text:
            return view.note or text
        return f"{text or view.note}: {view.input.text}"
    return text


def _measure(sample: Sample, before: Record | None, after: Record | None) -> float | None:
    """Return the loss of probability of the target; None if a side has no probabilities."""
    chances = []
    for record in (before, after):
        values = () if record is None else record.artifacts.get("probabilities") or ()
        if not isinstance(sample.target, int) or not 0 <= sample.target < len(values):
            return None
        chances.append(float(values[sample.target]))
    return chances[0] - chances[1] if all(map(math.isfinite, chances)) else None
