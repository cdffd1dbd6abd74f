"""Names of the rows that items can have, except for the metrics of tasks.

The module imports fast, because gates are checked before a run.
"""

from __future__ import annotations

from collections.abc import Mapping

COSTS = {
    "forward_passes": "passes",
    "gradient_passes": "passes",
    "tokens_computed": "tokens",
    "tokens_padded": "tokens",
    "tokens_shared": "tokens",
    "cache_hits": "requests",
    "duplicates": "requests",
    "oom_splits": "batches",
    "pack_failures": "passes",
    "failures": "requests",
    "cost": "US dollars",
    "model_changes": "chunks",
    "role_changes": "chunks",
}
"""Counters of the engine that become rows, with their units."""

TIMES = {"seconds_per_sample": "s", "tokens_per_second": "tokens/s"}
"""Rows about time, with their units. They differ between two equal runs."""

EFFICIENCY = (*COSTS, *TIMES)
"""The rows that every item with costs can have."""

DRIFTS = {"batch_drift": "max_batch_drift", "repeat_drift": "max_repeat_drift", "precision_drift": "max_precision_drift"}
"""Drift scores of a sample's answers, with the row of the largest drift.

Only models in half precision have a precision drift.
"""

DRIFT_SHARE = 0.05
"""The largest number of tokens for measuring drift, as a share of the tokens of the task."""

DRIFT_TOLERANCE = 1e-3
"""The largest drift that rounding alone causes in float32, as a share of the spread of the model's answers."""

EXACT = frozenset({*COSTS, "num_outside_threat", "num_not_attacked", *DRIFTS.values(), "robust_accuracy_spread"})
"""Rows that are exact counts: they have no interval, and a gate compares the value."""

MEDIANS = ("perplexity", "perplexity_ratio")
"""Scores of successful twins that are reported as medians, because a single twin can dominate their mean."""

QUERY_BUDGETS = (10, 50, 100, 500)
"""Budgets of queries per sample for which an attack's success has a row."""


def name_accuracy_within(epsilon: float, /) -> str:
    """Return the name of the row with the robust accuracy against twins within a distance of ``epsilon``."""
    return f"robust_accuracy[{epsilon:.6g}]"


DISTANCES = ("words_changed", "share_changed", "chars_changed", "chars_added", "tokens_added", "linf", "l2", "similarity")
CASCADE = (25, 50, 75)
"""Percentages of the model's layers whose weights are randomised, from the last layer; ``randomised`` is 100 %."""

BETWEEN_CLASSES = "rank_correlation_between_classes"
"""The rank correlation of the maps of two classes of one input. Near 1, the method does not depend on the class."""

FAITHFULNESS: Mapping[str, Mapping[str, bool | None]] = {
    "erasure": {"comprehensiveness": True, "sufficiency": False},
    "curves": {
        "aopc": True, **{f"deletion_auc_{way}": False for way in ("cut", "mask", "mean", "blur")},
        **{f"insertion_auc_{way}": True for way in ("cut", "mask", "mean", "blur")},
    },
    "infidelity": {"infidelity": False},
    "max_sensitivity": {"max_sensitivity": False},
    "plausibility": {"token_f1": True, "iou_f1": True, "auprc": True},
    "complexity": {"complexity": None, "effective_parts": None},
    "randomised": {"randomised_rank_correlation": None},
    "cascading": {f"cascading_rank_correlation_{percent}": None for percent in CASCADE},
    "classes": {BETWEEN_CLASSES: None},
    "pointing": {"pointing_game": True},
    "twins": {},
    "words": {},
}  # fmt: skip
"""A probe's scores, with whether higher is better, by the family that a suite lists under ``scores``.

``twins`` and ``words`` have separate items.
"""

DEFAULT_SCORES = tuple(family for family in FAITHFULNESS if family not in ("max_sensitivity", "cascading", "classes"))
"""The default families: all except those that run the probe more often.

Items of explanation shift have the score of ``classes`` in any case, without extra cost.
"""

CONTROLS = ("_random", "_randomised")
"""Suffixes of the control scores: a random attribution, and the same method on the model with randomised weights."""


LIKENESS = ("rank_correlation", "top_overlap")
"""Similarities of two explanations: of two probes on a sample, or of a sample and its adversarial twin."""

BETWEEN_SEEDS = "between_seeds"
"""The control of rows about repetitions of a probe with other seeds."""

RELIANCE = {
    "correct": "accuracy", "correct_without_carriers": "accuracy_without_carriers", "correct_without_random": "accuracy_without_random",
    "changed_without_carriers": "changed_without_carriers", "changed_without_random": "changed_without_random",
}  # fmt: skip
"""The rows of word reliance, by score, over the samples that have a word which carries predictions."""

