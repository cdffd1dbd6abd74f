"""Check settings of probes that depend on a model's weights: a layer's name, a neuron's index, a neutral token.

Such a setting can be checked only once the weights are loaded. A probe that has one (`Probe.trial`) then explains a
sample with as few passes as possible. An invalid setting ends the run before any item runs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from ...api.errors import ConfigError, ends_run
from ...api.probe import Probe
from ...api.samples import Sample
from ...engine import Engine
from ...engine.batching import make_canonical
from ...engine.continuations import ContinuationPort, Frame, frame_samples, has_continuations
from ..base.planned_item import PlannedItem
from .language_records import OneContinuation

_NUM_SAMPLES = 3
"""Largest number of samples to try until the probe explains one: the first may be an empty text."""


def try_settings(engine: Engine, item: PlannedItem, trial: Probe, /) -> None:
    """Explain a sample of the item with ``trial`` to check the settings.

    engine: engine of the model with loaded weights.
    item: the planned probe.
    trial: the cheap copy of the probe (`Probe.trial`).

    Raises `ConfigError` if a setting does not fit the model. Other errors that do not end the run are ignored here,
    because the records of the samples will hold them.
    """
    # A separate engine keeps the passes of the check out of the counts and the cache of the items.
    own = Engine(engine.model, engine.info, budget=engine.budget)
    for sample in islice((s for s in item.samples if not s.metadata.get("error")), _NUM_SAMPLES):
        try:
            _explain(own, item, trial, sample)
            break
        except ConfigError as error:
            raise ConfigError(f"{item.item} on model {item.model.name!r}: {error}") from error
        except BaseException as error:
            if ends_run(error):
                raise


def _explain(engine: Engine, item: PlannedItem, trial: Probe, sample: Sample) -> None:
    """Explain a sample and discard the attribution."""
    if not has_continuations(item.task.task):
        trial.attribute(engine, make_canonical(engine, [sample]))
        return
    frame, posed = _pose_sample(engine, item, sample)
    OneContinuation(trial).attribute(ContinuationPort(engine, frame), make_canonical(engine, [posed]))


def _pose_sample(engine: Engine, item: PlannedItem, sample: Sample) -> tuple[Frame, Sample]:
    """Return the frame of a sample, and the sample with a continuation. Any continuation serves to check settings."""
    ((frame, posed),) = frame_samples(engine, item.task.task, [sample], "gold")
    if posed.metadata.get("error"):
        frame, posed = Frame.of(str(sample.input), str(sample.input)), replace(sample, target=0, labels=(" the",))
    return frame, replace(posed, target=0)
