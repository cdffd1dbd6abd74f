"""The facts of a plan that items are made of: models, tasks with their samples read, and the items themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.item_key import ItemKey
from ...api.model import ModelInfo, ModelSource
from ...api.plugins import Program
from ...api.samples import Sample
from ...api.task import Task
from ...api.threat import Threat
from ...data.yaml_lines import load_file
from ...store import codec
from ...suite.specs import ModelSpec, TaskSpec
from ...system.disk_sequence import Spool
from .portable import portable
from .requests import requests_of

if TYPE_CHECKING:
    from .kind import ItemKind

_FIRST = 8


@dataclass(frozen=True, slots=True)
class PlannedModel:
    name: str
    spec: ModelSpec
    source: ModelSource
    info: ModelInfo


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
    """One item of the work list.

    ``seed``: of the item's own draws. ``origin``: the distribution or file that the program comes from. ``num_requests`` is None where the
    program decides as it goes. ``roles``: the models that the program asks beside ``model``. ``scores``: the families that a probe's
    attributions are scored by; ``each_word``: whether it explains each word of an answer, too. ``transfer``: the models that an attack's
    twins are scored on, True for all others. ``rests_on``: the items whose records this one reads, in the order that its kind says.
    """

    model: PlannedModel
    kind: ItemKind
    key: ItemKey
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
    transfer: bool | tuple[str, ...] = False
    rests_on: tuple[PlannedItem, ...] = ()

    @property
    def item(self) -> str:
        """The item's name for people."""
        return str(self.key)
