"""Run folders as pandas frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.numerals import format_number
from ..api.registry import Registry
from ..api.scorecard import Estimate, Scorecard
from ..api.visible_text import escape_surrogates
from ..items.base.view import is_right, label, preview_input, to_text
from ..items.kinds import list_kinds
from ..scorecard.gates.readings import explain_verdict, read_gates
from ..scorecard.headlines import choose_headlines
from ..store import FILE_NAME, Store

if TYPE_CHECKING:
    import pandas as pd

    from ..api.comparison import Comparison

_SAMPLE_COLUMNS = ("model", "item", "kind", "task", "sample_id", "target", "error", "probe")
_ORIGINS = ("model_fingerprint", "data_fingerprint", "plugin", "seed")
_ESTIMATE = ("value", "low", "high", "n", "n_unscored", "reason")


_FEW = 64
"""The maximum number of values in a cell of a frame."""


def _is_small(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _FEW and all(isinstance(part, int | float) for part in value)
    return isinstance(value, str | int | float | bool) or value is None


def _make_cell(value: Any) -> Any:
    """Return a value for a cell. The texts of a frame are UTF-8: lone surrogates become escapes."""
    if isinstance(value, str):
        return escape_surrogates(value)
    return tuple(value) if isinstance(value, list) else value


class Run:
    """The results in a run folder: ``windtunnel.load(path).samples()``, ``.inputs()``, ``.metrics()`` and ``.scorecard``."""

    def __init__(self, path: Path, plugins: Sequence[str] = (), registry: Registry | None = None) -> None:
        self.path = path
        self.plugins = tuple(plugins)
        self._given = registry

    @classmethod
    def load(cls, path: str | Path, plugins: Sequence[str] = ()) -> Run:
        """Open a run folder.

        ``path``: the run folder. ``plugins``: plugin files of the run, needed for its own metrics; records load no code by themselves.
        Raises `StoreError` if the folder contains no readable run, or a modified one.
        """
        run = cls(Path(path), plugins)
        Store.open(run.path / FILE_NAME, readonly=True).close()
        return run

    @cached_property
    def scorecard(self) -> Scorecard:
        """The scorecard, computed from the records."""
        from .summarise import summarise

        return summarise(self.path, registry=self._get_registry())

    def _get_registry(self) -> Registry:
        """Return the registry of the process that ran the suite, or a new one with the given plugin files."""
        from .summarise import load_registry

        return self._given or load_registry(self.path, self.plugins)

    def check(self, *gates: str | Mapping[str, Any], baseline: Run | str | Path | None = None) -> Scorecard:
        """Return the scorecard with these gates instead of the suite's.

        ``gates``: checks such as ``"sst2.accuracy >= 0.9"``, or mappings such as ``{"check": "sst2.accuracy", "drop": 0.01}``; without
        any, those of the suite. ``baseline``: a run, a run folder or a baseline file; by default the one that the run folder keeps.
        Raises `ConfigError` for a gate that is none, and for a baseline that cannot be read.
        """
        from ..scorecard.gates import parse_entry
        from .baseline import load_baseline
        from .summarise import summarise

        parsed = [parse_entry(gate) for gate in gates]
        registry = self._get_registry()
        path = baseline.path if isinstance(baseline, Run) else baseline
        compared = load_baseline(Path(path), registry) if path is not None else None
        return summarise(self.path, gates=parsed or None, registry=registry, baseline=compared)

    def compare(
        self, baseline: Run | str | Path, /, *, baseline_model: str | None = None, allow_mismatch: bool = False
    ) -> list[Comparison]:  # fmt: skip
        """Compare the run with a baseline, sample by sample: one comparison per model of the run.

        ``baseline``: a run, a run folder or a baseline file.
        ``baseline_model``: the only model of the baseline to compare with; by default that of the same name, or its only one.
        ``allow_mismatch``: compare runs of different data, tasks or settings.
        Raises `ConfigError` for runs that cannot be compared.
        """
        from .compare import compare_paths

        path = baseline.path if isinstance(baseline, Run) else Path(baseline)
        return compare_paths(path, [self.path], baseline_model=baseline_model, allow_mismatch=allow_mismatch, registry=self._get_registry())

    def open(self) -> None:
        """Show the scorecard in the browser."""
        import webbrowser

        webbrowser.open((self.path / "scorecard.html").resolve().as_uri())

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: the verdict with its reason, the gates, and each item's headline row. All text is escaped."""
        from html import escape

        card = self.scorecard
        gates = "".join(f"<li>{escape(g.outcome)}: {escape(g.gate)} ({escape(g.detail)})</li>" for g in card.gates)
        cells = (
            (r.model, r.item, r.name, format_number(r.estimate.value), _format_interval(r.estimate), f"{r.estimate.n:,}")
            for r in choose_headlines(card.rows)
        )
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        head = "".join(f"<th>{name}</th>" for name in ("model", "item", "metric", "value", "95 %", "n"))
        return (
            f"<p><b>{escape(card.verdict)}</b>: {escape(explain_verdict(card, read_gates(card)))}</p><p>{escape(str(self.path))}</p>"
            f"<ul>{gates}</ul><table><tr>{head}</tr>{rows}</table>"
        )

    def samples(self) -> pd.DataFrame:
        """Return a frame with one row per sample and item.

        Columns: model, item, kind, task, sample_id, target, error, probe (the probe of the row's attribution, if any), each score as
        ``score.NAME`` (float, NaN if missing), each small artifact (prediction, ...) by name, ``parts`` (the kind of an attribution's
        parts), the fingerprints of model, data and plugin, and the seed. Sequences of numbers are tuples: ``loglikelihoods`` in nats and
        ``probabilities``, in the order of the choices.

        With probes, one boolean column per slice tells whether the sample is in it, NA if the slice does not apply, as in
        ``samples.query("wrong_and_unfaithful and probe == 'occlusion'")``.
        """
        import pandas as pd

        kinds = list_kinds(self._get_registry())
        store = Store.open(self.path / FILE_NAME, readonly=True)
        try:
            items = store.items()
            targets = {task: {s.id: s.target for s in store.samples(task)} for task in {i.task for i in items}}
            rows: list[dict[str, Any]] = []
            right: dict[tuple[str, str, str], bool | None] = {}
            for item in items:
                head = {"model": item.model, "item": item.item, "kind": item.kind, "task": item.task}
                kind = kinds.get(item.kind)
                keys = (item.key, *item.key.about)
                probe = next((key.title for key in keys if key.kind in kinds and kinds[key.kind].has_attributions), None)
                tail = {"probe": probe, **{name: getattr(item, name) for name in _ORIGINS}}
                for record in store.records(item):
                    key = item.model, item.task, record.sample_id
                    if item.key.is_task:
                        right[key] = is_right(item, record)
                    slices: dict[str, bool | None] = dict.fromkeys(kind.slice_names) if kind is not None else {}
                    slices |= kind.slices(right.get(key), record.scores) if kind is not None else {}
                    small = {name: _make_cell(value) for name, value in record.artifacts.items() if _is_small(value)}
                    if (attribution := record.artifacts.get("attribution")) is not None:
                        small["parts"] = attribution["parts"]
                    scores = {f"score.{name}": value for name, value in record.scores.items()}
                    target = _make_cell(targets[item.task].get(record.sample_id))
                    # The name of an artifact must not hide a column of the harness.
                    fixed = {**slices, **head, "sample_id": record.sample_id, "target": target, "error": _make_cell(record.error), **tail}
                    rows.append({**small, **scores, **fixed})
        finally:
            store.close()
        frame = pd.DataFrame(rows, columns=None if rows else [*_SAMPLE_COLUMNS, *_ORIGINS])
        scored = [name for name in frame.columns if name.startswith("score.")]
        others = [name for name in frame.columns if name not in {*_SAMPLE_COLUMNS, *_ORIGINS, *scored}]
        sliced = [name for known in kinds.values() for name in known.slice_names if name in frame.columns]
        types = {**dict.fromkeys(scored, "float64"), **dict.fromkeys(sliced, "boolean")}
        return frame[[*_SAMPLE_COLUMNS, *scored, *others, *_ORIGINS]].astype(types)

    def inputs(self) -> pd.DataFrame:
        """Return a frame with one row per sample of each task.

        Columns: task, sample_id, input (its text, a line per part of a chat or pair; a picture is named by its kind), target (the name of
        the class, or text) and labels (a tuple). A join with `samples` on task and sample_id shows what a record answers.
        """
        import pandas as pd

        store = Store.open(self.path / FILE_NAME, readonly=True)
        try:
            tasks = dict.fromkeys(item.task for item in store.items())
            rows = [
                tuple(map(_make_cell, (task, s.id, to_text(preview_input(s.input)), label(s.target, s.labels), s.labels)))
                for task in tasks
                for s in store.samples(task)
            ]
        finally:
            store.close()
        return pd.DataFrame(rows, columns=["task", "sample_id", "input", "target", "labels"])

    def metrics(self) -> pd.DataFrame:
        """Return a frame with one row per metric: model, item, metric, dimension, value, low, high, n, n_unscored, reason."""
        import pandas as pd

        from .summarise import summarise

        names = ("model", "item", "metric", "dimension")
        rows = [
            {"model": r.model, "item": r.item, "metric": r.name, "dimension": r.dimension, **{n: getattr(r.estimate, n) for n in _ESTIMATE}}
            for r in summarise(self.path, gates=(), registry=self._get_registry()).rows
        ]
        frame = pd.DataFrame(rows, columns=[*names, *_ESTIMATE])
        return frame.astype({"value": "float64", "low": "float64", "high": "float64", "n": "int64", "n_unscored": "int64"})


def _format_interval(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"{estimate.low:.3g} to {estimate.high:.3g}"


load = Run.load
"""Open a run folder as a `Run`."""
