"""HotFlip: words swapped where the gradient says that it raises the loss.

Shape legend: P words that may be swapped, D embedding, N words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError
from ...harness.api.model_port import ModelPort
from ...harness.api.samples import Sample, SampleRng
from ...harness.api.settings import Bound, Cosine, Count, Share
from ...harness.language.stop_words import builtin_stop_words
from ...harness.threats import EditBudget
from .whole_words import Slope, Vocabulary, slopes, vocabulary
from .word_search import Search, Variant, admitted, asked, begun, standing

if TYPE_CHECKING:
    import torch


_DEPTH = 32
"""How far down the list of swaps a search goes for one that the threat admits, in times of its candidates."""

_ANY_WORD = "\0"


class HotFlip(Attack[EditBudget]):
    """Swaps words that are one token for words that are one token, those of the largest first-order gain: the loss's gradient by the
    token's embedding, times the difference of the two embeddings (Ebrahimi et al. 2018). White-box, for transformers classifiers.

    Each of ``steps`` rounds swaps one more word: of each of the ``beam`` best texts the gradient is taken, and its ``candidates`` best
    swaps are asked of the model, in one call for all samples; the ``beam`` of the largest loss go on (1: greedy). A search ends with the
    first round that has a misclassified text. A swap is asked only if the threat admits it and its text is read as the
    very tokens that were meant; where it is not, the next best takes its place, of the 32 times ``candidates`` best.

    min_cosine: the least cosine of the two embeddings, -1 to 1. stop_words: the words that neither go nor come, ``builtin`` (English)
    or ``none``. ascii_only: only plain letters come in. max_words, max_share, max_chars: see `EditBudget`. Words of several tokens,
    punctuation and numbers stay. num_queries counts candidates and gradients.

    Differs from the paper: all candidates are verified, the paper's beam sums first-order gains; parts of speech are not compared.

    Ebrahimi, Rao, Lowd, Dou: HotFlip: White-Box Adversarial Examples for Text Classification. ACL 2018, https://arxiv.org/abs/1712.06751
    """

    requires = frozenset({"classify", "text", "gradients"})

    def __init__(
        self, *, steps: Count = 10, beam: Count = 4, candidates: Count = 16, min_cosine: Cosine = -1.0, stop_words: str = "builtin",
        ascii_only: bool = True, max_words: Bound | None = 2, max_share: Share | None = None, max_chars: Bound | None = None,
    ) -> None:  # fmt: skip
        if min(steps, beam, candidates) < 1:
            raise ConfigError(f"steps, beam and candidates are 1 or more, not {steps}, {beam} and {candidates}")
        self.threat = EditBudget(max_words, max_share, max_chars)
        self._steps, self._beam, self._candidates, self._min_cosine = steps, beam, candidates, min_cosine
        self._ascii_only, self._left_alone = ascii_only, builtin_stop_words(stop_words)

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: EditBudget, rng: SampleRng, /) -> Sequence[Sample]:
        spared = self._left_alone | threat.protected
        searches = begun(samples, spared)
        with engine.differentiable() as net:
            known = vocabulary(net, spared, self._ascii_only)
        for _ in range(self._steps):
            points = [(search, variant) for search in standing(searches) for variant in search.beam]
            if not points:
                break
            with engine.differentiable() as net:
                found = slopes(engine, net, points)
            tried = self._flipped(engine, known, [(search, slope) for (search, _), slope in zip(points, found, strict=True)], threat)
            for search, variants in asked(engine, tried):
                search.beam = sorted(variants, key=lambda variant: (not variant.is_wrong, -variant.loss))[: self._beam]
                search.offer(search.beam[0])
        return [search.twin() for search in searches]

    def _flipped(
        self, engine: ModelPort, known: Vocabulary, found: Sequence[tuple[Search, Slope]], threat: EditBudget
    ) -> list[tuple[Search, list[Variant]]]:
        """Each search's candidates. A search that has none, or whose text is misclassified already, is over."""
        for search, slope in found:
            search.offer(slope.variant)
        best = {(search, slope.variant): self._best(known, search, slope, threat) for search, slope in found if search.is_open}
        kept: dict[tuple[Search, Variant], list[Variant]] = {point: [] for point in best}
        begin, end = 0, self._candidates
        while swaps := [(*point, *swap) for point in best if len(kept[point]) < self._candidates for swap in best[point][begin:end]]:
            meant = [(swap[:2], variant) for swap, variant in zip(swaps, known.as_meant(swaps), strict=True) if variant is not None]
            allowed = admitted(engine, threat, [search.pair(variant) for (search, _), variant in meant])
            for (point, variant), is_allowed in zip(meant, allowed, strict=True):
                kept[point] += [variant] * is_allowed
            begin, end = end, 2 * end
        tried: dict[Search, dict[tuple[str, ...], Variant]] = {search: {} for search, _ in best}
        for (search, _), variants in kept.items():
            for variant in variants[: self._candidates]:
                tried[search].setdefault(variant.words, variant)
        for search, those in tried.items():
            search.is_open = bool(those)
        return [(search, list(those.values())) for search, those in tried.items() if those]

    def _best(self, known: Vocabulary, search: Search, slope: Slope, threat: EditBudget) -> list[tuple[int, int]]:
        """The swaps of the largest gains above 0, as (place, n-th word), the best first."""
        import torch

        places = [place for place in search.places if slope.num_tokens[place] == 1 and place not in slope.variant.changed]
        # How many words change is known before the word that comes in: where it is too many, none has to be looked at.
        bounds = EditBudget(threat.max_words, threat.max_share)
        places = [place for place in places if bounds.admits(*search.pair(slope.variant.swapped(place, _ANY_WORD)))]
        if not places:
            return []
        gain_PN = first_order_gain(slope.gradient[places], slope.embedding[places], known.table)
        fits_PN = torch.stack([known.fitting(search, slope.variant, place) for place in places]) & (gain_PN > 0)
        if self._min_cosine > -1:
            fits_PN &= known.cosines(slope.embedding[places]) >= self._min_cosine
        gains, flat = gain_PN.masked_fill(~fits_PN, 0).flatten().topk(min(_DEPTH * self._candidates, gain_PN.numel()))
        best = [divmod(at, len(known.ids)) for gain, at in zip(gains.tolist(), flat.tolist(), strict=True) if gain > 0]
        return [(places[row], n) for row, n in best]


def first_order_gain(gradient_PD: torch.Tensor, embedding_PD: torch.Tensor, table_ND: torch.Tensor, /) -> torch.Tensor:
    """How the loss moves [P, N], to first order, where each word gives way to each of the vocabulary."""
    return gradient_PD @ table_ND.T - (gradient_PD * embedding_PD).sum(1, keepdim=True)
