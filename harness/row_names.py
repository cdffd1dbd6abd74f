"""Names of the rows that an item of each kind can have, beside a task's own metrics. Light to import: gates are checked before a run."""

from __future__ import annotations

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

DRIFTS = {"batch_drift": "max_batch_drift", "precision_drift": "max_precision_drift"}
"""What a sample's answers moved by, and the row of the largest. The second only where a model runs in half precision."""

HALF_PRECISION = ("torch.bfloat16", "torch.float16")

EXACT = frozenset({*COSTS, "num_outside_threat", "max_batch_drift", "max_precision_drift", "median_num_queries"})
"""Rows that are counted, not estimated: they have no interval, and a gate compares the number itself."""

DISTANCES = ("words_changed", "share_changed", "chars_changed", "linf", "l2", "similarity")
MEDIANS = ("perplexity", "perplexity_ratio")
"""Of the successful twins, as distances are, but their mean would be the worst one's."""

QUERY_BUDGETS = (10, 50, 100, 500)
"""An attack's success is also told for so many queries a sample at most."""

FAITHFULNESS = {"comprehensiveness": True, "sufficiency": False, "completeness_error": False}
"""A probe's scores, and whether more is better."""

CONTROLLED = ("comprehensiveness", "sufficiency")
"""Those that a random attribution is scored by as well."""

ROWS = {
    "task": tuple(COSTS),
    "drift": tuple(DRIFTS.values()),
    "attack": (
        "robust_accuracy", "attack_success_rate", "clean_accuracy", "mean_num_queries", "median_num_queries", "num_outside_threat",
        *(f"mean_{name}" for name in DISTANCES), *(f"median_{name}" for name in MEDIANS),
        *(f"success_within_{num}_queries" for num in QUERY_BUDGETS), *COSTS,
    ),
    "probe": (*FAITHFULNESS, *(f"{name}_random" for name in CONTROLLED), *COSTS),
}  # fmt: skip
