"""Names of the rows that an item of each kind can have, beside a task's own metrics. Light to import: gates are checked before a run."""

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
}
"""Counters of the engine that become rows, with their units."""

DRIFTS = {"batch_drift": "max_batch_drift", "repeat_drift": "max_repeat_drift", "precision_drift": "max_precision_drift"}
"""What a sample's answers moved by, and the row of the largest. The last only where a model runs in half precision."""

DRIFT_SHARE = 0.05
"""Of the tokens that a task takes, what measuring its drift may take at most."""

DRIFT_TOLERANCE = 1e-3
"""Of the spread of its answers, what a model in float32 moves them by at most that rounds and does nothing else."""

HALF_PRECISION = ("torch.bfloat16", "torch.float16")

EXACT = frozenset({*COSTS, "num_outside_threat", "num_not_attacked", *DRIFTS.values(), "robust_accuracy_spread"})
"""Rows that are counted, not estimated: they have no interval, and a gate compares the number itself."""

MEDIANS = ("perplexity", "perplexity_ratio")
"""Of the successful twins, as distances are, but their mean would be the worst one's."""

QUERY_BUDGETS = (10, 50, 100, 500)
"""An attack's success is also told for so many queries a sample at most."""


def accuracy_within(epsilon: float, /) -> str:
    """The row of a curve: robust accuracy against twins no farther away than this."""
    return f"robust_accuracy[{epsilon:.6g}]"


DISTANCES = ("words_changed", "share_changed", "chars_changed", "chars_added", "tokens_added", "linf", "l2", "similarity")
CASCADE = (25, 50, 75)
"""Percent of a model's layers whose weights are drawn anew, from the last; the stage of all of them is ``randomised``."""

BETWEEN_CLASSES = "rank_correlation_between_classes"
"""How alike the maps of two classes of one input are; a method for which this is near 1 is blind to the class."""

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
"""A probe's scores by what a suite calls for under ``scores``, and whether more is better. ``twins`` and ``words`` have items of their
own."""

DEFAULT_SCORES = tuple(family for family in FAITHFULNESS if family not in ("max_sensitivity", "cascading", "classes"))
"""All but those that run the probe more often. What ``classes`` says is there under attack in any case, where it costs nothing."""

CONTROLS = ("_random", "_randomised")
"""Endings of the scores of a random attribution, and of the same method on the model with its weights drawn anew."""


LIKENESS = ("rank_correlation", "top_overlap")
"""How alike two explanations are: of two probes on one sample, of a sample and its adversarial twin."""

BETWEEN_SEEDS = "between_seeds"
"""The control of rows about a probe that was repeated with other seeds."""

RELIANCE = {
    "correct": "accuracy", "correct_without_carriers": "accuracy_without_carriers", "correct_without_random": "accuracy_without_random",
    "changed_without_carriers": "changed_without_carriers", "changed_without_random": "changed_without_random",
}  # fmt: skip
"""Of the samples that have a word which carries predictions: scores and their rows."""

JOINED_SLICES = {"right_for_wrong_reason": False, "wrong_and_unfaithful": False, "flipped_explanation_unmoved": None}
"""Rates of what `slices` says of an explanation, the answer and the twin of one sample, and whether more is better."""

PER_SLICE: dict[str, tuple[str, bool | None]] = {
    "robust_correct": ("robust_accuracy", True),
    "success": ("attack_success_rate", False),
    "clean_correct": ("clean_accuracy", True),
    "wrong_after": ("error_rate_under_attack", False),
    "neither_after": ("neither_rate_under_attack", None),
}
"""An attack's scores that have a row for each slice of the samples, and whether more is better."""

WORST_CASE = ("robust_correct", "success", "clean_correct", "wrong_after")
"""Of these, what a worst case has, too."""

CORRECTED_BENIGN = ("corrected_over_refusal_rate", False)
"""Of benign prompts, the rate that is corrected for a judge's error, and whether more is better."""

JUDGED = (
    "judge_agreement", "judge_kappa", "refusal_judge_agreement", "refusal_judge_kappa", "judge_precision", "judge_recall",
    "judge_specificity", CORRECTED_BENIGN[0],
)  # fmt: skip
"""Rows of items whose answers were judged, one per judge, or per two of them, in brackets."""


VERDICTS = ("refused_by", "harmful_by", "neither_by", "human")
"""Artifacts of records whose answers were judged: by each judge, whether it says so; and people's labels."""


def split_name(name: str, /) -> tuple[str, str]:
    """The name of a metric's number, ``f1[negative]``, as metric and what it is about: metrics give names as text."""
    stem, bracket, about = name.partition("[")
    return (stem, about.removesuffix("]")) if bracket and about.endswith("]") else (name, "")


Bounds = tuple[float | None, float | None]
"""What a score lies between; None where there is no bound."""

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


def bounds_of(score: str, /) -> Bounds:
    """What a score that an item gives each sample lies between, by its name; between 0 and 1 where nothing else is known."""
    if ": " in score:  # what a word carries, or how much too often its class is predicted
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


def kind_of(row: str, /) -> str:
    """The kind of number, as the table of coverage in docs/statistics.md has it; nothing where it is counted and has no interval."""
    stem = row.partition("[")[0]
    if stem in EXACT:
        return ""
    score, is_difference, _ = stem.partition("_minus_")
    bounds = _CHANGE if score == "carried" else bounds_of(score.removeprefix("mean_"))
    if is_difference:
        return "paired difference" if None not in bounds else "paired difference without bound"
    if stem.startswith("corrected_"):
        return "rate corrected for a judge"
    if stem.startswith("median_"):
        return "median"
    return _KINDS.get(stem) or ("rate" if stem in _RATES else _MEANS.get(bounds, "mean without bound"))
