"""The sides of a comparison: one model of one run folder or baseline file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ...api.comparison import name_side
from ...api.errors import ConfigError
from ...api.item_key import ItemKey
from ...api.scorecard import Row, Scorecard


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


def drop_models(key: ItemKey, /) -> ItemKey:
    """Return the key without the names of models, which differ between sides."""
    return replace(key, source_model="" if not key.source_model else "*", about=tuple(map(drop_models, key.about)))


def split_sides(run: str, card: Scorecard, /, folder: Path | None = None) -> list[Side]:
    """Return one side per model of a scorecard, in order."""
    models = dict.fromkeys(facts["model"] for facts in card.manifest.get("items", ()))
    return [Side(run, model, card, folder) for model in models]


def pair_sides(baselines: Sequence[Side], candidates: Sequence[Side], /) -> list[tuple[Side, Side]]:
    """Return (baseline, candidate) for each model of the candidate: those of the same name, or the only one of each.

    Raises `ConfigError` if no model of the candidate has a counterpart.
    """
    if len(baselines) == 1:
        return [(baselines[0], candidate) for candidate in candidates]
    by_model = {side.model: side for side in baselines}
    pairs = [(by_model[side.model], side) for side in candidates if side.model in by_model]
    if not pairs:
        known, asked = (", ".join(side.model for side in sides) or "none" for sides in (baselines, candidates))
        raise ConfigError(f"no model is in both runs: the baseline has {known}, the candidate {asked}; give a model the same name in both")
    return pairs
