"""Why no gate on a row passes: too many of its samples, or of those that its item is computed from, were not scored."""

from __future__ import annotations

from dataclasses import replace

from ...api.scorecard import Row, Scorecard
from ..names import EXACT
from .judgement import Judgement

_LONGEST = 300
"""The largest number of characters of an error in a sentence."""


def lacks_scores(row: Row, max_unscored: float, /) -> bool:
    """Tell whether a row has too many unscored samples to pass a gate: a larger share than ``max_unscored``.

    Exact counts are what they are, whatever they omit.
    """
    e = row.estimate
    return row.name not in EXACT and e.n_unscored > max_unscored * (e.n + e.n_unscored)


def explain_shortfall(row: Row, card: Scorecard, max_unscored: float, /) -> str:
    """Return why no gate on a row passes, with the first error; empty if few enough samples were not scored.

    ``card``: the row's scorecard. ``max_unscored``: `Scorecard.max_unscored` of the run that is judged.
    """
    failed = next(
        (each for each in card.manifest.get("failures", ()) if (each["model"], each["item"]) == (row.model, row.item)), None
    )  # fmt: skip
    limit = f"more than 'max_unscored' allows, {max_unscored:.3g} of the samples"
    error = f"; the first error was: {failed['first_error'][:_LONGEST]}" if failed else ""
    if failed and failed["num"] > max_unscored * failed["of"]:
        return f"{failed['num']:,} of {failed['of']:,} samples of {failed['where']} failed, {limit}{error}"
    return f"{limit} are not scored{error}" if lacks_scores(row, max_unscored) else ""


def require_scores(judgement: Judgement, shortfall: str, /, *, keeps_fail: bool) -> Judgement:
    """Leave a gate open that lacks scores.

    ``shortfall``: the reason (`explain_shortfall`); empty for none. ``keeps_fail``: whether a fail stands, as the samples that have a
    score show it beyond chance.
    """
    if not shortfall or judgement.outcome in ("no_data", "missing") or (judgement.outcome == "fail" and keeps_fail):
        return judgement
    return replace(judgement, outcome="inconclusive", detail=f"{judgement.detail}: {shortfall}")
