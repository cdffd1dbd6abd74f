"""The scorecard: the results of a run as plain data. Reports render it, and gates check it.

It contains no arrays, tensors or models and can be written as JSON. Its text is untrusted: code that displays it must escape it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..modalities.base import Shown as Shown
from .item_key import ItemKey

if TYPE_CHECKING:
    from ..modalities.image import Image
    from .comparison import Comparison

DIMENSIONS = ("quality", "calibration", "robustness", "safety", "interpretability", "efficiency")

MAX_UNSCORED = 0.05
"""The default of `Scorecard.max_unscored`."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval.

    ``value``: None if nothing could be scored. ``low``, ``high``: the bounds of the interval; None for a count, or if ``n`` is too small.
    ``n``: the number of scored samples. ``n_unscored``: the number of samples that should count but could not be scored. ``reason``: why
    there is no value or no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_unscored: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """The meaning of a row: a title, a sentence, and its direction.

    ``higher_is_better``: None if neither direction is better. ``kind``: the kind of number, as in the table of intervals of
    docs/statistics.md, e.g. ``rate``; empty for exact counts and unknown kinds.
    ``low``, ``high``: the smallest and the largest possible value; None for no bound.
    """

    title: str
    explanation: str
    higher_is_better: bool | None = None
    kind: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one item of one model.

    ``key``: the item. ``metric``: the measured quantity, e.g. ``robust_accuracy``. ``control``: the control that is measured, or compared
    with: ``random``, ``randomised``, ``minus_random``. ``about``: the label, word, judge or epsilon that the number refers to. ``slice``:
    the slice of the samples; empty for all samples. ``higher_is_better``: None if neither direction is better. ``evidence``: the scored
    samples (`statistics.Evidence`), for comparisons and simulations; a scorecard keeps it only if it is asked to.
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
    evidence: object = field(default=None, repr=False, compare=False)

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
class JudgedRow:
    """A row that a gate judged.

    ``value``, ``low``, ``high``, ``n``: the row's estimate, its difference to the ``baseline``'s value on the samples of both, or, if the
    gate asks for a number of samples, this number.
    ``threshold``: the number that it was compared with; None if it was compared with none. ``op``: ``>=``, ``>``, ``<=`` or ``<``, as the
    number must stand to the threshold. ``part``: what was compared: value, low, high, n or n_unscored; empty for the whole interval.
    ``outcome``, ``detail``: as of `GateResult`, for this row.
    """

    model: str
    item: str
    metric: str
    outcome: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    threshold: float | None
    detail: str
    baseline: float | None = None
    op: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a gate.

    ``outcome``: pass, fail, inconclusive, no_data (the row has no value) or missing (there is no such row).
    ``verdict``: what that means for the run: pass, warn, fail, no_data or missing.
    ``tier``: critical, supporting or advisory. ``rows``: the rows that it judged.
    ``mismatches``: what differs from the baseline besides the model, where the gate compares all the same.
    ``entry``: the gate as a suite writes it, with the keys that are not their defaults.
    """

    gate: str
    outcome: str
    verdict: str
    detail: str
    tier: str = "critical"
    rows: tuple[JudgedRow, ...] = ()
    mismatches: tuple[str, ...] = ()
    entry: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Twin:
    """A sample after an attack.

    ``success``: None if it was not attacked; ``note`` gives the reason. ``is_failed``: whether the attack itself failed, so that the
    sample keeps its clean answer; ``note`` is the error.
    """

    attack: str
    input: Shown | None
    prediction: str | None
    success: bool | None
    facts: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""
    is_failed: bool = False


@dataclass(frozen=True, slots=True)
class EachWord:
    """An attribution for each word of a language model's ``answer``.

    ``spans``: the (start, end) of each word in the answer. ``values``: one row per word, scaled to [-1, 1] by the row's largest magnitude;
    the columns are the parts of the sample's text, then the words of the answer.
    """

    answer: str
    spans: tuple[tuple[int, int], ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """An attribution of a sample. ``values`` are scaled to [-1, 1] by the largest magnitude.

    ``parts``: the kind of parts (`Attribution.parts`). For words, ``spans`` holds one (start, end) in the displayed text per value. For
    pixels, ``shape`` is (rows, columns), and the values are pooled to a coarse grid, in row-major order. Otherwise ``names`` holds one
    name per value.
    ``image``: the attributed image if it differs from the sample's: the model may resize or crop it.
    ``scores``: the faithfulness of this attribution; keys with the endings ``_random`` and ``_randomised`` belong to its controls.
    ``twins``: (attack, attribution of its twin); the first one explains the same class, and its scores measure the change.
    ``slices``: whether the sample is in each slice that `ItemKind.slices` defines; with several attacks, whether it is for any of them.
    ``each_word``: the attributions of the words of a language model's answer, if the suite requests them.
    """

    probe: str
    target: str
    values: tuple[float, ...]
    spans: tuple[tuple[int, int], ...] = ()
    shape: tuple[int, int] | None = None
    image: Image | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    error: str | None = None
    twins: tuple[tuple[str, Heat], ...] = ()
    slices: Mapping[str, bool] = field(default_factory=dict)
    each_word: EachWord | None = None
    parts: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge says of an answer.

    ``question``: ``refused``, ``harmful`` or another. ``judge``: its name; ``human`` for a human label. ``says``: None without a verdict.
    ``why``: its grade and hazard codes, or the reason why there is no verdict.
    """

    question: str
    judge: str
    says: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class BaselineAnswer:
    """What the baseline ``model`` answered to a sample; the other fields are those of `SampleView`."""

    model: str
    prediction: str | None
    correct: bool | None
    output: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SampleView:
    """One sample of one model with all its results, joined by id.

    ``correct``: None if the task does not define correctness, or if the sample failed. ``probabilities``: by label.
    ``slice``, ``group``, ``category``: those that the data give; empty if they give none.
    ``output``: the whole generated text, where ``prediction`` is read out of it. ``num_tokens``: the maximum length at which the model
    was stopped; None if it ended by itself. ``opinions``: those of the judges.
    ``baseline``: what the baseline, or else the first model of the run, answered; None where no other answer is known.
    ``reasoning``: the text in which the model reasoned before its answer. ``tool_calls``: (name, arguments) of the calls it asked for.
    ``is_refused_by_provider``: whether the answer is a refusal of the endpoint's provider.
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
    slice: str = ""
    group: str = ""
    category: str = ""
    output: str | None = None
    num_tokens: int | None = None
    opinions: tuple[Opinion, ...] = ()
    baseline: BaselineAnswer | None = None
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    is_refused_by_provider: bool = False


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each class is predicted for each class.

    ``labels``: the names of the classes. ``cells``: (target, prediction, count) by the classes' positions, without counts of 0.
    """

    model: str
    key: ItemKey
    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """The samples whose confidence lies in (``low``, ``high``]: their mean confidence, and their accuracy."""

    low: float
    high: float
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Reliability:
    """Accuracy by confidence, which is the probability of the predicted class. ``bins``: those that have samples."""

    model: str
    key: ItemKey
    num_classes: int
    bins: tuple[ConfidenceBin, ...]


