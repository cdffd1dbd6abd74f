"""Turn texts into the tokens of an encoder-decoder: sources with their prefix and language, targets with their start.

source   prefix + text, as the tokenizer dresses it      "translate: a cat" -> translate : a cat </s>
target   the start of the decoder, then the plain text   "un chat"          -> <start> [<language>] un chat
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...api.errors import ModelError, SampleError
from ...modalities.words import clip_span
from ..checkpoint.tokens import find_special_ends
from ..common.token_window import Tokenised
from ..common.valid_text import refuse_lone_surrogates


@dataclass(frozen=True, slots=True)
class Source:
    """The tokens that the encoder reads. ``num_truncated``: the number that were dropped for length."""

    ids: tuple[int, ...]
    num_truncated: int = 0


class SourceAndTarget:
    """Tokenises sources and targets.

    tokenizer: transformers' tokenizer, fast or not.
    prefix: text before every source.
    max_length: maximum number of tokens of a source.
    languages: the source's and the target's language codes, as the tokenizer names them; None: it knows no languages.
    decoder_start: token with which the decoder starts, from the checkpoint; None: it names none.
    forced: token that generation begins with, from the checkpoint; None: it names none.
    name: name of the checkpoint, for errors.

    start: the tokens that the decoder is given before a target.
    forced: the token that generation begins with.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        prefix: str,
        max_length: int,
        languages: tuple[str | None, str | None],
        decoder_start: int | None,
        forced: int | None = None,
        name: str,
    ) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        language = _set_languages(tokenizer, *languages, (forced, decoder_start), name)
        # Marian's models of several languages read the target language before the source.
        named = f">>{languages[1]}<< " if language is not None and not hasattr(tokenizer, "tgt_lang") else ""
        self._prefix = named + prefix
        before, after = find_special_ends(tokenizer, is_target=True)
        if not named and language in after:
            # mBART's first release: the language is the token with which the decoder starts.
            decoder_start = language
        if decoder_start is None:
            raise ModelError(f"the config of {name!r} has no decoder_start_token_id, so the decoder has no start; add it")
        self.start = [decoder_start, *before]
        self.forced = language if language in before else forced
        self._sources: Tokenised[str, list[int]] = Tokenised(tokenizer, self._tokenise_sources)
        self._targets: Tokenised[str, list[int]] = Tokenised(tokenizer, _tokenise_targets)

    def window(self, sources: Iterable[str], targets: Iterable[str], /) -> None:
        """Tokenise the texts of the next requests at once."""
        self._sources.window(sources)
        self._targets.window(targets)

    def source(self, text: str, /) -> Source:
        """Return the tokens of a source, cut to the maximum length at its end. Raises `SampleError` for invalid text."""
        ids = self._sources.get(text)
        if ids is None:
            with refuse_lone_surrogates(text):
                (ids,) = self._tokenise_sources(self._tokenizer, [text])
        if len(ids) <= self._max_length:
            return Source(tuple(ids))
        cut = self._tokenizer(self._prefix + text, truncation=True, max_length=self._max_length, verbose=False)["input_ids"]
        return Source(tuple(cut), len(ids) - len(cut))

    def target(self, text: str, /) -> list[int]:
        """Return the tokens of a target, without special tokens. Raises `SampleError` for invalid text, or if there are none."""
        ids = self._targets.get(text)
        if ids is None:
            with refuse_lone_surrogates(text):
                (ids,) = _tokenise_targets(self._tokenizer, [text])
        if not ids:
            raise SampleError("the continuation has no tokens, so there is nothing to score")
        return ids

    def spans(self, text: str, source: Source, /) -> list[tuple[int, int]]:
        """Return the (start, end) in the text of each token of its source, (0, 0) for special tokens and the prefix."""
        whole = self._prefix + text
        if self._tokenizer.is_fast:
            cut = {"truncation": True, "max_length": self._max_length} if source.num_truncated else {}
            (encoding,) = self._tokenizer([whole], verbose=False, **cut).encodings
            offsets = [(0, 0) if special else span for span, special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)]
        else:
            special = set(self._tokenizer.all_special_ids)
            pieces = self._tokenizer.convert_ids_to_tokens(list(source.ids))
            offsets = align_pieces(whole, ["" if i in special else piece for i, piece in zip(source.ids, pieces, strict=True)])
        return [clip_span(span, len(self._prefix), len(text)) for span in offsets]

    def _tokenise_sources(self, tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer([self._prefix + text for text in texts], verbose=False)["input_ids"]
        return ids


def _tokenise_targets(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(text_target=list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def align_pieces(text: str, pieces: Sequence[str], /) -> list[tuple[int, int]]:
    """Return the (start, end) of each piece of a sentencepiece tokenizer in its text; (0, 0) for one that does not occur in it.

    pieces: in the order of the text; "▁" stands for a space. An unknown or normalised piece has no place, and the next one is found
        behind it.
    """
    spans: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        written = piece.replace("▁", " ").strip()
        start = text.find(written, at) if written else -1
        spans.append((start, start + len(written)) if start >= 0 else (0, 0))
        at = max(at, spans[-1][1])
    return spans


def _set_languages(tokenizer: Any, source: str | None, target: str | None, own: Sequence[int | None], name: str) -> int | None:
    """Set the tokenizer's languages, and return the token of the target language; None if there are no languages.

    own: tokens of the checkpoint with which an answer begins, which may be that of its only target language.
    Raises `ModelError` for a code that the tokenizer has not, and if it needs a target language and there is none.
    """
    takes, token_of = hasattr(tokenizer, "tgt_lang"), list_languages(tokenizer)
    examples = ", ".join(sorted(token_of)[:6]) or "none at all"
    if not takes and source is not None:
        raise ModelError(f"source_language: the tokenizer of {name!r} knows no source languages")
    for setting, code in (("source_language", source), ("target_language", target)):
        if code is not None and code not in token_of:
            raise ModelError(f"{setting}: the tokenizer of {name!r} has no language {code!r}; its codes look like {examples}")
    if takes:
        target = target or tokenizer.tgt_lang or next((code for code, token in token_of.items() if token in own), None)
        if target is None:
            raise ModelError(
                f"{name!r} translates between languages: set the model settings source_language and target_language, as in {examples}"
            )
        tokenizer.src_lang, tokenizer.tgt_lang = source or tokenizer.src_lang, target
    return token_of.get(target) if target is not None else None


def list_languages(tokenizer: Any, /) -> dict[str, int]:
    """Return the token of each language code: ``de_DE`` (mBART), ``deu_Latn`` (NLLB), ``de`` (M2M100: __de__; Marian: >>de<<).

    Special tokens without a role in the tokenizer count as languages; an ordinary word of the vocabulary ("de") is none.
    """
    usual = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token, tokenizer.mask_token}
    names = {*tokenizer.all_special_tokens, *getattr(tokenizer, "lang_token_to_id", ())} - usual
    names |= {name for name in tokenizer.get_vocab() if name.startswith(">>")}
    return {name.strip("_><"): int(tokenizer.convert_tokens_to_ids(name)) for name in sorted(names)}
