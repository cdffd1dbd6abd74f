"""``torch``: any torch image classifier, built by a Python function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api.errors import ModelError
from ...api.import_target import resolve
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ..common.outputs import check_outputs

if TYPE_CHECKING:
    from torch import nn


class TorchModule(ModelSource):
    """A torch image classifier: an ``nn.Module`` that maps pixels [B, C, H, W] in [0, 1] to class scores [B, K].

    The module includes the normalisation.

    target: ``module:function`` or ``file.py:function`` of a function without arguments that returns the module, or the
        module itself.
    labels: class names in the order of the scores; with two classes, it may return only the second one's score. Without
        names, the scores are in the order of the task's classes.
    outputs: kind of the scores: ``logits``, ``probabilities``, or ``auto``: probabilities if rows are between 0 and 1
        and sum to 1.
    multi_label: classes do not exclude each other.
    channels: 1 or 3.
    size: [height, width] to which images are resized (bilinear, antialiased); None for no resizing.
    version: version of all that the fingerprint cannot include; change it when that changes.
    """

    def __init__(
        self,
        target: str | nn.Module,
        *,
        labels: list[str] | None = None,
        outputs: str = "auto",
        multi_label: bool = False,
        channels: int = 3,
        size: list[int] | None = None,
        version: str = "",
    ) -> None:
        check_outputs(outputs, multi_label)
        if size is not None and len(size) != 2:
            raise ModelError(f"size must be [height, width], not {size}")
        self.target = target if isinstance(target, str) else type(target).__qualname__
        self.labels, self.channels, self.size = tuple(map(str, labels or ())), channels, size
        self.outputs, self.multi_label, self.version = outputs, multi_label, version
        self.make = resolve(target) if isinstance(target, str) else target

    def inspect(self) -> ModelInfo:
        return ModelInfo({"classify": {"image"}}, {"gradients"}, self.labels, is_multi_label=self.multi_label)

    def load(self, device: str, dtype: str, /) -> Model:
        from .image_classifier import TorchClassifier

        return TorchClassifier(self, device, dtype)
