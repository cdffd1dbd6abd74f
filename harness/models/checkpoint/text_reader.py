"""Read the inputs of text classifiers: texts and pairs as tokens, a window of requests at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...api.errors import ModelError, SampleError
from ...api.model import Model
from ...api.requests import Classify, Request
from ...api.responses import Response
from ...modalities.inputs import Input, list_texts, name_modality
from ...modalities.words import shift_spans
from ..common.token_window import Tokenised
from ..common.valid_text import refuse_lone_surrogates
from .tokens import find_special_ends


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised request.

    types: token type ids if the model has them. spans: span of each token in the text, (0, 0) for special tokens.
    """

    ids: list[int]
    types: list[int] | None
    spans: list[tuple[int, int]]
    special: list[int]
    labels: tuple[str, ...]
    num_truncated: int


class TextReader(Model):
    """Base of text classifiers with a tokenizer. A subclass calls `read_with` in its constructor.

    tokenizer: transformers' tokenizer.
    max_length: maximum length of a text, in tokens.
    """

    tokenizer: Any
    max_length: int

    def read_with(self, tokenizer: Any, max_length: int, takes_types: bool) -> None:
        """Set the tokenizer, the maximum number of tokens, and whether the model takes token types."""
        self.tokenizer, self.max_length, self._takes_types = tokenizer, max_length, takes_types
        self.mask_token = tokenizer.mask_token or tokenizer.unk_token
        self._tokenised: Tokenised[Input, Tokens] = Tokenised(tokenizer, self._tokenise)

    def prepare(self, requests: Sequence[Request[Response]], /) -> None:
        self._tokenised.window(_keep_texts(requests))

    def prepare_ahead(self, requests: Callable[[], Sequence[Request[Response]]], /) -> None:
        self._tokenised.ahead(_keep_texts(requests()))

    def split(self, request: Request[Response], /) -> Sequence[Tokens]:
        assert isinstance(request, Classify)
        tokens = self._tokenised.get(request.input) or self._run_alone(request.input)
        if not tokens.ids:
            raise SampleError("the text has no tokens and this model adds no special ones, so there is nothing to classify")
        return (replace(tokens, labels=request.labels),)

    def readings(self, requests: Sequence[Request[Response]], /) -> Sequence[Hashable]:
        """Return what the model reads: equal for texts that differ only in what the tokenizer drops (case, accents, spaces)."""
        classifications = [request for request in requests if isinstance(request, Classify)]
        try:
            tokenised = self._tokenise(self.tokenizer, [request.input for request in classifications])
        except (TypeError, UnicodeEncodeError, SampleError):
            # One of them is invalid; running that request gives the reason.
            return requests
        return [(tuple(t.ids), tuple(t.types or ()), request.labels) for t, request in zip(tokenised, classifications, strict=True)]

    def length(self, unit: Tokens, /) -> int:
        return len(unit.ids)

    def _run_alone(self, value: Input) -> Tokens:
        first, second = _split_texts(value)
        with refuse_lone_surrogates(first + (second or "")):
            (tokens,) = self._tokenise(self.tokenizer, [value])
        return tokens

    def _tokenise(self, tokenizer: Any, values: Sequence[Input]) -> list[Tokens]:
        """Tokenise texts or pairs; labels stay empty."""
        tokenised: dict[int, Tokens] = {}
        for num in (2, 1):
            places = [at for at, value in enumerate(values) if len(list_texts(value)) == num]
            some = [values[at] for at in places]
            if not some:
                continue
            encoded = _encode_texts(tokenizer, some, truncation=True, max_length=self.max_length, return_offsets_mapping=True)
            typed = "token_type_ids" in encoded and self._takes_types
            cut = [i for i, one in enumerate(encoded.encodings) if len(one.ids) >= self.max_length]
            whole = _encode_texts(tokenizer, [some[i] for i in cut]).encodings if cut else []
            dropped = {i: len(one.ids) - len(encoded.encodings[i].ids) for i, one in zip(cut, whole, strict=True)}
            for i, (at, one) in enumerate(zip(places, encoded.encodings, strict=True)):
                types = one.type_ids if typed else None
                tokenised[at] = Tokens(one.ids, types, _find_spans(some[i], one), one.special_tokens_mask, (), dropped.get(i, 0))
        return [tokenised[at] for at in range(len(values))]


def _encode_texts(tokenizer: Any, values: Sequence[Input], **options: Any) -> Any:
    texts, seconds = zip(*map(_split_texts, values), strict=True)
    pair = (list(seconds),) if seconds[0] is not None else ()
    return tokenizer(list(texts), *pair, verbose=False, return_special_tokens_mask=True, **options)


def _find_spans(value: Input, encoded: Any) -> list[tuple[int, int]]:
    """Return the span of each token in the text or pair (`words.shift_spans`); (0, 0) for special tokens."""
    spans: list[tuple[int, int]] = []
    texts = list_texts(value)
    for span, special, text in zip(encoded.offsets, encoded.special_tokens_mask, encoded.sequence_ids, strict=True):
        place = (0, 0) if special else tuple(span)
        spans += shift_spans(texts, text, [place]) if text and not special else [place]
    return spans


def choose_padding(tokenizer: Any, wanted: str | None, name: str, /) -> int:
    """Set and return the tokenizer's padding token, which is also the neutral token of a baseline.

    Raises `ModelError` if texts end with that token, because decoders read the last token that is not padding.
    """
    if wanted:
        if wanted not in tokenizer.get_vocab():
            raise ModelError(f"pad_token {wanted!r} is not in the vocabulary of {name!r}; name a token that is")
        tokenizer.pad_token = wanted
    pad: int | None = tokenizer.pad_token_id
    last = find_special_ends(tokenizer)[1][-1:]
    if pad is not None and pad not in last:
        return pad
    names = (tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token)
    other = next((name for name in names if name and tokenizer.convert_tokens_to_ids(name) not in last), None)
    wrong = "has no padding token, so its inputs cannot share a batch" if pad is None else (
        f"ends every text with {tokenizer.pad_token!r}, so that cannot be the padding token too"
    )  # fmt: skip
    raise ModelError(
        f"the tokenizer of {name!r} {wrong}; name one that it knows with the model setting pad_token"
        + (f", e.g. pad_token: {other!r}" if other else "")
    )


def _split_texts(value: Input) -> tuple[str, str | None]:
    texts = list_texts(value)
    if not 1 <= len(texts) <= 2:
        raise SampleError(f"a text classifier takes text or a text pair, not {name_modality(value)}")
    return texts[0], texts[1] if len(texts) == 2 else None


def _keep_texts(requests: Sequence[Request[Response]]) -> list[Input]:
    """Return the inputs that are texts or pairs. Others are refused when their request runs."""
    return [r.input for r in requests if isinstance(r, Classify) and 1 <= len(list_texts(r.input)) <= 2]
