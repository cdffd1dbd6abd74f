"""``lm_eval/MODEL/results_DATE.json`` and ``samples_TASK_DATE.jsonl``: tasks in the format of lm-evaluation-harness 0.4.

Source: `lm_eval.loggers.EvaluationTracker` of version 0.4.13.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...harness.api.report import Report, RunFrames, make_file_name
from ...harness.api.scorecard import Row, Scorecard
from ...harness.api.visible_text import escape_surrogates
from ..display import make_finite
from .plain_files import to_plain, write_json, write_text
from .run_facts import get_date, get_model_facts, get_model_id, get_task_facts, list_models, list_valued_rows

if TYPE_CHECKING:
    import pandas as pd

_FILTER = "none"
"""The name of the filter of answers; Windtunnel has none."""
_Z = 1.959964
"""Half of a 95 % interval, in standard errors."""


class LmEval(Report):
    """Write the results and samples of each model's tasks; attacks and probes have no place in the format.

    A metric's standard error is a quarter of the width of its 95 % interval (exactly, the width divided by 3.92). A sample's ``arguments``
    are its input as text and, for a choice, the choice. ``resps`` are the log-likelihoods of the choices, the probabilities of the
    classes, or the generated text.
    """

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        date = get_date(scorecard)
        day = date.replace(tzinfo=None).isoformat().replace(":", "-")
        samples = run.samples()
        inputs = run.inputs()
        for model in list_models(scorecard):
            place = folder / "lm_eval" / make_file_name(model)
            results = _make_results(scorecard, model, date)
            write_json(place / f"results_{day}.json", results)
            for task in results["results"]:
                of_task = (samples["model"] == escape_surrogates(model)) & (samples["task"] == escape_surrogates(task))
                found = samples[(samples["kind"] == "task") & of_task]
                lines = _make_samples(found, inputs[inputs["task"] == escape_surrogates(task)])
                text = "".join(f"{json.dumps(to_plain(line), ensure_ascii=False, allow_nan=False)}\n" for line in lines)
                write_text(place / f"samples_{make_file_name(task)}_{day}.jsonl", text)


# ── results ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_results(scorecard: Scorecard, model: str, date: datetime) -> dict[str, Any]:
    """Make the results of one model."""
    rows: dict[str, list[Row]] = {}
    for row in list_valued_rows(scorecard, model):
        if row.key.is_task and row.dimension != "efficiency":
            rows.setdefault(row.key.task, []).append(row)
    facts, model_id = get_model_facts(scorecard, model), get_model_id(scorecard, model)
    version = str(scorecard.manifest.get("version", ""))
    sizes = {task: max(row.estimate.n + row.estimate.n_unscored for row in found) for task, found in rows.items()}
    return {
        "results": {task: _make_task(task, found) for task, found in rows.items()},
        "group_subtasks": {task: [] for task in rows},
        "configs": {task: _make_config(scorecard, task, version) for task in rows},
        "versions": dict.fromkeys(rows, version),
        "n-shot": {},
        "higher_is_better": {
            task: {_name(row): row.higher_is_better for row in found if row.higher_is_better is not None} for task, found in rows.items()
        },
        "n-samples": {task: {"original": size, "effective": size} for task, size in sizes.items()},
        "config": {"model": "windtunnel", "model_args": f"pretrained={model_id}", "model_dtype": str(facts.get("dtype", ""))},
        "git_hash": None,
        "date": date.timestamp(),
        "windtunnel_version": version,
        "model_source": "windtunnel",
        "model_name": model_id,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", model_id),
    }


def _make_task(task: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Make the metrics of one task, each with its standard error."""
    numbers: dict[str, Any] = {"alias": task}
    for row in rows:
        estimate = make_finite(row.estimate)
        low, high = estimate.low, estimate.high
        numbers[f"{_name(row)},{_FILTER}"] = estimate.value
        numbers[f"{_name(row)}_stderr,{_FILTER}"] = "N/A" if low is None or high is None else (high - low) / (2 * _Z)
    return numbers


def _name(row: Row) -> str:
    """Return the name of a metric. A comma would begin the name of the filter."""
    return row.name.replace(",", ";")


def _make_config(scorecard: Scorecard, task: str, version: str) -> dict[str, Any]:
    """Describe a task: its data set, if it is on the Hub."""
    source = get_task_facts(scorecard, task)["source"]
    names = {"dataset_path": "hub", "dataset_name": "config", "test_split": "split"}
    return {"task": task, **{name: source[key] for name, key in names.items() if key in source}, "metadata": {"version": version}}


# ── samples ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_samples(records: pd.DataFrame, inputs: pd.DataFrame) -> list[dict[str, Any]]:
    """Make one line per record of a task. ``inputs``: the rows of the task in `RunFrames.inputs`."""
    known = {row["sample_id"]: (number, row) for number, row in enumerate(inputs.to_dict("records"))}
    scores = [name for name in records.columns if name.startswith("score.") and records[name].notna().any()]
    return [_make_sample(record, *known[record["sample_id"]], scores) for record in records.to_dict("records")]


def _make_sample(record: Mapping[Any, Any], number: int, shown: Mapping[Any, Any], scores: Sequence[str]) -> dict[str, Any]:
    """Make the line of one record.

    ``number``: position of the sample in its task. ``shown``: its input, target and labels. ``scores``: columns of the task's scores.
    """
    doc = {"id": shown["sample_id"], "input": shown["input"]}
    arguments, responses = _pair_responses(record, shown)
    values = {name.removeprefix("score."): record[name] for name in scores}
    return {
        "doc_id": number,
        "doc": doc,
        "target": str(shown["target"]),
        "arguments": {f"gen_args_{i}": {f"arg_{j}": part for j, part in enumerate(parts)} for i, parts in enumerate(arguments)},
        "resps": [[response] for response in responses],
        "filtered_resps": list(responses),
        "filter": _FILTER,
        "metrics": list(values),
        "doc_hash": _hash(json.dumps(doc, ensure_ascii=False)),
        "prompt_hash": _hash(str(shown["input"])),
        "target_hash": _hash(str(shown["target"])),
        "error": record["error"] if isinstance(record["error"], str) else None,
        **values,
    }


def _pair_responses(record: Mapping[Any, Any], shown: Mapping[Any, Any]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the requests of a record, each as its texts, and the response to each as text."""
    labels = tuple(map(str, shown["labels"]))
    for name in ("loglikelihoods", "probabilities"):
        numbers = record.get(name)
        if isinstance(numbers, tuple) and len(numbers) == len(labels):
            return [(shown["input"], label) for label in labels], [str(number) for number in numbers]
    given = next((record[name] for name in ("output", "prediction") if isinstance(record.get(name), str)), "")
    return [(shown["input"],)], [given]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
