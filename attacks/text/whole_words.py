"""The one-token words of a classifier, and its gradients by the words of a text.

Shape legend: B texts, L tokens, D embedding, W words of a text, N words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ...harness.api.errors import CapabilityError
from ...harness.api.lexicon import Lexicon
from ...harness.api.model import Differentiable
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.engine.batching import group_batches
from .word_search import Search, Variant, is_word, judge_variant

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that are one token each.

    ids, words: tokens and words [N].
    table: embeddings [N, D].
    directions: embeddings scaled to length 1.
    first, later: bool [N], whether the word is this token without and with a space before it (the same in
        BERT, different in RoBERTa).
    places: indices of each lower-case word.
    """

    lexicon: Lexicon
    ids: list[int]
    words: list[str]
    table: torch.Tensor
    directions: torch.Tensor
    first: torch.Tensor
    later: torch.Tensor
    places: dict[str, list[int]]

    def find_fitting(self, search: Search, variant: Variant, place: int, /) -> torch.Tensor:
        """Return which words fit at the place, bool [N]: not the present word in any case."""
        fits_N = (self.later if search.gaps[place][-1:].isspace() else self.first).clone()
        fits_N[self.places.get(variant.words[place].lower(), [])] = False
        return fits_N

    def compute_cosines(self, embedding_PD: torch.Tensor, /) -> torch.Tensor:
        """Return the cosines of P embeddings with those of the vocabulary, [P, N]."""
        import torch

        return torch.nn.functional.normalize(embedding_PD, dim=1) @ self.directions.T

    def make_variants(self, swaps: Sequence[tuple[Search, Variant, int, int]], /) -> list[Variant | None]:
        """Return the variants with the word at the place replaced by the n-th word, for (search, variant,
        place, n). None if the new text does not tokenize to the old tokens with that one token in the word's
        place."""
        variants = [variant.replace_word(place, self.words[n]) for _, variant, place, n in swaps]
        before = {(search, variant): search.text(variant) for search, variant, _, _ in swaps}
        read_before = dict(zip(before, self.lexicon.tokenize(list(before.values())), strict=True))
        read_after = self.lexicon.tokenize([search.text(new) for (search, *_), new in zip(swaps, variants, strict=True)])
        result: list[Variant | None] = []
        for (search, variant, place, n), new, (after, _) in zip(swaps, variants, read_after, strict=True):
            ids, offsets = read_before[search, variant]
            (at,) = find_tokens(before[search, variant], offsets, [search.spans(variant)[place]])
            result.append(new if at and after == [*ids[: at.start], self.ids[n], *ids[at.stop :]] else None)
        return result


def build_vocabulary(net: Differentiable, excluded: frozenset[str], ascii_only: bool, /) -> Vocabulary:
    """Build the vocabulary. excluded: lower-case words that it leaves out. Raises `CapabilityError` if no
    token is a whole word."""
    import torch

    lexicon = net.lexicon()
    candidates = [(i, text.strip()) for i, text in lexicon.list_tokens()]
    candidates = [(i, w) for i, w in candidates if is_word(w) and w.lower() not in excluded and (w.isascii() or not ascii_only)]
    words = [word for _, word in candidates]

    ((before, _),) = lexicon.tokenize(["a"])
    first = [tokens == [i] for (i, _), (tokens, _) in zip(candidates, lexicon.tokenize(words), strict=True)]
    after = lexicon.tokenize([f"a {word}" for word in words])
    later = [tokens == [*before, i] for (i, _), (tokens, _) in zip(candidates, after, strict=True)]
    kept = [n for n in range(len(candidates)) if first[n] or later[n]]
    if not kept:
        raise CapabilityError("this model's vocabulary has no token that is a whole word, so there is no replacement")
    table_ND = lexicon.embed([candidates[n][0] for n in kept]).float()
    device = table_ND.device
    places: dict[str, list[int]] = {}
    for at, n in enumerate(kept):
        places.setdefault(words[n].lower(), []).append(at)
    return Vocabulary(
        lexicon, [candidates[n][0] for n in kept], [words[n] for n in kept], table_ND, torch.nn.functional.normalize(table_ND, dim=1),
        torch.tensor([first[n] for n in kept], device=device), torch.tensor([later[n] for n in kept], device=device), places,
    )  # fmt: skip


# ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Slope(NamedTuple):
    """The gradient of the loss by the words of a text.

    gradient, embedding: [W, D], means over the tokens of a word.
    num_tokens: [W], 0 for a word that the model does not read, or not separately.
    variant: the text with the model's answer.
    """

    gradient: torch.Tensor
    embedding: torch.Tensor
    num_tokens: list[int]
    variant: Variant


def compute_slopes(engine: ModelPort, net: Differentiable, points: Sequence[tuple[Search, Variant]], /) -> list[Slope]:
    """Compute one gradient for each search's variant, in batches of many samples."""
    import torch

    texts = [search.text(variant) for search, variant in points]
    samples = [replace(search.sample, input=text) for (search, _), text in zip(points, texts, strict=True)]
    slopes: dict[int, Slope] = {}
    for indices in group_batches(engine, samples):
        encoded = net.encode([Classify(texts[i], samples[i].labels) for i in indices])
        features = encoded.features.detach().requires_grad_()
        logits_BC = net.logits(features, encoded)
        target_B = torch.tensor([points[i][0].target for i in indices], device=logits_BC.device)
        # In float64 an almost certain model still has a gradient. The sum over texts keeps their gradients independent.
        loss = torch.nn.functional.cross_entropy(logits_BC.double(), target_B, reduction="sum")
        (gradient_BLD,) = torch.autograd.grad(loss, features)
        answers = logits_BC.detach().cpu().tolist()
        for row, index in enumerate(indices):
            search, variant = points[index]
            search.queries += 1
            search.is_flat &= not bool(gradient_BLD[row].any())
            tokens = find_tokens(texts[index], encoded.spans[row], search.spans(variant))
            slopes[index] = Slope(
                _average_tokens(gradient_BLD[row], tokens), _average_tokens(encoded.features[row], tokens), [len(at) for at in tokens],
                judge_variant(variant, answers[row], search.target),
            )  # fmt: skip
    return [slopes[index] for index in range(len(points))]


def _average_tokens(values_LD: torch.Tensor, tokens: Sequence[range]) -> torch.Tensor:
    import torch

    share_WL = torch.zeros(len(tokens), len(values_LD), device=values_LD.device)
    for word, at in enumerate(tokens):
        if at:
            share_WL[word, at.start : at.stop] = 1 / len(at)
    return share_WL @ values_LD.detach().float()


def find_tokens(text: str, offsets: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]], /) -> list[range]:
    """Return each word's tokens, ignoring spaces before it; an empty range if they do not cover exactly the
    word."""
    spans = [(start + len(text[start:end]) - len(text[start:end].lstrip()), end) for start, end in offsets]
    tokens = []
    for start, end in words:
        touching = [place for place, (a, b) in enumerate(spans) if a < end and b > start]
        is_whole = bool(touching) and spans[touching[0]][0] == start and spans[touching[-1]][1] == end
        tokens.append(range(touching[0], touching[-1] + 1) if is_whole else range(0))
    return tokens