@dataclass(frozen=True, slots=True)
class QueryCurve:
    """An attack's successes by its number of queries.

    ``num_attacked``: samples with a right answer. ``steps``: (queries, samples that succeed within so many), rising.
    """

    model: str
    key: ItemKey
    num_attacked: int
    steps: tuple[tuple[int, int], ...]


Figure = Confusion | Reliability | QueryCurve
"""The data of a chart that rows cannot hold."""


@dataclass(frozen=True, slots=True)
class Session:
    """A process that computed records of a run.

    ``started``, ``ended``: UTC, as ISO 8601; ``ended`` is empty if the process was killed. ``command``: without secrets.
    ``host``: system, processor, cores, memory (bytes) and gpus, as far as known.
    """

    started: str
    ended: str
    command: str
    host: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The results of a run.

    ``manifest``: name, version, versions (of libraries), seed, models (fingerprints, notes), tasks (title, kind, data set), items (data
    fingerprints, plugin versions), failures (by item, of its samples or of those it is computed from), skipped, flags.
    ``max_unscored``: the largest share of unscored samples with which a row can pass a gate.
    ``verdict``: pass, warn, no_data, missing, incomplete or fail; ``none`` if the run has no gates.
    ``num_failed``: the number of samples that are recorded with an error. ``first_error``: the first of them: ``MODEL/ITEM: ERROR``.
    ``complete``: whether every planned sample has a record.
    ``mostly_failed``: whether more than half of an item's samples failed, so that its numbers decide nothing.
    ``times``: rows about time. ``timing``: rates by MODEL/ITEM. Two equal runs differ only in ``times``,
    ``baseline_times``, ``timing`` and ``sessions``, and in what is computed from them.
    ``samples``: all recorded samples of the tasks; those of a run are read from its records each time they are iterated.
    ``row_names``: the possible rows of an item, by its kind, without the parts in brackets; a kind that it does not contain can have
    any row.
    ``measures``: the meaning of rows, by `Row.metric`.
    ``figures``: the data of charts that rows cannot hold.
    ``comparisons``: with the run's baseline, then of its first model with each other model that shares items with it.
    ``baseline_times``: the baseline's rows about time.
    """

    manifest: Mapping[str, Any]
    rows: tuple[Row, ...]
    gates: tuple[GateResult, ...] = ()
    verdict: str = "none"
    complete: bool = True
    num_failed: int = 0
    first_error: str = ""
    num_samples: int = 0
    samples: Collection[SampleView] = ()
    timing: Mapping[str, Any] = field(default_factory=dict)
    times: tuple[Row, ...] = ()
    row_names: Mapping[str, Collection[str]] = field(default_factory=dict)
    measures: Mapping[str, Measure] = field(default_factory=dict)
    max_unscored: float = MAX_UNSCORED
    figures: tuple[Figure, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    baseline_times: tuple[Row, ...] = ()
    sessions: tuple[Session, ...] = ()
    mostly_failed: bool = False
