"""Planned models, planned tasks with their samples, and planned items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.item_key import ItemKey
from ...api.model import ModelInfo
from ...api.model_source import ModelSource
from ...api.plugins import Program
from ...api.samples import Sample
from ...api.task import Task
from ...api.threat import Threat
from ...data.yaml_lines import SUFFIXES, load_file
from ...store import codec
from ...suite.specs import ModelSpec, TaskSpec
from ...system.disk_sequence import Spool
from .portable import make_portable
from .requests import list_requests

if TYPE_CHECKING:
    from .kind import ItemKind

_FIRST = 8


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model of the suite. ``spec``: its entry. ``source``: loads it. ``info``: its capabilities."""

    name: str
    spec: ModelSpec
    source: ModelSource
    info: ModelInfo


@dataclass
class PlannedTask:
    """A task with its samples, which are read once and shared by all items of the task.

    ``labels``: those of the first sample that has labels.
    ``positions``: the approximate number of positions of each sample's requests.
    ``num_requests``: the total number of requests; None if it depends on the answers.
    ``num_unusable``: the number of samples that will have records with an error.
    ``notes``: sentences about unused parts of the data set.
    ``cautions``: sentences about limits of the data.
    ``samples_digest``: a digest of all samples in order.
    ``metric_code``: the origin of each metric.
    ``requires``: the capabilities that the task needs, including the modalities of the parts of its chats.
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
        """The fingerprint of the data set if the task defines one, otherwise that of the samples."""
        return str(self.task.data_fingerprint or self.samples_digest)

    @cached_property
    def definition(self) -> str:
        """A digest of the task's file, its settings, and the requests of its first samples.

        The requests cover examples, header and templates. The digest does not include the metrics and the location of
        the data (see `data_fingerprint` and `samples_digest`).
        """
        content = load_file(Path(self.spec.task))[0] if self.spec.task.endswith(SUFFIXES) else self.spec.task
        relevant = [_select_relevant(part) for part in (content, self.spec.settings)]
        fields = (self.task.primary, self.labels, tuple(self.task.labels), self.task.dimension)
        return codec.digest([relevant, fields, list_requests(self.task, list(self.samples[:_FIRST]))])


_IRRELEVANT = frozenset({"title", "description", "citation", "license", "homepage", "example", "metrics"})


def _select_relevant(content: Any) -> Any:
    """Return the parts of a task file or of settings that records can depend on."""
    if not isinstance(content, Mapping):
        return content
    kept = {key: value for key, value in content.items() if key not in _IRRELEVANT}
    if isinstance(data := kept.get("data"), Mapping):
        kept["data"] = {key: value for key, value in data.items() if key not in ("files", "python")}
    return make_portable(kept)


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item of the work list.

    ``seed``: the seed of the item's random numbers.
    ``origin``: the distribution or file of the program.
    ``num_requests``: None if it depends on the answers.
    ``roles``: the auxiliary models of the program, by role.
    ``scores``: the families of scores for a probe's attributions.
    ``each_word``: whether it also explains each word of an answer.
    ``transfer``: the models that an attack's twins are scored on; True: all others.
    ``rests_on``: the items whose records this one reads, in an order that its kind defines.
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

    def without_score(self, family: str, /) -> str:
        """Return the suite's key ``scores`` with all families of the item but one."""
        return f"scores: [{', '.join(name for name in self.scores if name != family)}]"

    @property
    def item(self) -> str:
        """The item's name for people."""
        return str(self.key)
