"""Convert the scores of a Python function or torch module to logits. Scores are logits or probabilities.

A softmax over probabilities would flatten them, so their logarithms are used as logits, whose softmax restores them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...api.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import torch

KINDS = ("auto", "logits", "probabilities")
_TINY = 1e-300
"""Replaces a probability of 0, which has no logarithm; for tensors, the smallest normal number of their dtype is used."""
_ROUNDING = 1e-3
"""Tolerance for the sum of a row when guessing whether scores are probabilities."""


class Outputs:
    """Converts scores to logits.

    name: name of the model, for errors.
    kind: ``logits``, ``probabilities``, or ``auto`` to guess from the first rows: probabilities are between 0 and 1 and
        sum to 1.
    is_multi_label: classes do not exclude each other, so probabilities need not sum to 1.

    With two classes, a row may have only the score of the second class; then ``kind`` must be set.
    """

    def __init__(self, name: str, kind: str, is_multi_label: bool) -> None:
        check_outputs(kind, is_multi_label)
        self.is_multi_label = is_multi_label
        self._name, self._kind, self._is_set, self._was_hard = name, kind, kind != "auto", False

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the reader of a scorecard, known after the first scores."""
        if self._is_set or self._kind != "probabilities":
            return ()
        return ("its scores are between 0 and 1 and sum to 1, so they are taken as probabilities",)

    def of_rows(self, scores_BK: np.ndarray, num_classes: int, /) -> np.ndarray:
        """Convert scores [B, K] to logits [B, C]. Raises `ModelError` for scores that contradict their kind."""
        is_lone = self._is_lone(scores_BK.shape[1], num_classes)
        self._settle(scores_BK, is_lone)
        if self._kind == "probabilities":
            scores_BK = np.log(np.maximum(scores_BK, _TINY)) - (
                self._has_one_per_label(is_lone) and np.log(np.maximum(1 - scores_BK, _TINY))
            )
        return np.pad(scores_BK, ((0, 0), (1, 0))) if is_lone else scores_BK

    def of_tensor(self, scores_BK: torch.Tensor, num_classes: int, /) -> torch.Tensor:
        """Convert scores [B, K] to logits [B, C], differentiably. Raises `ModelError` as `of_rows`."""
        import torch

        is_lone = self._is_lone(scores_BK.shape[1], num_classes)
        if self._kind != "logits":
            self._settle(scores_BK.detach().double().cpu().numpy(), is_lone, 0.02 if scores_BK.dtype.itemsize < 4 else _ROUNDING)
        if self._kind == "probabilities":
            tiny = torch.finfo(scores_BK.dtype).tiny
            logs_BK = scores_BK.clamp_min(tiny).log()
            scores_BK = logs_BK - (1 - scores_BK).clamp_min(tiny).log() if self._has_one_per_label(is_lone) else logs_BK
        return torch.nn.functional.pad(scores_BK, (1, 0)) if is_lone else scores_BK

    def _is_lone(self, num_scores: int, num_classes: int) -> bool:
        """Whether a row has only the score of the second of two classes."""
        if self.is_multi_label or num_scores != 1 or num_classes != 2:
            return False
        if self._kind == "auto":
            raise ModelError(
                f"{self._name} returns one score for two classes. Set what it is for the second class: outputs: logits (its log-odds) "
                "or outputs: probabilities"
            )
        return True

    def _has_one_per_label(self, is_lone: bool) -> bool:
        return is_lone or self.is_multi_label

    def _settle(self, scores_BK: np.ndarray, is_lone: bool, rounding: float = _ROUNDING) -> None:
        """Guess the kind of scores, or check that the scores are of the known kind."""
        known_NK = scores_BK[~np.isnan(scores_BK).any(1)]
        if self._kind == "probabilities":
            wrong = known_NK[~self._are_probabilities(known_NK, is_lone, 0.02)]
            if len(wrong):
                broken = "are not between 0 and 1" if self._has_one_per_label(is_lone) else "do not sum to 1"
                why = "is set to outputs: probabilities" if self._is_set else "returned probabilities at first"
                shown = wrong[0, :4].tolist()
                raise ModelError(f"{self._name} {why}, but now returned {shown}, which {broken}; set outputs: logits?")
        elif self._kind == "auto" and known_NK.size and scores_BK.shape[1] > 1:
            self._guess(known_NK, rounding)

    def _guess(self, known_NK: np.ndarray, rounding: float) -> None:
        is_soft_N = ~np.isin(known_NK, (0, 1)).all(1)
        if not self._are_probabilities(known_NK, False, rounding).all():
            self._kind = "logits"
        elif is_soft_N.any():
            if self._was_hard:
                shown = known_NK[is_soft_N][0, :4].tolist()
                raise ModelError(
                    f"{self._name} returned 0 and 1 at first, taken as logits, and now {shown}, which sum to 1; "
                    "set outputs: probabilities or outputs: logits"
                )
            self._kind = "probabilities"
        else:
            # One-hot rows may be either; the predicted class is the same.
            self._was_hard = True

    def _are_probabilities(self, known_NK: np.ndarray, is_lone: bool, rounding: float) -> np.ndarray:
        """Return which rows can be probabilities, bool [N]."""
        is_between = np.all((known_NK >= -1e-3) & (known_NK <= 1 + 1e-3), axis=1)
        is_whole = self._has_one_per_label(is_lone) or np.abs(known_NK.sum(1) - 1) <= rounding
        return np.asarray(is_between & is_whole)


def check_outputs(kind: str, is_multi_label: bool, /) -> None:
    """Raise `ConfigError` for invalid settings."""
    if kind not in KINDS:
        raise ConfigError(f"outputs must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}")
    if is_multi_label and kind == "auto":
        raise ConfigError(
            "multi_label scores do not sum to 1, so their kind cannot be guessed; set outputs: logits or outputs: probabilities"
        )
