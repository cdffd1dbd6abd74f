"""Trying the settings of probes that depend on a model's weights: the name of a layer, a neuron's place, a neutral token.

What such a setting means is known only once the weights are loaded. So each probe that has one (`Probe.trial`) explains a sample right
then, with as few passes as it can, and a setting that does not fit ends the run before any item has run.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from ...api.errors import ConfigError, ends_run
from ...api.probe import Probe
from ...api.samples import Sample
from ...engine import Engine
from ...engine.batching import canonical
from ...engine.continuations import ContinuationPort, Frame, framed, has_continuations
from ..base.planned_item import PlannedItem
from .language_records import OneContinuation

_NUM_SAMPLES = 3
"""Tried one after the other until one of them can be explained: the first may be an empty text."""


def try_settings(engine: Engine, item: PlannedItem, trial: Probe, /) -> None:
    """Let ``trial`` explain a sample of the item. Raises `ConfigError` where a setting does not fit the engine's model; all else that goes
    wrong is for samples' records."""
    # An engine of its own: what is tried counts for no item, and answers none of its questions.
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
    if not has_continuations(item.task.task):
        trial.attribute(engine, canonical(engine, [sample]))
        return
    frame, posed = _posed(engine, item, sample)
    OneContinuation(trial).attribute(ContinuationPort(engine, frame), canonical(engine, [posed]))


def _posed(engine: Engine, item: PlannedItem, sample: Sample) -> tuple[Frame, Sample]:
    """With any continuation: which one is no matter."""
    ((frame, posed),) = framed(engine, item.task.task, [sample], "gold")
    if posed.metadata.get("error"):
        frame, posed = Frame.of(str(sample.input), str(sample.input)), replace(sample, target=0, labels=(" the",))
    return frame, replace(posed, target=0)
