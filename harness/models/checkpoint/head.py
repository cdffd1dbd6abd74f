"""The head of a classifier: exclusive classes, independent labels, a single log-odds output, or a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...api.errors import ConfigError, ModelError, suggest_name
from ..common.labels import are_numbered, name_other

if TYPE_CHECKING:
    import torch

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"


@dataclass(frozen=True, slots=True)
class Head:
    """The classes of a classifier.

    labels: class names in the order of the logits.
    is_multi_label: classes do not exclude each other; each has a sigmoid.
    column: the only output that is used, as the log-odds of the second of two classes; None if each class has an output.
    notes: notes for the reader of a scorecard.
    """

    labels: tuple[str, ...]
    is_multi_label: bool = False
    column: int | None = None
    notes: tuple[str, ...] = ()

    def logits(self, outputs_BK: torch.Tensor, /) -> torch.Tensor:
        """Convert outputs [B, K] to logits [B, C] in the order of ``labels``.

        They are the outputs, or 0 and the log-odds, whose softmax is the sigmoid.
        """
        if self.column is None:
            return outputs_BK
        from torch.nn import functional

        return functional.pad(outputs_BK[:, self.column, None], (1, 0))


def read_head(
    config: Any, target: str, *, labels: Sequence[str] | None = None, problem_type: str | None = None, positive_label: str | None = None
) -> Head:
    """Read the head from a configuration (``problem_type``, ``num_labels``, ``id2label``).

    target: name of the checkpoint, for errors.
    labels: class names that replace those of the configuration.
    problem_type: replaces that of the configuration.
    positive_label: for labels that do not exclude each other, the one to classify; the head then has two classes.

    Raises `ModelError` for a head without classes, `ConfigError` for invalid settings.
    """
    if problem_type not in (None, SINGLE, MULTI):
        raise ConfigError(f"problem_type must be {SINGLE} or {MULTI}, not {problem_type!r}")
    kind = problem_type or _find_own_kind(config)
    if kind == REGRESSION:
        raise ModelError(
            f"{target!r} is a regression head ({_explain_regression(config)}): its outputs are quantities, not scores of classes. "
            f"If it was trained as a classifier, set the model setting problem_type: {SINGLE}"
        )
    own = _read_own_labels(config, target)
    if len(own) == 1:
        return _build_one_logit_head(own[0], target, labels, positive_label)
    if kind == MULTI:
        return _build_label_head(own, target, labels, positive_label)
    if positive_label is not None:
        raise ConfigError(f"positive_label is for labels that do not exclude each other; those of {target!r} do ({SINGLE})")
    if labels and len(labels) != len(own):
        raise ModelError(f"{target!r} has {len(own)} outputs, but 'labels' names {len(labels)}")
    named = tuple(labels or own)
    return Head(named, notes=(_BY_POSITION,) if are_numbered(named) and not labels else ())


_BY_POSITION = "its classes have only default names (LABEL_0, ...), so they are assumed to have the task's order"
_IDENTITY = "torch.nn.modules.linear.Identity"


def _find_own_kind(config: Any) -> str:
    if getattr(config, "problem_type", None):
        return str(config.problem_type)
    return REGRESSION if _explain_regression(config) else ""


def _explain_regression(config: Any) -> str:
    """Return the part of a configuration that shows a regression; empty if there is none."""
    if getattr(config, "problem_type", None) == REGRESSION:
        return f"problem_type: {REGRESSION}"
    if str(getattr(config, "finetuning_task", "")).lower().replace("-", "") in ("stsb", "glue:stsb"):
        return f"finetuning_task: {config.finetuning_task}"
    # Rerankers of sentence-transformers, whose scores have no threshold; both spellings of the setting.
    own = getattr(config, "sentence_transformers", None)
    ends = own.get("activation_fn") if isinstance(own, dict) else getattr(config, "sbert_ce_default_activation_function", None)
    return f"its activation function is {_IDENTITY.rpartition('.')[2]}" if config.num_labels == 1 and ends == _IDENTITY else ""


def _read_own_labels(config: Any, target: str) -> tuple[str, ...]:
    names = {int(place): str(name) for place, name in config.id2label.items()}
    if sorted(names) != list(range(len(names))):
        raise ModelError(
            f"the config of {target!r} numbers its classes {', '.join(map(str, sorted(names)))}, not from 0 on; correct its id2label"
        )
    return tuple(names[place] for place in range(len(names)))


def _build_one_logit_head(own: str, target: str, labels: Sequence[str] | None, positive_label: str | None) -> Head:
    """Build the head of a single output, whose sigmoid is P(yes), as in transformers' pipeline."""
    note = "its one output is read as the log-odds of its second class"
    if positive_label not in (None, own):
        raise ConfigError(f"positive_label: the one output of {target!r} is {own!r}, not {positive_label!r}")
    if labels is None:
        if are_numbered((own,)):
            return Head(("LABEL_0", "LABEL_1"), column=0, notes=(note, _BY_POSITION))
        return Head((name_other(own), own), column=0, notes=(note,))
    if len(labels) != 2 or labels[0] == own:
        raise ModelError(
            f"{target!r} has one output, the log-odds of {'a yes' if are_numbered((own,)) else repr(own)}: 'labels' must name two "
            f"classes, first the one with low values, not {', '.join(labels)}"
        )
    return Head(tuple(labels), column=0, notes=(note,))


def _build_label_head(own: tuple[str, ...], target: str, labels: Sequence[str] | None, positive_label: str | None) -> Head:
    if positive_label is None:
        if labels and len(labels) != len(own):
            raise ModelError(f"{target!r} has {len(own)} outputs, but 'labels' names {len(labels)}")
        return Head(tuple(labels or own), is_multi_label=True, notes=("its labels do not exclude each other: each has a sigmoid",))
    if positive_label not in own:
        raise ConfigError(
            f"positive_label: {target!r} has no label {positive_label!r}.{suggest_name(positive_label, own)} It has {', '.join(own)}"
        )
    if labels and len(labels) != 2:
        raise ModelError(f"with positive_label, 'labels' must name two classes (without it, with it), not {', '.join(labels)}")
    named = tuple(labels or (name_other(positive_label), positive_label))
    return Head(named, column=own.index(positive_label), notes=(f"only the sigmoid of its label {positive_label!r} is used",))
