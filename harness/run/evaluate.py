"""A whole run from Python: the same plan, records and scorecard as a suite file's."""

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
from .progress import Progress, open_progress
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

    models: one or a list, or a mapping of names to them: a text as on the command line (``hf:path``), a mapping as in a suite
    (``{"model": function, "labels": [...]}``), or an object: a function from a list of inputs to answers, a `torch.nn.Module`, a pipeline
    of scikit-learn, a pair (model, tokenizer) of transformers, or a source with ``inspect`` and ``load``.
    tasks, attacks, probes: likewise names, mappings as in a suite, or objects.
    gates: checks, such as ``"sst2.accuracy >= 0.85"``. A gate that fails raises nothing: see ``run.scorecard.verdict``.
    folder: where the records go; one that holds this run already goes on. By default a folder below ``runs/``, a new one wherever an object
    is among the models, tasks, attacks or probes.
    progress: shown in a notebook and on a terminal; False shows nothing, and an object derived from `Progress` is told instead.
    plugins: a plugin file or several. keys: all other keys of a suite, such as ``limit``, ``seed``,
    ``device`` or ``auxiliary_models``, whose entries may be objects as well.
    Raises `UserError` for what cannot be run; a sample that fails is a record, and raises nothing.
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
        entries = {key: live.entries(key, given) for key, given in lists.items()}
        checks = _as_list("gates", gates, (str, Mapping))
        suite = make_suite({**keys, **entries, "gates": checks, "plugins": files}, base=Path.cwd(), source="evaluate")
        planned = plan(suite, registry)
        planned.require_possible()
        place = Path(folder) if folder is not None else Path("runs") / suite.folder_name(Path.cwd())
        if folder is None and live.num:
            place = next(free for number in count(1) if not (free := place.with_name(f"{place.name}-{number}")).exists())
        with _shown(progress) as shown:
            run_plan(planned, place, progress=shown)
    card = summarise(place, registry=registry)
    write_reports(place, card, registry=registry)
    return Run(place, files, registry)


def _as_list(argument: str, given: Any, kinds: tuple[type, ...]) -> list[Any]:
    """One value of these kinds, or a list of them, as a list. Raises `ConfigError` for what is neither."""
    if isinstance(given, kinds):
        return [given]
    _require(argument, given, (Sequence,), "one or a list")
    return list(given)


def _require(argument: str, given: object, kinds: tuple[type, ...], wanted: str) -> None:
    if not isinstance(given, kinds):
        raise ConfigError(f"evaluate: {argument} is {wanted}, not an object of the class {type(given).__name__}")


def _shown(progress: Progress | bool) -> AbstractContextManager[Progress]:
    if progress is True:
        return open_progress()
    return nullcontext(progress or Progress())
