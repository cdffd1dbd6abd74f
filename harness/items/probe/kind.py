"""The item kind of probes: attributions of a task's answers, with scores and their controls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...api.plugins import Program
from ...api.probe import Probe
from ...api.registry import Registry
from ...api.samples import Record, Sample, SampleRng, seed_of
from ...api.scorecard import EachWord, Heat, Row
from ...engine import Engine
from ...engine.continuations import has_continuations
from ...modalities.image import as_image
from ...scorecard.names import BETWEEN_SEEDS, CONTROLS, EFFICIENCY, FAITHFULNESS, LIKENESS
from ...store import StoredItem
from ...suite.specs import ProbeSpec, Suite
from ..base.item_run import ItemRun
from ..base.planned_item import PlannedItem
from ..base.program_kind import ProgramKind
from ..base.results import RunResults
from ..base.view import SeenSample, cut, make_heat_map
from .explained import probe_of
from .language_records import make_language_records
from .records import make_probe_records
from .trial import try_settings

if TYPE_CHECKING:
    from ...scorecard.columns import Table

_MOST_WORDS = 64
"""Largest number of words of an answer to show with an attribution each: every word is a row of values on the page."""

_WRONG_REASON, _UNFAITHFUL = "right_for_wrong_reason", "wrong_and_unfaithful"
_SCORES = tuple(name for family in FAITHFULNESS.values() for name in family)


class ProbeItems(ProgramKind[ProbeSpec]):
    """Probes on tasks."""

    name = "probe"
    section = "probes"
    is_joined = True
    has_attributions = True
    slice_names = (_WRONG_REASON, _UNFAITHFUL)
    row_names = (
        "completeness_error", _WRONG_REASON, _UNFAITHFUL, *(f"{name}_{BETWEEN_SEEDS}" for name in LIKENESS),
        *(f"{name}{end}" for name in _SCORES for end in ("", *CONTROLS, *(f"_minus{control}" for control in CONTROLS))),
    )  # fmt: skip

    def fields(self, spec: ProbeSpec, plugin: Program, suite: Suite, /) -> Mapping[str, Any]:
        return {"scores": suite.scores if spec.scores is None else spec.scores, "each_word": spec.each_word}

    def why_never_repeated(self, settings: Collection[str], /) -> str:
        return "" if "seed" in settings else "the probe draws nothing: with every seed it is the same"

    def repeat(self, first: PlannedItem, number: int, suite_seed: int, make: Callable[[Mapping[str, Any]], Program], /) -> PlannedItem:
        """Return a repetition that only attributes: it has no scores."""
        seed = {"seed": int(first.settings.get("seed", 0)) + number - 1}
        settings = {**first.settings, **seed}
        return replace(first, key=replace(first.key, seed=number), plugin=make(seed), settings=settings, scores=())

    def can_have_row(self, item: PlannedItem, row: str, /) -> bool:
        return super().can_have_row(item, row) and "[" not in row

    def rows_of(self, item: PlannedItem, others: Sequence[PlannedItem], registry: Registry, /) -> Iterable[str]:
        """Return the names of all possible rows, including comparisons with later probes on the same samples."""
        probes = [i for i in others if i.kind is self and (i.model.name, i.task.name) == (item.model.name, item.task.name)]
        later = probes[probes.index(item) + 1 :]
        return [*self.row_names, *EFFICIENCY, *(f"{name}_with_{other.key.title}" for other in later for name in LIKENESS)]

    def has_trial(self, item: PlannedItem, /) -> bool:
        return self._make_trial(item) is not None

    def try_settings(self, engine: Engine, item: PlannedItem, /) -> None:
        if (trial := self._make_trial(item)) is not None:
            try_settings(engine, item, trial)

    def _make_trial(self, item: PlannedItem) -> Probe | None:
        return probe_of(item).trial() if item.key.seed == 1 else None

    def facts(self, item: PlannedItem, /) -> Mapping[str, Any]:
        starts_from = probe_of(item).starts_from
        return {"starts_from": starts_from} if starts_from else {}

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        item = run.item
        # The seed depends on the task, not on the probe, so that all probes share the control's requests.
        draws = SampleRng(seed_of(run.suite_seed, item.task.name))
        if has_continuations(run.task):
            return make_language_records(
                run.engine, run.name, run.task, probe_of(item), draws, samples, item.scores, run.suite_seed, item.each_word
            )  # fmt: skip
        return make_probe_records(run.engine, run.name, probe_of(item), draws, samples, item.scores, run.suite_seed)

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        from ..base.slice_rows import make_slice_rows
        from .rows import make_probe_rows

        return [*make_probe_rows(item, table), *make_slice_rows(self, item, results)]

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        from .rows import make_agreement_rows

        return [*rows, *make_agreement_rows(results.store, results.of_kind(self))]

    def flags(self, results: RunResults, /) -> Iterable[str]:
        from ...scorecard.controls import make_control_flags

        for item in results.of_kind(self):
            loose, num = results.notes[item.id]["loose"], results.notes[item.id]["records"]
            if loose:
                yield (
                    f"{item.model}/{item.item}: {loose:,} of {num:,} attributions do not sum to the change they explain, even at the most "
                    "steps allowed."
                )
            yield from make_control_flags(item, results.rows)

    def slices(self, is_right: bool | None, scores: Mapping[str, float | None], /) -> dict[str, bool]:
        """Tell whether a sample is in each slice.

        ``right_for_wrong_reason``: the answer is right, but none of the top words is in the human rationale. The number
        of top words is the number of words in the rationale.
        ``wrong_and_unfaithful``: the answer is wrong, and the attribution is not more comprehensive than its random
        control.
        """
        overlap, real, control = (scores.get(name) for name in ("token_f1", "comprehensiveness", "comprehensiveness_random"))
        found = {}
        if is_right and overlap is not None:
            found[_WRONG_REASON] = overlap == 0
        if is_right is False and real is not None and control is not None:
            found[_UNFAITHFUL] = real <= control
        return found

    def view(self, seen: SeenSample, /) -> Heat:
        """Return the view of the attribution, with those of the sample's twins from items that depend on this one."""
        item, record = seen.item, seen.record
        found = record.artifacts.get("attribution")
        if found is None:
            return Heat(item.key.title, "", (), error=record.error or "no attribution")
        image = record.artifacts.get("image")
        continuation = str(record.artifacts.get("continuation", "")).strip()
        heat = make_heat_map(item.key.title, found, seen.sample)
        return replace(
            heat,
            target=continuation or heat.target,
            image=as_image(image),
            scores=dict(record.scores),
            twins=tuple(pair for i, r in seen.joined if item.key in i.key.about for pair in _show_moved(item, i, r, seen.sample)),
            each_word=_read_each_word(record.artifacts, len(heat.values), len(found["values"])),
        )