JOINED_SLICES = {"right_for_wrong_reason": False, "wrong_and_unfaithful": False, "flipped_explanation_unmoved": None}
"""Whether higher is better, by slice that combines a sample's explanation, answer and twin (`ItemKind.slices`)."""

PER_SLICE: dict[str, tuple[str, bool | None]] = {
    "robust_correct": ("robust_accuracy", True),
    "success": ("attack_success_rate", False),
    "clean_correct": ("clean_accuracy", True),
    "wrong_after": ("error_rate_under_attack", False),
    "neither_after": ("neither_rate_under_attack", None),
}
"""The scores of an attack with a row per slice: (name of the row, whether higher is better), by score."""

WORST_CASE = ("robust_correct", "success", "clean_correct", "wrong_after")
"""The scores of `PER_SLICE` that a worst case has."""

CORRECTED_BENIGN = ("corrected_over_refusal_rate", False)
"""The rate on benign prompts that is corrected for a judge's error, with whether higher is better."""

JUDGED = (
    "judge_agreement", "judge_kappa", "refusal_judge_agreement", "refusal_judge_kappa", "judge_precision", "judge_recall",
    "judge_specificity", CORRECTED_BENIGN[0],
)  # fmt: skip
"""Rows of items with judged answers, one per judge or per pair of judges, whose names are in brackets."""


VERDICTS = ("refused_by", "harmful_by", "neither_by", "human")
"""Artifacts of records with judged answers: each judge's verdicts, and human labels."""


def split_name(name: str, /) -> tuple[str, str]:
    """Split the name of a metric's value, such as ``f1[negative]``, into the metric and the part in brackets."""
    stem, bracket, about = name.partition("[")
    return (stem, about.removesuffix("]")) if bracket and about.endswith("]") else (name, "")


Bounds = tuple[float | None, float | None]
"""The smallest and the largest value of a score; None for no bound."""

RATE: Bounds = (0.0, 1.0)
_CHANGE: Bounds = (-1.0, 1.0)
_POSITIVE: Bounds = (0.0, None)
_BOUNDS: Mapping[str, Bounds] = {
    # Differences of probabilities, and correlations.
    **dict.fromkeys(("comprehensiveness", "sufficiency", "aopc", "rank_correlation", "randomised_rank_correlation"), _CHANGE),
    **{f"cascading_rank_correlation_{percent}": _CHANGE for percent in CASCADE},
    **dict.fromkeys(("infidelity", "max_sensitivity", "completeness_error", "complexity", "effective_parts", "num_queries", "words_changed",
                     "chars_changed", "chars_added", "l2"), _POSITIVE),
    "tokens_added": (None, None),
}  # fmt: skip


def get_bounds(score: str, /) -> Bounds:
    """Return the bounds of a sample's score by its name; 0 and 1 for unknown scores."""
    if ": " in score:  # the carried share or the overprediction of a word, named "class: word"
        return _CHANGE
    for ending in CONTROLS:
        score = score.removesuffix(ending)
    for beginning in ("rank_correlation", "top_overlap"):
        if score.startswith((f"{beginning}_with_", f"{beginning}_between_", f"{beginning}_of_")):
            score = beginning
    return _BOUNDS.get(score, RATE)


_KINDS = {
    "judge_kappa": "kappa", "refusal_judge_kappa": "kappa", "overpredicted": "overprediction", "max_overpredicted": "overprediction",
}  # fmt: skip
_RATES = frozenset({
    *(name for name, _ in PER_SLICE.values()), *(f"success_within_{num}_queries" for num in QUERY_BUDGETS), *RELIANCE.values(),
    *JOINED_SLICES, *JUDGED, "transfer_success_rate", "accuracy_on_twins",
})  # fmt: skip
_MEANS = {RATE: "mean in [0, 1]", _CHANGE: "mean in [-1, 1]"}
BOUNDED_MEANS = frozenset({"rate", *_MEANS.values(), "paired difference"})
"""The kinds of rows that are means of scores between bounds (`get_kind`)."""


def get_kind(row: str, /) -> str:
    """Return the kind of a row's number as in the table of coverage in docs/statistics.md; empty for exact counts."""
    stem = row.partition("[")[0]
    if stem in EXACT:
        return ""
    if stem in TIMES:
        return "geometric mean"
    score, is_difference, _ = stem.partition("_minus_")
    bounds = _CHANGE if score == "carried" else get_bounds(score.removeprefix("mean_"))
    if is_difference:
        return "paired difference" if None not in bounds else "paired difference without bound"
    if stem.startswith("corrected_"):
        return "rate corrected for a judge"
    if stem.startswith("median_"):
        return "median"
    return _KINDS.get(stem) or ("rate" if stem in _RATES else _MEANS.get(bounds, "mean without bound"))
