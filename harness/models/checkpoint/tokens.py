"""Configure a tokenizer, and check that its tokens have embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from .files import read_json

_VOCABULARIES = ("tokenizer.json", "*.model", "vocab*", "*.vocab", "*.tiktoken", "tekken.json", "*.spm", "*.bpe", "merges.txt", "*.py")
"""Files of which a tokenizer has at least one; code may read others."""
_OF_CHARACTERS = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
"""Tokenizers whose tokens are bytes or characters, so that they have no vocabulary."""


def check_tokenizer_files(folder: Path | None, target: str, /) -> None:
    """Raise `ModelError` if a local folder has no vocabulary, so that this is known before weights load."""
    if folder is None or any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):
        return
    if (read_json(folder / "tokenizer_config.json") or {}).get("tokenizer_class") not in _OF_CHARACTERS:
        raise ModelError(f"{target!r} has no tokenizer files; save the tokenizer next to the weights with save_pretrained")


def settle_tokenizer(tokenizer: Any, target: str, /, *, needs_offsets: bool = True) -> tuple[str, ...]:
    """Disable clean-up of decoded text, choose the chat template, and return notes.

    transformers may remove spaces before punctuation and in contractions ("do n't") when decoding, which would change
    the generated text. needs_offsets: whether the place of each token in its text is needed, which only fast tokenizers tell.
    Raises `ModelError` if the tokenizer has no offsets but needs them, or has no words.
    """
    if needs_offsets and not tokenizer.is_fast:
        raise ModelError(f"{target!r} has no fast tokenizer (tokenizer.json); save one with AutoTokenizer(...).save_pretrained")
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise ModelError(f"{target!r} has no tokenizer files; save the tokenizer next to the weights with save_pretrained")
    tokenizer.clean_up_tokenization_spaces = False
    templates = tokenizer.chat_template
    if not isinstance(templates, dict):
        return ()
    tokenizer.chat_template = templates.get("default", next(iter(templates.values())) if len(templates) == 1 else None)
    if tokenizer.chat_template is None:
        return (f"it has several chat templates ({', '.join(templates)}), none of them named default, so none is used",)
    return (f"of its chat templates ({', '.join(templates)}), the default is used",)


def find_special_ends(tokenizer: Any, /, *, is_target: bool = False) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer adds before and after a text (Llama: one, none; BERT: one, one).

    is_target: for a text that an encoder-decoder writes.
    """
    text = {"text_target": "a"} if is_target else {"text": "a"}
    bare, dressed = tokenizer(**text, add_special_tokens=False)["input_ids"], tokenizer(**text)["input_ids"]
    if not bare:
        # The vocabulary has no "a" and drops unknown tokens, so the two ends cannot be separated.
        return [], dressed
    at = next((i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare), None)
    return (dressed[:at], dressed[at + len(bare) :]) if at is not None else ([], [])


def choose_padding_id(tokenizer: Any, module: Any, /) -> int:
    """Return a padding token that has an embedding; any token will do if padding is masked."""
    rows = count_rows(module)
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((token for token in known if token is not None and 0 <= token < rows), 0)


def check_tokens(tokenizer: Any, module: Any, target: str, /, *more: int | None) -> tuple[str, ...]:
    """Return a note about tokens without embeddings.

    more: further tokens in use, such as padding. Raises `ModelError` if such a token is in use or added to every text.
    """
    rows, names = count_rows(module), tokenizer.get_vocab()
    beyond = sorted((place, name) for name, place in names.items() if place >= rows)
    if not beyond:
        return ()
    needed = [place for place in (*tokenizer("a")["input_ids"], *more) if place is not None and place >= rows]
    advice = "give the tokenizer that it was trained with, or resize_token_embeddings and train them"
    if needed:
        raise ModelError(
            f"the tokenizer of {target!r} uses the token {tokenizer.convert_ids_to_tokens(needed[0])!r} ({needed[0]}), but the model has "
            f"only {rows} embeddings; {advice}"
        )
    return (f"{len(beyond):,} tokens of its tokenizer have no embeddings, the first {beyond[0][1]!r}: a text with one fails",)


def count_rows(module: Any, /) -> int:
    """Return the number of token embeddings."""
    return int(module.get_input_embeddings().weight.shape[0])


def list_ends(*tokens: int | list[int] | None) -> list[int]:
    """Return the distinct tokens that end a text. tokens: one, several or none per place that names them."""
    named = [[] if token is None else token if isinstance(token, list) else [token] for token in tokens]
    return list(dict.fromkeys(token for some in named for token in some))
