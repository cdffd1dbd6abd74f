"""Gates about many rows: the more rows, the more likely one of them fails by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .judgement import Judgement


def correct_family(judgements: Sequence[Judgement], /) -> list[Judgement]:
    """Return the judgements, in which a fail that chance may explain among so many rows is inconclusive.

    The gate then fails by chance in at most 2.5 % of runs, whatever the number of rows (Holm 1979). To pass, each row must
    pass by itself, which needs no correction (Berger, Technometrics 1982).
    """
    from ...statistics import holm
    from ...statistics.intervals import TAIL

    adjusted = holm([j.p_value if j.outcome == "fail" else 1.0 for j in judgements])
    num = len(judgements)
    return [
        replace(j, outcome="inconclusive", detail=f"{j.detail}: it fails alone, but may by chance among {num:,} rows (Holm)")
        if j.outcome == "fail" and p_value > TAIL
        else j
        for j, p_value in zip(judgements, adjusted, strict=True)
    ]
