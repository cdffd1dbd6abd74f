"""The rows of batch invariance."""

from __future__ import annotations

from ...api.scorecard import Estimate, Row
from ...scorecard.columns import Table
from ...scorecard.mean_rows import explain_missing
from ...scorecard.names import DRIFTS
from ...store import StoredItem


def make_drift_row(item: StoredItem, table: Table, score: str) -> Row:
    """Return the row of the largest drift of a score over the samples."""
    drifts = table.values(score, table.given(score))
    if not len(drifts):
        estimate = explain_missing(Estimate(None, n_unscored=table.num, reason=table.unscored or "nothing to compare"), table.first_error)
    else:
        estimate = Estimate(float(drifts.max()), n=len(drifts), n_unscored=table.num - len(drifts))
    return Row(item.model, item.key, DRIFTS[score], "efficiency", estimate, False)