def _show_moved(probe: StoredItem, item: StoredItem, record: Record, sample: Sample) -> Iterable[tuple[str, Heat]]:
    """Yield (attack, view) of the twin: first for the class explained on the clean sample, then for its new class."""
    attack = next((key.title for key in item.key.about if key != probe.key), "")
    scores = {name: value for name, value in record.scores.items() if name != "flipped"}
    for end in ("", "_of_prediction"):
        if (found := record.artifacts.get(f"attribution{end}")) is not None:
            heat, continuation = make_heat_map(probe.key.title, found, sample), str(record.artifacts.get(f"continuation{end}", "")).strip()
            yield attack, replace(heat, target=continuation or heat.target, scores=scores)
            scores = {}


def _read_each_word(artifacts: Mapping[str, Any], num_shown: int, num_parts: int) -> EachWord | None:
    """Return the attributions of the first words of an answer; None if the record has none.

    num_shown: number of parts of the sample that the page shows.
    num_parts: number of parts of the sample.
    """
    found = artifacts.get("each_word")
    if found is None:
        return None
    num = min(len(found["spans"]), _MOST_WORDS)
    values = np.asarray(found["values"], dtype=np.float64)[:num]
    values = np.concatenate([values[:, :num_shown], values[:, num_parts : num_parts + num]], 1)
    largest = np.abs(values).max(1, keepdims=True, initial=0.0)
    scaled = np.round(values / np.where(largest > 0, largest, 1), 4)
    spans = tuple((int(a), int(b)) for a, b in found["spans"][:num])
    return EachWord(cut(str(artifacts["continuation"])), spans, tuple(map(tuple, scaled.tolist())))
