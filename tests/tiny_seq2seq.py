"""Random tiny encoder-decoders, saved as checkpoints, with the tokenizers of their families."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from windtunnel.tests import tiny

_SIZES: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": tiny.MAX_LENGTH, "init_std": 0.3,
}  # fmt: skip


def pieces(template: str, special: Sequence[str] = ("<s>", "<pad>", "</s>", "<unk>"), **names: Any) -> Any:
    """A sentencepiece-like tokenizer. ``template``: how it dresses a text, as in ``$A </s>``."""
    letters = [(letter, -12.0) for letter in "▁abcdefghijklmnopqrstuvwxyz.,!?':;-"]
    words = [("▁" + word, -3.0) for word in dict.fromkeys(tiny.WORDS) if len(word) > 1]
    made = Tokenizer(models.Unigram([*((name, 0.0) for name in special), *letters, *words], unk_id=list(special).index("<unk>")))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single=template, pair=f"{template} $B", special_tokens=[(name, place) for place, name in enumerate(special)]
    )
    named = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"} | names
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "attention_mask"], **named)


def _t5() -> tuple[Any, Any]:
    tokenizer = pieces("$A </s>")
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, initializer_factor=1.0, pad_token_id=1,
        eos_token_id=2, decoder_start_token_id=1, task_specific_params={"translation": {"prefix": "read: "}},
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config), tokenizer


def _bart() -> tuple[Any, Any]:
    tokenizer = pieces("<s> $A </s>", bos_token="<s>")
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, forced_bos_token_id=0, **_SIZES
    )
    return transformers.BartForConditionalGeneration(config), tokenizer


def _pegasus() -> tuple[Any, Any]:
    tokenizer = pieces("$A </s>")
    config = transformers.PegasusConfig(
        vocab_size=len(tokenizer), pad_token_id=1, eos_token_id=2, decoder_start_token_id=1, forced_eos_token_id=2, **_SIZES
    )
    return transformers.PegasusForConditionalGeneration(config), tokenizer


def _spm(folder: Path, size: int = 120) -> Path:
    """Train a sentencepiece model, as the tokenizers of Marian, mBART and M2M100 read one."""
    import sentencepiece

    (folder / "corpus.txt").write_text("\n".join([*tiny.CORPUS, "der hund las die guten filme", "le chien lit les bons films"] * 4))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "pieces"), vocab_size=size, model_type="bpe", minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    return folder / "pieces.model"


def _list_pieces(model: Path) -> list[str]:
    import sentencepiece

    loaded = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return [loaded.id_to_piece(place) for place in range(loaded.get_piece_size())]


def _marian() -> tuple[Any, Any]:
    folder = Path(tempfile.mkdtemp())
    model = _spm(folder)
    names = ["</s>", "<unk>", *_list_pieces(model)[3:], ">>deu<<", ">>fra<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({name: place for place, name in enumerate(names)}))
    tokenizer = transformers.MarianTokenizer(str(model), str(model), str(folder / "vocab.json"), source_lang="en", target_lang="roa")
    config = transformers.MarianConfig(
        vocab_size=len(names), pad_token_id=len(names) - 1, eos_token_id=0, decoder_start_token_id=len(names) - 1, forced_eos_token_id=0,
        scale_embedding=True, num_beams=3, bad_words_ids=[[len(names) - 1]], **_SIZES,
    )  # fmt: skip
    return transformers.MarianMTModel(config), tokenizer


def _m2m() -> tuple[Any, Any]:
    folder = Path(tempfile.mkdtemp())
    model = _spm(folder)
    names = ["<s>", "<pad>", "</s>", "<unk>", *_list_pieces(model)[3:]]
    (folder / "vocab.json").write_text(json.dumps({name: place for place, name in enumerate(names)}))
    tokenizer = transformers.M2M100Tokenizer(str(folder / "vocab.json"), str(model), src_lang="en", tgt_lang="de")
    config = transformers.M2M100Config(
        vocab_size=len(names) + 120, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, **_SIZES
    )
    return transformers.M2M100ForConditionalGeneration(config), tokenizer


def _mbart(kind: str) -> tuple[Any, Any]:
    folder = Path(tempfile.mkdtemp())
    _spm(folder).rename(folder / "sentencepiece.bpe.model")
    tokenizer = getattr(transformers, kind).from_pretrained(str(folder), src_lang="en_XX", tgt_lang="de_DE")
    config = transformers.MBartConfig(
        vocab_size=max(tokenizer.get_vocab().values()) + 1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        **_SIZES,
    )
    return transformers.MBartForConditionalGeneration(config), tokenizer


MAKERS = {
    "t5": _t5,
    "bart": _bart,
    "pegasus": _pegasus,
    "marian": _marian,
    "m2m": _m2m,
    "mbart": lambda: _mbart("MBartTokenizer"),
    "mbart50": lambda: _mbart("MBart50Tokenizer"),
}


@functools.cache
def checkpoint(name: str) -> Path:
    """The checkpoint of that name, made once in a process. Not to be written to."""
    folder = Path(tempfile.mkdtemp(prefix="windtunnel-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        module, tokenizer = MAKERS[name]()
        for key, parameter in module.named_parameters():
            if key.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
