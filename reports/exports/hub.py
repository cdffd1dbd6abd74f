"""Results for a model's page on the Hugging Face Hub: the model card's ``model-index``, and the files of ``.eval_results``.

Source: ``modelcard.md`` and ``eval_results.yaml`` of https://github.com/huggingface/hub-docs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ...harness.api.errors import ConfigError
from ...harness.api.report import Report, RunFrames, make_file_name
from ...harness.api.scorecard import Row, Scorecard
from ...harness.api.visible_text import make_visible
from ..display import clip, format_interval, make_finite, title_of
from .plain_files import to_plain, write_text
from .run_facts import get_date, get_task_facts, is_slice_or_detail, list_models, list_primary_rows, list_valued_rows

_LIMIT = 200


class ModelIndex(Report):
    """Write a model card that holds only metadata, ``model_index/MODEL.md``, a file per model.

    Its front matter goes into the ``README.md`` of the model. It lists the metrics of each task, and of each attack on a task, over all
    samples; costs, slices, classes and controls are left out.
    """

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        for model in list_models(scorecard):
            index = {"model-index": [{"name": _clean(model), "results": _make_results(scorecard, model)}]}
            write_text(folder / "model_index" / f"{make_file_name(model)}.md", f"---\n{_dump(index)}---\n")


def _make_results(scorecard: Scorecard, model: str) -> list[dict[str, Any]]:
    """Make one entry per item: its task, its data set and its metrics."""
    rows: dict[str, list[Row]] = {}
    for row in list_valued_rows(scorecard, model):
        if row.key.kind in ("task", "attack", "worst_case") and row.dimension != "efficiency" and not is_slice_or_detail(row):
            rows.setdefault(row.item, []).append(row)
    return [_make_result(scorecard, item, found) for item, found in rows.items()]


def _make_result(scorecard: Scorecard, item: str, rows: list[Row]) -> dict[str, Any]:
    facts = get_task_facts(scorecard, rows[0].key.task)
    source = facts["source"]
    place = {key: _clean(source[key]) for key in ("config", "split", "revision") if key in source}
    title = facts["title"] if rows[0].key.is_task else f"{facts['title']}, {item}"
    metrics = [
        {"type": _clean(row.name), "value": make_finite(row.estimate).value, "name": _clean(title_of(row, scorecard.measures)),
         "args": {"n": row.estimate.n, **({"interval_95": format_interval(row)} if format_interval(row) else {})}}
        for row in rows
    ]  # fmt: skip
    return {
        "task": {"type": facts["hub_task"]},
        "dataset": {"type": _clean(source.get("hub", rows[0].key.task)), "name": _clean(title), **place},
        "metrics": metrics,
    }


class EvalResults(Report):
    """Write the first metric of each task whose data are on the Hub, ``eval_results/MODEL.yaml``, a file per model.

    It belongs into the folder ``.eval_results`` of the model's repository. The Hub shows a result if the data set is a benchmark there
    whose ``eval.yaml`` defines a task with the name of the data set's configuration, or ``default``.
    """

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        date = get_date(scorecard).date().isoformat()
        found = {model: _make_entries(scorecard, model, date) for model in list_models(scorecard)}
        if not any(found.values()):
            raise ConfigError("no task with a result reads its data from the Hub, and the format has only data sets of the Hub")
        for model, entries in found.items():
            if entries:
                write_text(folder / "eval_results" / f"{make_file_name(model)}.yaml", _dump(entries))


def _make_entries(scorecard: Scorecard, model: str, date: str) -> list[dict[str, Any]]:
    """Make the entries of one model. ``date``: in the form of ISO 8601."""
    entries = []
    for row in list_primary_rows(scorecard, model):
        source = get_task_facts(scorecard, row.key.task)["source"]
        if "hub" in source:
            place = {"id": _clean(source["hub"]), "task_id": _clean(source.get("config", "default"))}
            revision = {"revision": _clean(source["revision"])} if "revision" in source else {}
            notes = [f"windtunnel: {title_of(row, scorecard.measures)}", f"n = {row.estimate.n:,}"]
            notes += [f"95 % interval {format_interval(row)}"] if format_interval(row) else []
            entries.append({
                "dataset": place | revision, "value": make_finite(row.estimate).value, "date": date, "notes": _clean(", ".join(notes)),
            })  # fmt: skip
    return entries


def _clean(text: object) -> str:
    return clip(make_visible(str(text)), _LIMIT)


def _dump(value: object) -> str:
    """Return YAML whose texts the library quotes where they need it."""
    text: str = yaml.safe_dump(to_plain(value), sort_keys=False, allow_unicode=True, width=10_000)
    return text
