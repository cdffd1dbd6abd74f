"""The facts of a plan: models, tasks with their samples read, and the work list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..api.errors import CapabilityError
from ..api.model import ModelInfo, ModelSource
from ..api.plugins import Program
from ..api.samples import Sample
from ..api.task import Task
from ..api.threat import Threat
from ..data.yaml_lines import load_file
from ..items.task.records import requests_of
from ..store import codec
from ..suite.specs import ModelSpec, Suite, TaskSpec
from ..system.disk_sequence import Spool
from .ingredients import portable

_FIRST = 8


@dataclass(frozen=True, slots=True)
class PlannedModel:
    name: str
    spec: ModelSpec
    source: ModelSource
    info: ModelInfo


class Load(NamedTuple):
    """What a sample asks of a model: how many requests (None: the task decides as it goes), and roughly how many positions that
    the requests before have not. ``error``: why it asks nothing. ``parts``: modalities of parts of its chats, beside text."""

    num_requests: int | None
    positions: int
    error: str = ""
    parts: frozenset[str] = frozenset()


@dataclass
class PlannedTask:
    """A task with its samples read: read once, shared by all items that use it.

    ``labels``: of the first sample that has any. ``positions``: of each sample's requests, roughly. ``num_requests``: of all of them; None
    where the task decides as it goes. ``num_unusable``: samples that will be records with an error. ``notes``: what of the data set is not
    used. ``cautions``: what of that a reader must know before believing the numbers.
    ``samples_digest``: of all samples in their order. ``metric_code``: where each metric comes from. ``requires``: what the task needs of
    a model, with the modalities of the parts that its chats hold.
    """

    name: str
    spec: TaskSpec
    task: Task
    origin: str
    samples: Spool[Sample]
    labels: tuple[str, ...]
    positions: Sequence[int]
    num_requests: int | None
    num_unusable: int = 0
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    samples_digest: str = ""
    metric_code: Mapping[str, str] = field(default_factory=dict)
    requires: frozenset[str] = frozenset()

    @cached_property
    def data_fingerprint(self) -> str:
        """Of the data set where the task knows it, else of its samples."""
        return str(self.task.data_fingerprint or self.samples_digest)

    @cached_property
    def definition(self) -> str:
        """Digest of what the task's file says and its settings, and of what it asks about its first samples: examples, header, templates.

        Not of where its data lie (`data_fingerprint` and `samples_digest` know what they are) nor of its metrics.
        """
        said = load_file(Path(self.spec.task))[0] if self.spec.task.endswith((".yaml", ".yml")) else self.spec.task
        told = [_decisive(part) for part in (said, self.spec.settings)]
        shown = (self.task.primary, self.labels, tuple(self.task.labels), self.task.dimension)
        return codec.digest([told, shown, requests_of(self.task, list(self.samples[:_FIRST]))])


_NOT_DECISIVE = frozenset({"title", "description", "citation", "license", "homepage", "example", "metrics"})


def _decisive(said: Any) -> Any:
    """Of a task file or settings, what a record can depend on."""
    if not isinstance(said, Mapping):
        return said
    kept = {key: value for key, value in said.items() if key not in _NOT_DECISIVE}
    if isinstance(data := kept.get("data"), Mapping):
        kept["data"] = {key: value for key, value in data.items() if key not in ("files", "python")}
    return portable(kept)


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One row of the work list.

    ``kind``: task, drift, attack, probe, transfer, shift or reliance. ``num_requests`` is None where the plugin decides as it goes.
    ``roles``: the models that the plugin asks beside ``model``. ``scores``: what a probe's attributions are scored by; ``each_word``:
    whether it explains each word of an answer, too. ``source``: the attack item whose twins are shown to ``model`` (transfer) or
    explained (shift). ``explained``: the probe item whose attributions this one is about. ``repeats``: the item that this one is another
    seed of.
    """

    model: PlannedModel
    item: str
    kind: str
    task: PlannedTask
    samples: Sequence[Sample]
    seed: int
    origin: str
    plugin: Program | None = None
    threat: Threat | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_requests: int | None = None
    roles: Mapping[str, PlannedModel] = field(default_factory=dict)
    scores: tuple[str, ...] = ()
    each_word: bool = False
    source: PlannedItem | None = None
    explained: PlannedItem | None = None
    repeats: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was asked for by default and cannot be, with the reason."""

    model: str
    item: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """``impossible``: what was asked for and no model can do, a sentence each. A plan that has any is for reading, not for running."""

    suite: Suite
    models: tuple[PlannedModel, ...]
    auxiliary_models: tuple[PlannedModel, ...]
    items: tuple[PlannedItem, ...]
    skipped: tuple[Skipped, ...]
    impossible: tuple[str, ...] = ()

    def require_possible(self) -> None:
        """Raises `CapabilityError` with all that cannot be done."""
        if self.impossible:
            raise CapabilityError("\n".join(self.impossible))
