"""Helpers of probes that read attention weights: one value per position of the input.

Shape legend: N rows of a pass, M layers, L positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..harness.api.model import Differentiable
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.samples import Attribution, Sample
from .explained import check_target, choose_classes
from .gradients import GradientWork, Rows
from .positions import Values

if TYPE_CHECKING:
    import torch

_SHORT = 64
"""Number of tokens at which attention maps take as much memory as the tokens; maps grow with its square."""


class AttentionProbe(Probe):
    """Base class of probes that read attention weights. A subclass defines `read`.

    target: nominally explained class, ``predicted`` or ``gold``.
    Raises `ConfigError` if ``target`` is unknown.
    """

    requires = frozenset({"classify", "gradients", "attention"})
    inputs = frozenset({"text", "pair", "image"})

    def __init__(self, *, target: str) -> None:
        self.target = check_target(target)

    def read(self, maps_NMLL: torch.Tensor, readers_NL: torch.Tensor, /) -> torch.Tensor:
        """Return the weight of each position for the answer, [N, L].

        maps_NMLL: attention of each layer, averaged over heads; the last axis is the attended position.
        readers_NL: share of each position in the answer, e.g. 1 at [CLS].
        """
        raise NotImplementedError

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = choose_classes(engine, samples, self.target)
        found: dict[int, Attribution] = {}
        with engine.differentiable() as net:
            # No gradient is computed; GradientWork gives access to the model's layers.
            work = GradientWork(engine, net, samples, targets)
            for rows in work.passes(range(len(samples)), cost=lambda length: max(1, length * length // _SHORT)):
                for index, values in zip(rows.indices, self._average_weights(net, rows), strict=True):
                    found[index] = work.attribution(index, values)
        return [found[i] for i in range(len(samples))]

    def _average_weights(self, net: Differentiable, rows: Rows) -> list[Values]:
        """Return the weights [L] of each row without padding."""
        maps_NMLL = net.attentions(rows.features, rows.encoded, rows.places)
        readers_NL = net.readers(rows.encoded, rows.places)
        if readers_NL is None:
            readers_NL = _mark_reader(maps_NMLL, rows.lengths)
        read_NL = self.read(maps_NMLL, readers_NL.to(maps_NMLL)).double().cpu().numpy()
        return [row if rows.lengths is None else row[: rows.lengths[n]] for n, row in enumerate(read_NL)]


def _mark_reader(maps_NMLL: torch.Tensor, lengths: Sequence[int] | None) -> torch.Tensor:
    """Return [N, L], 1 at the position that the answer is read from and 0 elsewhere.

    It is the first position, [CLS]; in a decoder, where no position attends to a later one, the last without padding.

    maps_NMLL: attention of each layer.
    lengths: number of tokens of each row without padding; None for images.
    """
    import torch

    num, width = maps_NMLL.shape[0], maps_NMLL.shape[-1]
    last_N = torch.tensor([n - 1 for n in lengths] if lengths is not None else [width - 1] * num, device=maps_NMLL.device)
    looks_back_N = maps_NMLL[:, :, 0, 1:].sum((1, 2)) == 0
    return torch.nn.functional.one_hot(torch.where(looks_back_N, last_N, torch.zeros_like(last_N)), width)
