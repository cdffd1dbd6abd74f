"""``every_eval_ever/MODEL.json``: the rows in the format of Every Eval Ever 0.3, a file per model.

Source: the schema of https://github.com/evaleval/every_eval_ever, version 0.3.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...harness.api.report import Report, RunFrames, make_file_name
from ...harness.api.scorecard import Row, Scorecard
from ...harness.scorecard.names import get_kind
from ..display import explain, make_finite, title_of
from .plain_files import write_json
from .run_facts import get_date, get_model_facts, get_model_id, get_task_facts, list_models, list_valued_rows

_SCHEMA = "0.3.0"
_BOUNDS = {"rate": (0.0, 1.0), "mean in [0, 1]": (0.0, 1.0), "mean in [-1, 1]": (-1.0, 1.0)}
"""The bounds of a score, by the kind of its number."""


class EveryEvalEver(Report):
    """Write each row that has a value as an evaluation result.

    The format requires a score: rows without a value are counted in ``source_metadata``. It also requires a direction: a row of which
    neither direction is better, such as a control, has ``lower_is_better: false`` and says so in the metric's ``additional_details``.
    """

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        for model in list_models(scorecard):
            path = folder / "every_eval_ever" / f"{make_file_name(model)}.json"
            write_json(path, _make_log(scorecard, model, str(int(get_date(scorecard).timestamp()))))


def _make_log(scorecard: Scorecard, model: str, timestamp: str) -> dict[str, Any]:
    """Make the file of one model. ``timestamp``: seconds since 1970."""
    name, model_id = str(scorecard.manifest.get("name", "windtunnel")), get_model_id(scorecard, model)
    facts = get_model_facts(scorecard, model)
    rows = list_valued_rows(scorecard, model)
    num_without = sum(row.model == model for row in scorecard.rows) - len(rows)
    known = {key: str(facts[key]) for key in ("fingerprint", "dtype", "device") if facts.get(key)}
    details = {"deployment_type": "self_deployed", "model_availability": "unknown", **known}
    source = {"verdict": scorecard.verdict, "is_complete": str(scorecard.complete).lower(), "rows_without_value": str(num_without)}
    return {
        "schema_version": _SCHEMA,
        "evaluation_id": f"{name}/{model_id}/{timestamp}",
        "evaluation_timestamp": timestamp,
        "retrieved_timestamp": timestamp,
        "source_metadata": {
            "source_name": name, "source_type": "evaluation_run", "source_organization_name": "unknown", "evaluator_relationship": "other",
            "additional_details": source,
        },
        "eval_library": {"name": "windtunnel", "version": str(scorecard.manifest.get("version", "unknown"))},
        "model_info": {"name": model, "id": model_id, "additional_details": details},
        "evaluation_results": [_make_result(scorecard, row, model_id) for row in rows],
    }  # fmt: skip


def _make_result(scorecard: Scorecard, row: Row, model_id: str) -> dict[str, Any]:
    """Convert a row with a value."""
    estimate = make_finite(row.estimate)
    uncertainty: dict[str, Any] = {"num_samples": estimate.n}
    if estimate.low is not None and estimate.high is not None:
        uncertainty["confidence_interval"] = {"lower": estimate.low, "upper": estimate.high, "confidence_level": 0.95}
    details = {"n_unscored": str(estimate.n_unscored), **({"remark": estimate.reason} if estimate.reason else {})}
    return {
        "evaluation_result_id": f"{model_id}/{row.item}.{row.name}",
        "evaluation_name": f"{row.item}.{row.name}",
        "source_data": _make_source(scorecard, row.key.task),
        "metric_config": _describe_metric(scorecard, row),
        "score_details": {"score": estimate.value, "details": details, "uncertainty": uncertainty},
    }


def _describe_metric(scorecard: Scorecard, row: Row) -> dict[str, Any]:
    """Describe a row's metric. The range is left out unless the kind of number determines it."""
    bounds = _BOUNDS.get(get_kind(row.name)) if not row.unit and row.metric in scorecard.measures else None
    parts = {key: value for key, value in (("control", row.control), ("about", row.about), ("slice", row.slice)) if value}
    config: dict[str, Any] = {
        "evaluation_description": explain(row, scorecard.measures) or title_of(row, scorecard.measures),
        "metric_id": row.metric,
        "metric_name": title_of(row, scorecard.measures),
        "lower_is_better": row.higher_is_better is False,
        "additional_details": {
            "dimension": row.dimension,
            **({} if row.higher_is_better is not None else {"direction": "neither is better"}),
        },
    }
    if parts:
        config["metric_parameters"] = parts
    if row.unit:
        config["metric_unit"] = row.unit
    return config if bounds is None else {**config, "score_type": "continuous", "min_score": bounds[0], "max_score": bounds[1]}


def _make_source(scorecard: Scorecard, task: str) -> dict[str, Any]:
    """Describe a task's data set: on the Hub, or from elsewhere."""
    source = get_task_facts(scorecard, task)["source"]
    if "hub" not in source:
        return {"dataset_name": task, "source_type": "other"}
    more = {key: str(source[key]) for key in ("config", "revision") if key in source}
    split = {"hf_split": source["split"]} if "split" in source else {}
    details = {"additional_details": more} if more else {}
    return {"dataset_name": task, "source_type": "hf_dataset", "hf_repo": source["hub"], **split, **details}
