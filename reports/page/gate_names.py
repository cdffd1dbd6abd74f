"""What gates ask, and the rows that they judge, as names in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...harness.api.scorecard import Row, Scorecard
from ...harness.scorecard.measures import title_of
from ..display import list_unique
from ..values import describe_item
from .judged import COUNTS, Judged

_PARTS = {"low": ", at its lower end", "high": ", at its upper end", "value": ", whatever its interval"}


def tell_apart(line: Judged, known: Sequence[Row], /) -> str:
    """Name a row of a gate by what distinguishes it from the others: its model, item, metric or slice."""
    if line.row is None:
        return f"{line.judged.model}: {line.judged.item}.{line.judged.metric}"
    columns = zip(*((r.model, describe_item(r.key), r.metric, r.about, r.slice) for r in [line.row, *known]), strict=True)
    return " · ".join(own for own, *others in columns if own and set(others) != {own})


def name_gate(lines: Sequence[Judged], known: Sequence[Row], card: Scorecard, /) -> str:
    """Say what a gate asks: ``Accuracy on reviews is at least 75 %``; empty if nothing was asked."""
    line = next((line for line in lines if line.row is not None and line.target), None)
    if line is None:
        return ""
    row = known[0]
    plain = replace(row, slice="", about=row.about if len({r.about for r in known}) == 1 else "")
    what = title_of(plain, card.measures) if len({r.metric for r in known}) == 1 else "Every metric"
    what += _join(row) if len({r.key for r in known}) == 1 else " of every item"
    slices = list_unique(r.slice for r in known)
    where = f", on the slice {slices[0]}," if slices[0] and len(slices) == 1 else ", on every slice," if len(slices) > 1 else ""
    if line.judged.part in COUNTS:
        return f"{what}{where} has {line.target} {COUNTS[line.judged.part]}"
    if line.is_difference:
        targets = {own.target for own in lines if own.target}
        target = line.target if len(targets) == 1 else f"{line.target.rpartition(' by ')[0]} by a share of the baseline's"
        return f"{what}{where} {target} against the baseline"
    return f"{what}{where} is {line.target}{_PARTS.get(line.judged.part, '')}"


def _join(row: Row) -> str:
    """Name a row's item after its metric: ``on reviews``, or ``under deepwordbug on reviews``."""
    return f" {'on' if row.key.is_task else 'under' if row.dimension == 'robustness' else 'of'} {describe_item(row.key)}"


def name_row(row: Row, card: Scorecard, /) -> str:
    """Name a row and its item: ``Robust accuracy under deepwordbug on reviews``."""
    return title_of(row, card.measures) + _join(row)
