"""The sides of a comparison: one model of one run folder or baseline file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...api.comparison import name_side
from ...api.errors import ConfigError
from ...api.item_key import ItemKey
from ...api.scorecard import Row, Scorecard
from ...scorecard.counterparts import describe_unpaired, drop_models, pair_models


@dataclass(frozen=True)
class Side:
    """One model of a run.

    ``run``: the name of the run for people; empty within one run. ``card``: a scorecard that keeps its evidence.
    ``folder``: the run folder with the samples' outputs; None for a baseline file.
    """

    run: str
    model: str
    card: Scorecard
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The name of the side for people."""
        return name_side(self.run, self.model)

    @cached_property
    def rows(self) -> Mapping[tuple[ItemKey, str], Row]:
        """The model's rows by item and name. Items name no model (`drop_models`), so that those of two sides are equal."""
        return {(drop_models(row.key), row.name): row for row in self.card.rows if row.model == self.model}

    @cached_property
    def times(self) -> Mapping[tuple[ItemKey, str], Row]:
        """The model's rows about time, as `rows`."""
        return {(drop_models(row.key), row.name): row for row in self.card.times if row.model == self.model}

    @cached_property
    def items(self) -> Mapping[ItemKey, Mapping[str, Any]]:
        """The facts about the model's items, by item."""
        described = self.card.manifest.get("items", ())
        return {drop_models(ItemKey.from_json(facts["key"])): facts for facts in described if facts["model"] == self.model}


def split_sides(run: str, card: Scorecard, /, folder: Path | None = None) -> list[Side]:
    """Return one side per model of a scorecard, in order."""
    models = dict.fromkeys(facts["model"] for facts in card.manifest.get("items", ()))
    return [Side(run, model, card, folder) for model in models]


def pair_sides(baselines: Sequence[Side], candidates: Sequence[Side], /) -> list[tuple[Side, Side]]:
    """Return (baseline, candidate) for each model of the candidate that belongs to one of the baseline (`pair_models`).

    Raises `ConfigError` if no model of the candidate has a counterpart.
    """
    by_model, asked = {side.model: side for side in baselines}, [side.model for side in candidates]
    paired = pair_models(by_model, asked)
    if not paired:
        raise ConfigError(describe_unpaired(by_model, asked), argument="baseline_model")
    return [(by_model[paired[side.model]], side) for side in candidates if side.model in paired]
