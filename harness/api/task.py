"""Tasks: samples, their requests to a model, and the scoring of its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .plugins import Plugin, gives, needed_unless

if TYPE_CHECKING:
    from inspect import Parameter

    from .model_port import ModelPort
    from .requests import Request
    from .responses import Response
    from .samples import Sample


class TaskFiles(ABC):
    """A plugin that creates tasks from files, each of which names its family."""

    @abstractmethod
    def __call__(self, *, path: str, **settings: Any) -> Task:
        """Create the task of a file."""

    @abstractmethod
    def families(self) -> Collection[str]:
        """Return the names of the families."""

    @abstractmethod
    def members(self, family: str, /) -> Collection[str]:
        """Return the names of the installed tasks of a family."""

    @abstractmethod
    def find_family(self, name: str, /) -> tuple[str, Mapping[str, Parameter]]:
        """Return the description of a family and its settings, by name."""


class Task(Plugin):
    """Base class of tasks. A subclass defines ``requires``, `samples`, `score` and `requests`.

    If a request depends on an earlier answer, or further models are used, it defines `run` instead of `requests`.

    ``name``: its name in records if the suite sets none.
    ``primary``: the score that is 1 for a right answer and 0 for a wrong one, which decides whether attacks succeed; empty: there is none
    (perplexity).
    ``metrics``: the metrics over all samples: names from the ``metrics`` group, classes derived from `Metric`, or instances of them.
    ``dimension``: the section of the scorecard for its rows, one of `scorecard.DIMENSIONS`.
    ``labels``: the names of the classes, if all samples share them.
    ``data_fingerprint``: a fingerprint of the data set; empty: a digest of the samples is used.
    ``is_shuffled``: whether the samples are in random order, so that the first ones represent all of them.
    ``title``: a title for people; empty: the name.
    ``hub_task``: the kind of task as the Hugging Face Hub names it, e.g. ``text-classification``, for exports.
    ``source``: the data set on the Hugging Face Hub, with the keys ``hub``, ``config``, ``split`` and ``revision`` where set; empty: the
    data are from elsewhere.
    ``named_by_settings``: a name that includes distinguishing settings, for suites that set none; empty: the name in the suite.
    """

    name: str = ""
    primary: str = ""
    metrics: Sequence[object] = ()
    dimension: str = "quality"
    labels: Sequence[str] = ()
    data_fingerprint: str = ""
    is_shuffled: bool = False
    title: str = ""
    hub_task: str = "other"
    source: Mapping[str, str] = MappingProxyType({})
    named_by_settings: str = ""

    @abstractmethod
    def samples(self) -> Iterable[Sample]:
        """Yield the samples, in a fixed order."""
        raise NotImplementedError

    @needed_unless("run")
    def requests(self, sample: Sample, /) -> Sequence[Request[Response]]:
        """Return the requests for a sample. Raises `SampleError` if the sample cannot be used."""
        return ()

    def run(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Sequence[Any]]:
        """Send the requests of all samples and return the responses per sample, in order, for `score` and `predict`."""
        raise NotImplementedError

    @property
    def is_sequential(self) -> bool:
        """Whether the harness calls `run` instead of `requests`: true if the task defines `run`."""
        return gives(self, Task.run)

    @abstractmethod
    def score(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, float | None]:
        """Return the scores of a sample, by name; None for a score that could not be computed.

        sample: the sample.
        responses: its responses, in the order of its requests.
        """
        raise NotImplementedError

    def predict(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, Any]:
        """Return further values for the record, e.g. ``prediction`` (class index or text) and ``probabilities``."""
        return {}

    def by_generation(self) -> Task | None:
        """Return the task in a form for models that generate text but lack a capability that it requires; None: there is no such form.

        Its samples are the same.
        """
        return None

    def notes(self, num_samples: int, /) -> Sequence[str]:
        """Return sentences about unused parts of the data set if only the first ``num_samples`` samples are used."""
        return ()

    def cautions(self, num_samples: int, parts: Mapping[str, Mapping[str, int]], /) -> Sequence[str]:
        """Return sentences about limits of the results on the first ``num_samples`` samples.

        ``parts``: the numbers of these samples by class and by slice, under the keys ``class`` and ``slice``.
        """
        return ()
