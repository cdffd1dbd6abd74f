"""Class scores in the order of the requested labels.

Shape legend: B batch, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...api.errors import ModelError
from ...api.model import Model
from ...api.responses import Logits
from ..common.labels import find_columns


class NamedScores(Model):
    """Base of classifiers whose classes may have no names.

    labels: class names in the order of the scores; empty: the scores have the order of the task's classes.
    """

    labels: tuple[str, ...]
    is_multi_label: bool = False

    def answer(self, logits_BK: torch.Tensor, labels: Sequence[str], /) -> list[Logits]:
        """Return the responses to a batch of requests with these labels."""
        logits_BK = self.check(logits_BK, len(labels)).float().cpu()
        columns = self.find_columns(logits_BK.shape[1], labels)
        return [Logits(tuple(row), is_multi_label=self.is_multi_label) for row in logits_BK[:, columns].tolist()]

    def find_columns(self, num_classes: int, labels: Sequence[str]) -> list[int]:
        """Return the output column of each requested label. A model without names has numbers, which mean the order of ``labels``."""
        return find_columns(self.labels or tuple(map(str, range(num_classes))), labels)

    def check(self, logits_BK: torch.Tensor, num_requested: int) -> torch.Tensor:
        """Check the shape of the model's logits. ``num_requested``: the number of requested labels, that of a model without names."""
        if not isinstance(logits_BK, torch.Tensor) or logits_BK.ndim != 2:
            found = f"shape {list(logits_BK.shape)}" if isinstance(logits_BK, torch.Tensor) else f"a {type(logits_BK).__name__}"
            raise ModelError(f"{self.name!r} must return class scores [B, K]; it returned {found}. Return only that tensor")
        if self.labels and logits_BK.shape[1] != len(self.labels):
            raise ModelError(
                f"{self.name!r} returns {logits_BK.shape[1]} logits, but has {len(self.labels)} labels ({', '.join(self.labels)})"
            )
        if not self.labels and logits_BK.shape[1] != num_requested != 0:
            raise ModelError(
                f"{self.name!r} returns {logits_BK.shape[1]} logits, and the task has {num_requested} classes; name the model's outputs in "
                "order with the model setting 'labels: [...]'"
            )
        return logits_BK
