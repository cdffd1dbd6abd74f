"""HotFlip: replace words where the gradient predicts the largest increase of the loss.

Shape legend: P words that may be replaced, D embedding, N words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError
from ...harness.api.model_port import ModelPort
from ...harness.api.samples import Sample, SampleRng
from ...harness.api.settings import Bound, Cosine, Count, Share
from ...harness.language.stop_words import get_builtin_stop_words
from ...harness.threats import EditBudget
from .whole_words import Slope, Vocabulary, build_vocabulary, compute_slopes
from .word_search import Search, Variant, check_threat, list_open, query_variants, start_searches

if TYPE_CHECKING:
    import torch


_DEPTH = 32
"""Maximum number of replacements to examine for admissible ones, as a multiple of ``candidates``."""

_ANY_WORD = "\0"


class HotFlip(Attack[EditBudget]):
    """Replace one-token words by one-token words with the largest first-order gain (Ebrahimi et al. 2018).

    White-box. The gain is the gradient of the loss by the token's embedding
    times the difference of the two embeddings. Each round replaces one more word: it computes a gradient for
    each of the ``beam`` best texts, and queries the best ``candidates`` replacements of each, in one call for
    all samples. The ``beam`` texts with the largest loss continue. A search ends with the first misclassified
    text. A replacement must be within the threat model and tokenize to exactly the intended tokens; otherwise
    the next best takes its place, among the 32 * ``candidates`` best.

    steps: maximum number of rounds.
    beam: number of texts that continue; 1 is greedy.
    candidates: replacements queried per text and round.
    min_cosine: minimum cosine of the two embeddings, -1 to 1.
    stop_words: words that are neither replaced nor inserted: ``builtin`` (English) or ``none``.
    ascii_only: whether new words must be plain ASCII letters.
    max_words, max_share, max_chars: bounds of the threat model; see `EditBudget`.

    Words of several tokens, punctuation and numbers stay. num_queries counts candidates and gradients.

    Differences from the paper: every candidate is verified by a query; the paper's beam sums first-order
    gains. Parts of speech are not compared.

    Ebrahimi, Rao, Lowd, Dou: HotFlip: White-Box Adversarial Examples for Text Classification. ACL 2018,
    https://arxiv.org/abs/1712.06751
    """

    requires = frozenset({"classify", "text", "gradients", "vocabulary"})

    def __init__(
        self, *, steps: Count = 10, beam: Count = 4, candidates: Count = 16, min_cosine: Cosine = -1.0, stop_words: str = "builtin",
        ascii_only: bool = True, max_words: Bound | None = 2, max_share: Share | None = None, max_chars: Bound | None = None,
    ) -> None:  # fmt: skip
        if min(steps, beam, candidates) < 1:
            raise ConfigError(f"steps, beam and candidates must be at least 1, not {steps}, {beam} and {candidates}")
        self.threat = EditBudget(max_words, max_share, max_chars)
        self._steps, self._beam, self._candidates, self._min_cosine = steps, beam, candidates, min_cosine
        self._ascii_only, self._stop_words = ascii_only, get_builtin_stop_words(stop_words)

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: EditBudget, rng: SampleRng, /) -> Sequence[Sample]:
        spared = self._stop_words | threat.protected
        searches = start_searches(samples, spared)
        with engine.differentiable() as net:
            vocabulary = build_vocabulary(net, spared, self._ascii_only)
        for _ in range(self._steps):
            points = [(search, variant) for search in list_open(searches) for variant in search.beam]
            if not points:
                break
            with engine.differentiable() as net:
                found = compute_slopes(engine, net, points)
            tried = self._make_candidates(
                engine, vocabulary, [(search, slope) for (search, _), slope in zip(points, found, strict=True)], threat
            )
            for search, variants in query_variants(engine, tried):
                search.beam = sorted(variants, key=lambda variant: (not variant.is_wrong, -variant.loss))[: self._beam]
                search.offer(search.beam[0])
        return [search.twin() for search in searches]

    def _make_candidates(
        self, engine: ModelPort, vocabulary: Vocabulary, found: Sequence[tuple[Search, Slope]], threat: EditBudget
    ) -> list[tuple[Search, list[Variant]]]:
        """Return each search's candidates. Closes searches without candidates, and those whose text is
        already misclassified."""
        for search, slope in found:
            search.offer(slope.variant)
        best = {(search, slope.variant): self._find_best(vocabulary, search, slope, threat) for search, slope in found if search.is_open}
        kept: dict[tuple[Search, Variant], list[Variant]] = {point: [] for point in best}
        begin, end = 0, self._candidates
        while swaps := [(*point, *swap) for point in best if len(kept[point]) < self._candidates for swap in best[point][begin:end]]:
            meant = [
                (swap[:2], variant) for swap, variant in zip(swaps, vocabulary.make_variants(swaps), strict=True) if variant is not None
            ]
            allowed = check_threat(engine, threat, [search.pair(variant) for (search, _), variant in meant])
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

    def _find_best(self, vocabulary: Vocabulary, search: Search, slope: Slope, threat: EditBudget) -> list[tuple[int, int]]:
        """Return the replacements with the largest positive gains as (place, n-th word), best first."""
        import torch

        places = [place for place in search.places if slope.num_tokens[place] == 1 and place not in slope.variant.changed]
        # Skip places where one more changed word exceeds the threat, whatever the new word.
        bounds = EditBudget(threat.max_words, threat.max_share)
        places = [place for place in places if bounds.admits(*search.pair(slope.variant.replace_word(place, _ANY_WORD)))]
        if not places:
            return []
        gain_PN = estimate_gain(slope.gradient[places], slope.embedding[places], vocabulary.table)
        fits_PN = torch.stack([vocabulary.find_fitting(search, slope.variant, place) for place in places]) & (gain_PN > 0)
        if self._min_cosine > -1:
            fits_PN &= vocabulary.compute_cosines(slope.embedding[places]) >= self._min_cosine
        gains, flat = gain_PN.masked_fill(~fits_PN, 0).flatten().topk(min(_DEPTH * self._candidates, gain_PN.numel()))
        best = [divmod(at, len(vocabulary.ids)) for gain, at in zip(gains.tolist(), flat.tolist(), strict=True) if gain > 0]
        return [(places[row], n) for row, n in best]


def estimate_gain(gradient_PD: torch.Tensor, embedding_PD: torch.Tensor, table_ND: torch.Tensor, /) -> torch.Tensor:
    """Return the first-order change of the loss [P, N] if each word is replaced by each word of the
    vocabulary."""
    return gradient_PD @ table_ND.T - (gradient_PD * embedding_PD).sum(1, keepdim=True)
