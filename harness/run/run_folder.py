"""The folder of a run: its store, and its copy of the suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ... import __version__
from ..api.errors import ConfigError
from ..api.registry import describe_origin
from ..metrics.evaluate_module import PREFIX
from ..plan.types import Plan
from ..store import FILE_NAME, LOCK_NAME, Store, codec
from .described_items import describe_known_items, set_aside


def open_store(plan: Plan, folder: Path, say: Callable[[str], None], /) -> Store:
    """Open the store of a run folder, or create it, set aside the records of changed items, and record the plan's suite.

    ``say``: receives a sentence before records are set aside.
    Raises `ConfigError`, and changes nothing, if the folder contains other files, the run of another suite, or records that can be
    neither kept nor replaced.
    """
    path = folder / FILE_NAME
    suite = plan.suite
    facts = {
        "identity": suite.identity(),
        "skipped": [asdict(s) for s in plan.skipped],
        "planned": [(i.model.name, i.item, len(i.samples)) for i in plan.items],
        "plugin_files": [*(describe_origin(Path(file)) for file in suite.plugins), *_list_modules(plan)],
        **suite.model_dump(mode="json"),
    }
    text = codec.dumps(facts)
    if not path.exists():
        strange = sorted(p.name for p in folder.iterdir() if not p.name.startswith((LOCK_NAME, FILE_NAME)))
        if strange:
            raise ConfigError(f"{folder} contains {strange[0]!r} and no run; choose an empty or a new folder", argument="folder")
        store = Store.create(path, name=suite.name, suite=text, version=__version__)
    else:
        store = Store.open(path)
        theirs = {(i.model, i.item) for i in store.items()}
        if theirs and theirs.isdisjoint((i.model.name, i.item) for i in plan.items):
            store.close()
            raise ConfigError(f"{folder} contains the run of another suite, which stays unchanged; choose a new folder", argument="folder")
        try:
            set_aside(store, say, describe_known_items(plan.items, suite=suite, store=store))
        except BaseException:
            store.close()
            raise
        if store.suite != text:
            store.amend(text, __version__)
    _write_copy(folder / "suite.yaml", suite.to_yaml())
    return store


def _list_modules(plan: Plan) -> list[str]:
    """Return the origins of the modules of `evaluate` that are metrics of the plan's tasks, each once."""
    metrics = {name: origin for item in plan.items for name, origin in item.task.metric_code.items()}
    return [origin for name, origin in metrics.items() if name.startswith(PREFIX)]


def _write_copy(path: Path, text: str) -> None:
    """Write a readable copy of the suite. The store contains the suite as well, so that an error, such as a full disk, is ignored."""
    fresh = path.with_name(f"{FILE_NAME}.{path.name}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
