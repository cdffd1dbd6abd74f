"""What the scores of a Python function or a torch module are: logits or probabilities, of classes or of labels on their own.

A softmax over probabilities would flatten them. So their logarithms are taken as logits: their softmax gives the probabilities again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...api.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import torch

KINDS = ("auto", "logits", "probabilities")
_TINY = 1e-300
"""In the place of a probability of 0, which has no logarithm; a tensor has the smallest number of its own format."""
_ROUNDING = 1e-3
"""How far from 1 a sum of probabilities is, where nobody said that they are some."""


class Outputs:
    """Scores to logits, by what the scores are.

    name: the model, for messages. kind: ``logits``, ``probabilities``, or ``auto``: what the first rows show, of which all lie between 0
    and 1 and sum to 1 where they are probabilities. is_multi_label: classes do not exclude each other, so probabilities need not sum to 1.

    Where there are two classes, a row may have one score, which is the second's: then its kind has to be set.
    """

    def __init__(self, name: str, kind: str, is_multi_label: bool) -> None:
        check_outputs(kind, is_multi_label)
        self.is_multi_label = is_multi_label
        self._name, self._kind, self._is_set, self._was_hard = name, kind, kind != "auto", False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the scorecard should know, once scores have been seen."""
        if self._is_set or self._kind != "probabilities":
            return ()
        return ("its scores lie between 0 and 1 and sum to 1: they are taken as probabilities",)

    def of_rows(self, scores_BK: np.ndarray, num_classes: int, /) -> np.ndarray:
        """Logits [B, C]."""
        is_lone = self._is_lone(scores_BK.shape[1], num_classes)
        self._settle(scores_BK, is_lone)
        if self._kind == "probabilities":
            scores_BK = np.log(np.maximum(scores_BK, _TINY)) - (self._per_label(is_lone) and np.log(np.maximum(1 - scores_BK, _TINY)))
        return np.pad(scores_BK, ((0, 0), (1, 0))) if is_lone else scores_BK

    def of_tensor(self, scores_BK: torch.Tensor, num_classes: int, /) -> torch.Tensor:
        """Logits [B, C], differentiable."""
        import torch

        is_lone = self._is_lone(scores_BK.shape[1], num_classes)
        if self._kind != "logits":
            self._settle(scores_BK.detach().double().cpu().numpy(), is_lone, 0.02 if scores_BK.dtype.itemsize < 4 else _ROUNDING)
        if self._kind == "probabilities":
            tiny = torch.finfo(scores_BK.dtype).tiny
            logs_BK = scores_BK.clamp_min(tiny).log()
            scores_BK = logs_BK - (1 - scores_BK).clamp_min(tiny).log() if self._per_label(is_lone) else logs_BK
        return torch.nn.functional.pad(scores_BK, (1, 0)) if is_lone else scores_BK

    def _is_lone(self, num_scores: int, num_classes: int) -> bool:
        """Whether a row is the one score of two classes."""
        if self.is_multi_label or num_scores != 1 or num_classes != 2:
            return False
        if self._kind == "auto":
            raise ModelError(
                f"{self._name} gives one score for two classes. Say what it is of the second one: outputs: logits (its log-odds) or "
                "outputs: probabilities"
            )
        return True

    def _per_label(self, is_lone: bool) -> bool:
        return is_lone or self.is_multi_label

    def _settle(self, scores_BK: np.ndarray, is_lone: bool, rounding: float = _ROUNDING) -> None:
        """Decide what the scores are, or check that they are what was decided."""
        known_NK = scores_BK[~np.isnan(scores_BK).any(1)]
        if self._kind == "probabilities":
            wrong = known_NK[~self._could_be(known_NK, is_lone, 0.02)]
            if len(wrong):
                sums = "lie between 0 and 1" if self._per_label(is_lone) else "sum to 1"
                found = "is set to outputs: probabilities" if self._is_set else "gave probabilities at first"
                raise ModelError(f"{self._name} {found}, but returned {wrong[0, :4].tolist()}, which do not {sums}; use logits?")
        elif self._kind == "auto" and known_NK.size and scores_BK.shape[1] > 1:
            self._guess(known_NK, rounding)

    def _guess(self, known_NK: np.ndarray, rounding: float) -> None:
        is_soft_N = ~np.isin(known_NK, (0, 1)).all(1)
        if not self._could_be(known_NK, False, rounding).all():
            self._kind = "logits"
        elif is_soft_N.any():
            if self._was_hard:
                found = known_NK[is_soft_N][0, :4].tolist()
                raise ModelError(
                    f"{self._name} returned 0 and 1 at first, taken for logits, and now {found}, which sum to 1: "
                    "say what its scores are with outputs: probabilities or outputs: logits"
                )
            self._kind = "probabilities"
        else:
            # A vote may be either, and the class is the same.
            self._was_hard = True

    def _could_be(self, known_NK: np.ndarray, is_lone: bool, rounding: float) -> np.ndarray:
        """[N]: which rows can be probabilities."""
        is_between = np.all((known_NK >= -1e-3) & (known_NK <= 1 + 1e-3), axis=1)
        is_whole = self._per_label(is_lone) or np.abs(known_NK.sum(1) - 1) <= rounding
        return np.asarray(is_between & is_whole)


def check_outputs(kind: str, is_multi_label: bool, /) -> None:
    """Raises `ConfigError` for settings that cannot be."""
    if kind not in KINDS:
        raise ConfigError(f"outputs is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}")
    if is_multi_label and kind == "auto":
        raise ConfigError(
            "multi_label needs to know what the scores are, since they do not sum to 1: outputs: logits or outputs: probabilities"
        )
