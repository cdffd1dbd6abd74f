"""Tasks: samples, what they ask a model, and how the answers are scored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .plugins import Plugin, gives, needed_unless

if TYPE_CHECKING:
    from .model_port import ModelPort
    from .requests import Request
    from .samples import Sample


class Task(Plugin):
    """Base of tasks. A subclass gives ``requires``, `samples`, `score`, and `requests`; where the next request depends on an answer, or
    further models are asked, it gives `run` in place of `requests`.

    ``name``: what records call it where a suite does not name it.
    ``primary``: the score whose 1 means right and 0 means wrong, by which attacks are judged; empty where there is none (perplexity).
    ``metrics``: computed over the set: names from the ``metrics`` group, classes derived from `Metric`, or objects of them.
    ``dimension``: the part of the scorecard that shows its rows, one of `scorecard.DIMENSIONS`.
    ``labels``: the names of the classes, where all samples have the same.
    ``data_fingerprint``: identifies the data set; empty: the samples do.
    ``named_by_settings``: its name with the settings that distinguish it, where the suite does not name it; empty: the name in the suite.
    """

    name: str = ""
    primary: str = ""
    metrics: Sequence[object] = ()
    dimension: str = "quality"
    labels: Sequence[str] = ()
    data_fingerprint: str = ""
    named_by_settings: str = ""

    @abstractmethod
    def samples(self) -> Iterable[Sample]:
        """Yield the samples, in an order of its own that stays the same."""
        raise NotImplementedError

    @needed_unless("run")
    def requests(self, sample: Sample, /) -> Sequence[Request[Any]]:
        """Make the requests of a sample. Raises `SampleError` where it cannot be used."""
        return ()

    def run(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Sequence[Any]]:
        """Ask for all samples at once and return the responses of each, in order, which `score` and `predict` read."""
        raise NotImplementedError

    @property
    def is_sequential(self) -> bool:
        """Whether what it asks is known only while it runs, so that the harness calls `run` and not `requests`: where it gives `run`."""
        return gives(self, Task.run)

    @abstractmethod
    def score(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, float | None]:
        """Score a sample's responses, in the order of its requests, by name of the score; None: could not be scored."""
        raise NotImplementedError

    def predict(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, Any]:
        """Read what the record keeps beside the scores, e.g. ``prediction`` (class index or text) and ``probabilities``."""
        return {}

    def notes(self, num_samples: int, /) -> Sequence[str]:
        """Say what of the data set is not used where the first ``num_samples`` are taken, a sentence each."""
        return ()

    def cautions(self, num_samples: int, parts: Mapping[str, Collection[str]], /) -> Sequence[str]:
        """Say what a reader must know of the first ``num_samples`` samples before believing the numbers, a sentence each.

        ``parts``: the classes and slices of these samples, under ``class`` and ``slice``.
        """
        return ()
