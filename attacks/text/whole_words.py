"""A classifier's words of one token, and what its gradient says of the words of a text.

Shape legend: B texts, L tokens, D embedding, W words of a text, N words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...harness.api.errors import CapabilityError
from ...harness.api.model import Differentiable
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.engine.batching import batches
from ...harness.modalities.words import Spans
from .word_search import Search, Variant, is_word, told

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that are one token each: ``ids`` and ``words`` [N], ``table`` [N, D] their embeddings, ``directions`` those at length 1.

    ``first`` and ``later`` [N]: which are that one token where no space stands before them, and where one does (the same in BERT, apart in
    RoBERTa). ``places``: of each word in small letters, which ones it is.
    """

    tokenizer: Any
    ids: list[int]
    words: list[str]
    table: torch.Tensor
    directions: torch.Tensor
    first: torch.Tensor
    later: torch.Tensor
    places: dict[str, list[int]]

    def fitting(self, search: Search, variant: Variant, place: int, /) -> torch.Tensor:
        """Which may stand at that place, bool [N]: not the word that does, in capital letters or small ones."""
        fits_N = (self.later if search.gaps[place][-1:].isspace() else self.first).clone()
        fits_N[self.places.get(variant.words[place].lower(), [])] = False
        return fits_N

    def cosines(self, embedding_PD: torch.Tensor, /) -> torch.Tensor:
        """Of P embeddings with those of the vocabulary, [P, N]."""
        import torch

        return torch.nn.functional.normalize(embedding_PD, dim=1) @ self.directions.T

    def as_meant(self, swaps: Sequence[tuple[Search, Variant, int, int]], /) -> list[Variant | None]:
        """The variants with the word at a place swapped for the vocabulary's n-th, given as (search, variant, place, n). None where the new
        text is not read as the old one with that one token in the word's place."""
        made = [variant.swapped(place, self.words[n]) for _, variant, place, n in swaps]
        before = {(search, variant): search.text(variant) for search, variant, _, _ in swaps}
        read_before = dict(zip(before, self._read(list(before.values())), strict=True))
        read_after = self._read([search.text(new) for (search, *_), new in zip(swaps, made, strict=True)])
        found: list[Variant | None] = []
        for (search, variant, place, n), new, (after, _) in zip(swaps, made, read_after, strict=True):
            ids, offsets = read_before[search, variant]
            (at,) = tokens_of(before[search, variant], offsets, [search.spans(variant)[place]])
            found.append(new if at and after == [*ids[: at.start], self.ids[n], *ids[at.stop :]] else None)
        return found

    def _read(self, texts: list[str]) -> list[tuple[list[int], Spans]]:
        read = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False) if texts else None
        return list(zip(read["input_ids"], read["offset_mapping"], strict=True)) if read else []


def vocabulary(net: Differentiable, left_out: frozenset[str], ascii_only: bool, /) -> Vocabulary:
    """``left_out``: words in small letters that are not in it."""
    import torch

    embeds = getattr(net.module, "get_input_embeddings", None)
    if net.tokenizer is None or embeds is None:
        raise CapabilityError(
            "this attack reads its model's tokenizer and token embeddings, which a transformers text classifier has ('hf:...') and "
            "this one has not; take an attack that asks for answers alone, e.g. deepwordbug"
        )
    tokenizer, embed = net.tokenizer, embeds()
    special = set(tokenizer.all_special_ids)
    ids = [i for i in sorted(tokenizer.get_vocab().values()) if i < embed.weight.shape[0] and i not in special]
    texts = tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False)
    known = [(i, text.strip()) for i, text in zip(ids, texts, strict=True)]
    known = [(i, w) for i, w in known if is_word(w) and w.lower() not in left_out and (w.isascii() or not ascii_only)]
    words = [word for _, word in known]

    def read(prefix: str) -> list[list[int]]:
        found: list[list[int]] = tokenizer([prefix + word for word in words], add_special_tokens=False, verbose=False)["input_ids"]
        return found

    before = tokenizer("a", add_special_tokens=False)["input_ids"]
    first = [tokens == [i] for (i, _), tokens in zip(known, read("") if known else [], strict=True)]
    later = [tokens == [*before, i] for (i, _), tokens in zip(known, read("a ") if known else [], strict=True)]
    kept = [n for n in range(len(known)) if first[n] or later[n]]
    if not kept:
        raise CapabilityError("no token of this model's vocabulary is a word of its own, so there is none to put in")
    device = embed.weight.device
    with torch.no_grad():
        # What the layer gives, not its weights: some scale them.
        table_ND = embed(torch.tensor([known[n][0] for n in kept], device=device)).float()
    places: dict[str, list[int]] = {}
    for at, n in enumerate(kept):
        places.setdefault(words[n].lower(), []).append(at)
    return Vocabulary(
        tokenizer, [known[n][0] for n in kept], [words[n] for n in kept], table_ND, torch.nn.functional.normalize(table_ND, dim=1),
        torch.tensor([first[n] for n in kept], device=device), torch.tensor([later[n] for n in kept], device=device), places,
    )  # fmt: skip


# ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Slope(NamedTuple):
    """``gradient`` [W, D] of the loss by each word's embedding, and that ``embedding`` [W, D]: of a word of several tokens, their means.
    ``num_tokens`` [W]: 0 for a word that the model does not read, or not by itself. ``variant``: with what the model says of it."""

    gradient: torch.Tensor
    embedding: torch.Tensor
    num_tokens: list[int]
    variant: Variant


def slopes(engine: ModelPort, net: Differentiable, points: Sequence[tuple[Search, Variant]], /) -> list[Slope]:
    """One gradient of each search's variant, in batches of many samples."""
    import torch

    texts = [search.text(variant) for search, variant in points]
    samples = [replace(search.sample, input=text) for (search, _), text in zip(points, texts, strict=True)]
    found: dict[int, Slope] = {}
    for indices in batches(engine, samples):
        encoded = net.encode([Classify(texts[i], samples[i].labels) for i in indices])
        features = encoded.features.detach().requires_grad_()
        logits_BC = net.logits(features, encoded)
        target_B = torch.tensor([points[i][0].target for i in indices], device=logits_BC.device)
        # In float64, where a model that is all but certain still has a slope. A sum over texts: each one's gradient is its own.
        loss = torch.nn.functional.cross_entropy(logits_BC.double(), target_B, reduction="sum")
        (gradient_BLD,) = torch.autograd.grad(loss, features)
        answers = logits_BC.detach().cpu().tolist()
        for row, index in enumerate(indices):
            search, variant = points[index]
            search.queries += 1
            search.is_flat &= not bool(gradient_BLD[row].any())
            tokens = tokens_of(texts[index], encoded.spans[row], search.spans(variant))
            found[index] = Slope(
                _means(gradient_BLD[row], tokens), _means(encoded.features[row], tokens), [len(at) for at in tokens],
                told(variant, answers[row], search.target),
            )  # fmt: skip
    return [found[index] for index in range(len(points))]


def _means(values_LD: torch.Tensor, tokens: Sequence[range]) -> torch.Tensor:
    import torch

    share_WL = torch.zeros(len(tokens), len(values_LD), device=values_LD.device)
    for word, at in enumerate(tokens):
        if at:
            share_WL[word, at.start : at.stop] = 1 / len(at)
    return share_WL @ values_LD.detach().float()


def tokens_of(text: str, offsets: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]], /) -> list[range]:
    """Each word's tokens; none where they are not all there, or one of them is of more than the word. Spaces before it do not count."""
    spans = [(start + len(text[start:end]) - len(text[start:end].lstrip()), end) for start, end in offsets]
    found = []
    for start, end in words:
        touching = [place for place, (a, b) in enumerate(spans) if a < end and b > start]
        is_whole = bool(touching) and spans[touching[0]][0] == start and spans[touching[-1]][1] == end
        found.append(range(touching[0], touching[-1] + 1) if is_whole else range(0))
    return found
