"""What a tokenizer's files say, against the weights that its tokens need."""

from __future__ import annotations

from typing import Any

from ...api.errors import ModelError


def settle_tokenizer(tokenizer: Any, target: str, /) -> tuple[str, ...]:
    """Make a tokenizer write texts as their tokens are and pick the chat template; what is to be said of it.

    Decoding by transformers may tidy up spaces before punctuation and in contractions ("do n't"): a model's text would not be what it
    wrote. Raises `ModelError` where the tokenizer knows no words.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{target!r} has no fast tokenizer (tokenizer.json); save one with AutoTokenizer(...).save_pretrained")
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise ModelError(f"{target!r} has no tokenizer files; save the tokenizer next to the weights with save_pretrained")
    tokenizer.clean_up_tokenization_spaces = False
    templates = tokenizer.chat_template
    if not isinstance(templates, dict):
        return ()
    tokenizer.chat_template = templates.get("default", next(iter(templates.values())) if len(templates) == 1 else None)
    if tokenizer.chat_template is None:
        return (f"it has several chat templates ({', '.join(templates)}), none of them called default: none is used",)
    return (f"of its chat templates ({', '.join(templates)}) the default is used",)


def special_ends(tokenizer: Any, /) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer itself puts before a text and behind it (Llama: one, none; BERT: one, one; GPT-2: none)."""
    bare, dressed = tokenizer("a", add_special_tokens=False)["input_ids"], tokenizer("a")["input_ids"]
    if not bare:
        # A vocabulary that has no "a" and drops what it has not: nothing tells the two ends apart.
        return [], dressed
    at = next((i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare), None)
    return (dressed[:at], dressed[at + len(bare) :]) if at is not None else ([], [])


def padding_id(tokenizer: Any, module: Any, /) -> int:
    """A token to fill rows up with that the embeddings have: any will do where padding is masked."""
    rows = num_rows(module)
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((token for token in known if token is not None and 0 <= token < rows), 0)


def check_tokens(tokenizer: Any, module: Any, target: str, /, *more: int | None) -> tuple[str, ...]:
    """What is to be said of tokens that the embeddings have no row for. Raises `ModelError` where the tokenizer itself puts such a token
    around a text, or ``more`` (padding) is one."""
    rows, names = num_rows(module), tokenizer.get_vocab()
    beyond = sorted((place, name) for name, place in names.items() if place >= rows)
    if not beyond:
        return ()
    needed = [place for place in (*tokenizer("a")["input_ids"], *more) if place is not None and place >= rows]
    advice = "give the tokenizer that it was trained with, or resize_token_embeddings and train them"
    if needed:
        raise ModelError(
            f"the tokenizer of {target!r} uses the token {tokenizer.convert_ids_to_tokens(needed[0])!r} ({needed[0]}), and the model has "
            f"{rows} embeddings; {advice}"
        )
    return (f"{len(beyond)} tokens of its tokenizer have no embeddings, the first {beyond[0][1]!r}: a text with one fails",)


def num_rows(module: Any, /) -> int:
    return int(module.get_input_embeddings().weight.shape[0])
