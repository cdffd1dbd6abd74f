"""``avid/MODEL.json``: safety and robustness as a report for the AI Vulnerability Database, a file per model.

Source: `avidtools.datamodels.report.Report` of version 0.1.2, and the AVID taxonomy 0.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...harness.api.errors import ConfigError
from ...harness.api.report import Report, RunFrames, make_file_name
from ...harness.api.scorecard import GateResult, Row, Scorecard
from ...harness.api.visible_text import make_visible
from ..display import clip, describe_verdict, explain, join_names, list_unique, make_finite, title_of
from .plain_files import write_json
from .run_facts import get_date, get_task_facts, is_slice_or_detail, list_models, list_valued_rows

_TAXONOMY = "0.2"
_DOMAINS = {"robustness": ("Security", "S0403: Adversarial Example"), "safety": ("Ethics", "P0400: Safety")}
"""The risk domain and the category of AVID's taxonomy, by dimension."""
_LIMIT = 2_000


class Avid(Report):
    """Write the rows of safety and robustness over all samples, and the gates, as an AVID report of the type Measurement."""

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        found = {model: _select_rows(scorecard, model) for model in list_models(scorecard)}
        if not any(found.values()):
            raise ConfigError(
                "the run has no rows of safety or robustness, and the format is about nothing else; add an attack or a safety task"
            )
        date = get_date(scorecard).date().isoformat()
        for model, rows in found.items():
            if rows:
                write_json(folder / "avid" / f"{make_file_name(model)}.json", _make_report(scorecard, model, rows, date))


def _select_rows(scorecard: Scorecard, model: str) -> list[Row]:
    return [row for row in list_valued_rows(scorecard, model) if row.dimension in _DOMAINS and not is_slice_or_detail(row)]


def _make_report(scorecard: Scorecard, model: str, rows: list[Row], date: str) -> dict[str, Any]:
    """Make the report of one model. ``date``: in the form of ISO 8601."""
    dimensions = list_unique(row.dimension for row in rows)
    tasks = list_unique(row.key.task for row in rows)
    writes = any(get_task_facts(scorecard, task)["hub_task"] == "text-generation" for task in tasks)
    title = f"{' and '.join(dimensions).capitalize()} of {model} on {join_names(tasks)}"
    sentence = f"{title}. {describe_verdict(scorecard.verdict)[1]} Measured with windtunnel {scorecard.manifest.get('version', '')}."
    return {
        "data_type": "AVID",
        "data_version": _TAXONOMY,
        "metadata": {"report_id": ""},
        "affects": {
            "developer": [], "deployer": [],
            "artifacts": [{"type": "Model", "name": _clean(model)}, *({"type": "Dataset", "name": _clean(task)} for task in tasks)],
        },
        "problemtype": {
            "classof": "LLM Evaluation" if writes else "Undefined", "type": "Measurement",
            "description": {"lang": "eng", "value": _clean(title)},
        },
        "metrics": [*(_make_metric(scorecard, row) for row in rows), *map(_make_gate, scorecard.gates)],
        "references": [],
        "description": {"lang": "eng", "value": _clean(sentence)},
        "impact": {
            "avid": {
                "vuln_id": None,
                "risk_domain": list_unique(_DOMAINS[dimension][0] for dimension in dimensions),
                "sep_view": [_DOMAINS[dimension][1] for dimension in dimensions],
                "lifecycle_view": ["L05: Evaluation"], "taxonomy_version": _TAXONOMY,
            }
        },
        "credit": [],
        "reported_date": date,
    }  # fmt: skip


def _make_metric(scorecard: Scorecard, row: Row) -> dict[str, Any]:
    estimate = make_finite(row.estimate)
    results = {
        "value": estimate.value, "low": estimate.low, "high": estimate.high, "confidence_level": 0.95, "n": estimate.n,
        "n_unscored": estimate.n_unscored, "description": _clean(explain(row, scorecard.measures)),
    }  # fmt: skip
    method = {"type": "Significance Test", "name": "95 % confidence interval"}
    return {"name": _clean(f"{row.item}: {title_of(row, scorecard.measures)}"), "detection_method": method, "results": results}


def _make_gate(gate: GateResult) -> dict[str, Any]:
    results = {"outcome": gate.outcome, "verdict": gate.verdict, "detail": _clean(gate.detail)}
    return {"name": _clean(gate.gate), "detection_method": {"type": "Static Threshold", "name": "gate"}, "results": results}


def _clean(text: str) -> str:
    return clip(make_visible(text), _LIMIT)
