"""A run folder for reading, as pandas frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .store import FILE_NAME, Store

if TYPE_CHECKING:
    import pandas as pd

_SAMPLE_COLUMNS = ("model", "item", "kind", "task", "sample_id", "target", "error")
_ORIGINS = ("model_fingerprint", "data_fingerprint", "plugin", "seed")
_ESTIMATE = ("value", "low", "high", "n", "n_unscored", "reason")


class Run:
    """``Run.load(path).samples()`` and ``.metrics()``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Raises `StoreError` where the folder holds no readable run."""
        run = cls(Path(path))
        Store.open(run.path / FILE_NAME, readonly=True).close()
        return run

    def samples(self) -> pd.DataFrame:
        """A row a sample and item: model, item, kind, task, sample_id, target, error, each score as ``score.NAME`` (float, NaN where there
        is none), each small artifact (prediction, ...) by its name, and the fingerprints of model, data and plugin, and the seed."""
        import pandas as pd

        store = Store.open(self.path / FILE_NAME, readonly=True)
        try:
            items = store.items()
            targets = {task: {s.id: s.target for s in store.samples(task)} for task in {i.task for i in items}}
            rows: list[dict[str, Any]] = []
            for item in items:
                head = {"model": item.model, "item": item.item, "kind": item.kind, "task": item.task}
                tail = {name: getattr(item, name) for name in _ORIGINS}
                for record in store.records(item):
                    small = {k: v for k, v in record.artifacts.items() if isinstance(v, str | int | float | bool) or v is None}
                    scores = {f"score.{name}": value for name, value in record.scores.items()}
                    target = targets[item.task].get(record.sample_id)
                    # What an artifact is called can hide no column of ours.
                    rows.append({**small, **scores, **head, "sample_id": record.sample_id, "target": target, "error": record.error, **tail})
        finally:
            store.close()
        frame = pd.DataFrame(rows, columns=None if rows else [*_SAMPLE_COLUMNS, *_ORIGINS])
        scored = [name for name in frame.columns if name.startswith("score.")]
        others = [name for name in frame.columns if name not in {*_SAMPLE_COLUMNS, *_ORIGINS, *scored}]
        return frame[[*_SAMPLE_COLUMNS, *scored, *others, *_ORIGINS]].astype(dict.fromkeys(scored, "float64"))

    def metrics(self) -> pd.DataFrame:
        """A row a metric: model, item, metric, dimension, value, low, high, n, n_unscored, reason. Computed from the records."""
        import pandas as pd

        from .summary import summarise

        names = ("model", "item", "metric", "dimension")
        found = [
            {**{n: getattr(r, n) for n in names}, **{n: getattr(r.estimate, n) for n in _ESTIMATE}}
            for r in summarise(self.path, gates=()).rows
        ]
        frame = pd.DataFrame(found, columns=[*names, *_ESTIMATE])
        return frame.astype({"value": "float64", "low": "float64", "high": "float64", "n": "int64", "n_unscored": "int64"})
