"""Runs from Python, with the same plan, records and scorecard as runs of a suite file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import count
from pathlib import Path
from types import NoneType
from typing import Any

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..plan.planner import plan
from ..results.frames import Run
from ..results.summarise import summarise
from ..results.write_reports import write_reports
from ..suite.load import make_suite
from .live_objects import LiveObjects
from .progress import Progress
from .progress_display import open_progress
from .runner import run_plan


def evaluate(
    models: Any,
    tasks: Any,
    attacks: Any = (),
    probes: Any = (),
    gates: Any = (),
    *,
    folder: str | Path | None = None,
    progress: Progress | bool = True,
    plugins: str | Path | Sequence[str | Path] = (),
    **keys: Any,
) -> Run:
    """Run tasks, attacks and probes on models, and return the run: ``.scorecard``, ``.metrics()``, ``.samples()``.

    models: a model, a list of models, or a mapping from names to models. A model is a text as on the command line (``hf:path``), a mapping
        as in a suite (``{"model": function, "labels": [...]}``), or an object: a function from a list of inputs to answers, a
        `torch.nn.Module`, a scikit-learn pipeline, a transformers pair (model, tokenizer), or a source with ``inspect`` and ``load``.
    tasks, attacks, probes: names, mappings as in a suite, or objects.
    gates: checks, such as ``"sst2.accuracy >= 0.85"``. A failed gate raises no exception: see ``run.scorecard.verdict``.
    folder: the run folder; a run that it already contains is resumed. By default a folder in ``runs/``, a new one for each call if models,
        tasks, attacks or probes include an object.
    progress: True shows progress in notebooks and on terminals, False does not; an object derived from `Progress` receives the events.
    plugins: one or more plugin files.
    keys: all other keys of a suite, such as ``limit``, ``seed``, ``device`` or ``auxiliary_models``, whose entries may also be objects.
    Raises `UserError` if the suite cannot run. A failed sample raises no exception: its record has the error.
    """
    _require("folder", folder, (str, Path, NoneType), "a path")
    _require("progress", progress, (Progress, bool), "True, False or an object derived from windtunnel.Progress")
    with ExitStack() as kept:
        files = [str(file) for file in _as_list("plugins", plugins, (str, Path))]
        registry = Registry(tuple(files))
        live = LiveObjects(registry, kept)
        lists = {"models": models, "tasks": tasks, "attacks": attacks, "probes": probes}
        if "auxiliary_models" in keys:
            lists["auxiliary_models"] = keys.pop("auxiliary_models")
        entries = {key: live.entries(key, values) for key, values in lists.items()}
        checks = _as_list("gates", gates, (str, Mapping))
        suite = make_suite({**keys, **entries, "gates": checks, "plugins": files}, base=Path.cwd(), source="evaluate")
        planned = plan(suite, registry)
        planned.require_possible()
        place = Path(folder) if folder is not None else Path("runs") / suite.folder_name(Path.cwd())
        if folder is None and live.num:
            place = next(free for number in count(1) if not (free := place.with_name(f"{place.name}-{number}")).exists())
        with _open_progress(progress) as shown:
            run_plan(planned, place, progress=shown, registry=registry)
    card = summarise(place, registry=registry)
    write_reports(place, card, registry=registry)
    return Run(place, files, registry)


def _as_list(argument: str, value: Any, kinds: tuple[type, ...]) -> list[Any]:
    """Return one value of these types, or a sequence of them, as a list. Raises `ConfigError` for other types."""
    if isinstance(value, kinds):
        return [value]
    _require(argument, value, (Sequence,), "one value or a list")
    return list(value)


def _require(argument: str, value: object, kinds: tuple[type, ...], wanted: str) -> None:
    if not isinstance(value, kinds):
        raise ConfigError(f"evaluate: {argument} must be {wanted}, not an object of the class {type(value).__name__}")


def _open_progress(progress: Progress | bool) -> AbstractContextManager[Progress]:
    if progress is True:
        return open_progress()
    return nullcontext(progress or Progress())
