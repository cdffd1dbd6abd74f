"""The scorecard: what a run found, as plain facts. Reports are views of it; gates are questions to it.

It holds no arrays, no torch and no model: everything in it can be written as JSON. Text in it is hostile: whoever shows it escapes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..modalities.base import Shown as Shown
from .item_key import ItemKey

DIMENSIONS = ("quality", "calibration", "robustness", "safety", "interpretability", "efficiency")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval. ``value`` is None where nothing could be scored; ``reason`` says why, or why there are no bounds.

    ``n``: samples the number rests on. ``n_unscored``: samples that should have counted and could not.
    ``low`` and ``high`` are None where an interval makes no sense (a count) or n is too small for one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_unscored: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a row measures, for people: a title, one sentence, and which way is better (None: neither)."""

    title: str
    explanation: str
    higher_is_better: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one item of one model.

    ``key``: the item. ``metric``: what is measured, e.g. ``robust_accuracy``. ``control``: what it is measured on, or compared with, in
    place of the item itself: ``random``, ``randomised``, ``minus_random``. ``about``: the label, word, judge or epsilon that the number is
    about. ``slice``: the part of the samples that it is over, where that is not all of them. ``higher_is_better``: None where neither is.
    """

    model: str
    key: ItemKey
    metric: str
    dimension: str
    estimate: Estimate
    higher_is_better: bool | None = None
    unit: str = ""
    slice: str = ""
    control: str = ""
    about: str = ""

    @property
    def item(self) -> str:
        """The item's name for people: ``deepwordbug(sst2)``."""
        return str(self.key)

    @property
    def name(self) -> str:
        """The row's name in gates and tables: ``rank_correlation_random[label_flipped]``."""
        control = f"_{self.control}" if self.control else ""
        return f"{self.metric}{control}" + "".join(f"[{part}]" for part in (self.about, self.slice) if part)


@dataclass(frozen=True, slots=True)
class GateResult:
    """``outcome``: pass, fail, inconclusive or no_data. ``verdict``: what that means for the run: pass, warn, fail or no_data."""

    gate: str
    outcome: str
    verdict: str
    detail: str


@dataclass(frozen=True, slots=True)
class Twin:
    """The same sample after an attack. ``success`` is None when it was not attacked; ``note`` then says why."""

    attack: str
    input: Shown | None
    prediction: str | None
    success: bool | None
    facts: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class EachWord:
    """What each word of a language model's ``answer`` rests on. ``spans`` (start, end): the words. ``values``: a row a word, scaled to
    [-1, 1] by its own largest magnitude; its columns are the parts of the sample's text, then the answer's words."""

    answer: str
    spans: tuple[tuple[int, int], ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """An attribution of the sample. ``values`` are scaled to [-1, 1] by the largest magnitude.

    ``parts``: what the values are about (`Attribution.parts`). Words: ``spans`` (start, end) in the shown text, one a value. Values in rows
    (pixels): ``shape`` (rows, columns), values row by row, pooled to a grid that a person can read. All others: ``names``, one a value.
    ``image`` is a PNG data URI of what was attributed where that is not the sample's image: the model may have resized
    or cropped it. ``scores``: faithfulness of this attribution; keys that end in ``_random`` and ``_randomised`` are its controls'.
    ``twins``: (attack, attribution of its twin), first the one for the same class, with what says how far it moved as scores.
    ``slices``: those of `slices` that the sample could be in by this attribution, and whether it is; with several attacks, by any of them.
    ``each_word``: of a language model's answer, where that was asked for.
    """

    probe: str
    target: str
    values: tuple[float, ...]
    spans: tuple[tuple[int, int], ...] = ()
    shape: tuple[int, int] | None = None
    image: str = ""
    scores: Mapping[str, float | None] = field(default_factory=dict)
    error: str | None = None
    twins: tuple[tuple[str, Heat], ...] = ()
    slices: Mapping[str, bool] = field(default_factory=dict)
    each_word: EachWord | None = None
    parts: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleView:
    """One sample of one model with everything the run knows of it, joined by id.

    ``correct`` is None where the task has no notion of it or the sample failed. ``probabilities``: label to probability.
    """

    model: str
    task: str
    id: str
    input: Shown
    target: str | None
    prediction: str | None
    correct: bool | None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    error: str | None = None
    twins: tuple[Twin, ...] = ()
    heats: tuple[Heat, ...] = ()


@dataclass(frozen=True, slots=True)
class Scorecard:
    """``manifest``: name, version, versions (of libraries), seed, models (fingerprints, notes), items (data fingerprints, plugin versions),
    skipped, flags.

    ``num_failed``: samples recorded with an error. ``complete``: every planned sample has a record. ``timing`` is kept apart: it is the one
    part that differs between two equal runs. ``samples`` may be a selection; ``num_samples`` says of how many. ``row_names``: the rows that
    an item can have, by its kind, without what stands in brackets; a kind that is not in it can have any.
    ``measures``: what rows measure, by `Row.metric`.
    """

    manifest: Mapping[str, Any]
    rows: tuple[Row, ...]
    gates: tuple[GateResult, ...] = ()
    verdict: str = "none"
    complete: bool = True
    num_failed: int = 0
    num_samples: int = 0
    samples: tuple[SampleView, ...] = ()
    timing: Mapping[str, Any] = field(default_factory=dict)
    row_names: Mapping[str, Collection[str]] = field(default_factory=dict)
    measures: Mapping[str, Measure] = field(default_factory=dict)
