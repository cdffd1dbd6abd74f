"""A run folder for reading, as pandas frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.registry import Registry
from ..api.scorecard import Estimate, Row, Scorecard
from ..items.base.view import is_right
from ..items.kinds import kinds_of
from ..store import FILE_NAME, Store

if TYPE_CHECKING:
    import pandas as pd

_SAMPLE_COLUMNS = ("model", "item", "kind", "task", "sample_id", "target", "error", "probe")
_ORIGINS = ("model_fingerprint", "data_fingerprint", "plugin", "seed")
_ESTIMATE = ("value", "low", "high", "n", "n_unscored", "reason")


_FEW = 64
"""Numbers that stand in one cell of a frame."""


def _is_small(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _FEW and all(isinstance(part, int | float) for part in value)
    return isinstance(value, str | int | float | bool) or value is None


def _cell(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Run:
    """A run folder as it can be asked: ``windtunnel.load(path).samples()``, ``.metrics()`` and ``.scorecard``."""

    def __init__(self, path: Path, plugins: Sequence[str] = (), registry: Registry | None = None) -> None:
        self.path = path
        self.plugins = tuple(plugins)
        self._given = registry

    @classmethod
    def load(cls, path: str | Path, plugins: Sequence[str] = ()) -> Run:
        """``plugins``: plugin files that the run was made with, for its own metrics; records load no code by themselves.

        Raises `StoreError` where the folder holds no readable run, or one that was changed.
        """
        run = cls(Path(path), plugins)
        Store.open(run.path / FILE_NAME, readonly=True).close()
        return run

    @cached_property
    def scorecard(self) -> Scorecard:
        """All that the run's reports show, computed from the records."""
        from .summarise import summarise

        return summarise(self.path, registry=self._registry())

    def _registry(self) -> Registry:
        """That of the process which made the run, where this is it: it knows the plugin files that were given."""
        from .summarise import load_registry

        return self._given or load_registry(self.path, self.plugins)

    def open(self) -> None:
        """Show the scorecard in the browser."""
        import webbrowser

        webbrowser.open((self.path / "scorecard.html").resolve().as_uri())

    def _repr_html_(self) -> str:
        """For a notebook: the verdict, the gates, and each item's first row. Everything in it is escaped."""
        from html import escape

        card = self.scorecard
        gates = "".join(f"<li>{escape(g.outcome)}: {escape(g.gate)} ({escape(g.detail)})</li>" for g in card.gates)
        cells = (
            (r.model, r.item, r.name, _number(r.estimate.value), _interval(r.estimate), str(r.estimate.n)) for r in _first_rows(card.rows)
        )
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        head = "".join(f"<th>{name}</th>" for name in ("model", "item", "metric", "value", "95 %", "n"))
        return (
            f"<p><b>{escape(card.verdict)}</b>{'' if card.complete else ', incomplete'}: {escape(str(self.path))}</p>"
            f"<ul>{gates}</ul><table><tr>{head}</tr>{rows}</table>"
        )

    def samples(self) -> pd.DataFrame:
        """A row a sample and item: model, item, kind, task, sample_id, target, error, probe (whose attribution the row is about, if any),
        each score as ``score.NAME`` (float, NaN where there is none), each small artifact (prediction, ...) by its name, ``parts`` (what
        an attribution's values are about), and the fingerprints of model, data and plugin, and the seed. Several numbers are one tuple:
        ``loglikelihoods`` in nats and ``probabilities``, in the order of the choices.

        Where there are probes, a column a slice of `slices` says whether the sample is in it by the row's probe, NA where it could not be:
        a query is ``samples.query("wrong_and_unfaithful and probe == 'occlusion'")``."""
        import pandas as pd

        kinds = kinds_of(self._registry())
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
                    small = {name: _cell(value) for name, value in record.artifacts.items() if _is_small(value)}
                    if (attribution := record.artifacts.get("attribution")) is not None:
                        small["parts"] = attribution["parts"]
                    scores = {f"score.{name}": value for name, value in record.scores.items()}
                    target = targets[item.task].get(record.sample_id)
                    # What an artifact is called can hide no column of ours.
                    own = {**slices, **head, "sample_id": record.sample_id, "target": target, "error": record.error, **tail}
                    rows.append({**small, **scores, **own})
        finally:
            store.close()
        frame = pd.DataFrame(rows, columns=None if rows else [*_SAMPLE_COLUMNS, *_ORIGINS])
        scored = [name for name in frame.columns if name.startswith("score.")]
        others = [name for name in frame.columns if name not in {*_SAMPLE_COLUMNS, *_ORIGINS, *scored}]
        sliced = [name for known in kinds.values() for name in known.slice_names if name in frame.columns]
        types = {**dict.fromkeys(scored, "float64"), **dict.fromkeys(sliced, "boolean")}
        return frame[[*_SAMPLE_COLUMNS, *scored, *others, *_ORIGINS]].astype(types)

    def metrics(self) -> pd.DataFrame:
        """A row a metric: model, item, metric, dimension, value, low, high, n, n_unscored, reason. Computed from the records."""
        import pandas as pd

        from .summarise import summarise

        names = ("model", "item", "metric", "dimension")
        found = [
            {"model": r.model, "item": r.item, "metric": r.name, "dimension": r.dimension, **{n: getattr(r.estimate, n) for n in _ESTIMATE}}
            for r in summarise(self.path, gates=(), registry=self._registry()).rows
        ]
        frame = pd.DataFrame(found, columns=[*names, *_ESTIMATE])
        return frame.astype({"value": "float64", "low": "float64", "high": "float64", "n": "int64", "n_unscored": "int64"})


def _first_rows(rows: Sequence[Row]) -> list[Row]:
    """Of each item the first row that is not about its cost."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row.dimension != "efficiency":
            first.setdefault((row.model, row.item), row)
    return list(first.values())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"{estimate.low:.3g} to {estimate.high:.3g}"


load = Run.load
"""A run folder to its `Run`."""
