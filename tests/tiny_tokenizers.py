"""Tokenizers as the families of language models have them, trained on a few sentences: how each treats the space before a word and the
beginning of a text. And, of each, how its tokens spell a text, told from their names alone."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "Question: what does the cat eat? Answer: fish. The cat sat on the table and was able to read the good films.",
    "A. apple\nB. bread\nC. cake\nD. dates\nAnswer: B\n\nQuestion: unable or able? Answer: A",
    "a stable table, a cable and an able dog in Paris: good, bad, fine. 1 2 3 4 12 34 user assistant system",
] * 6
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content.strip() }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content.strip() }} {{ eos_token }}"
    "{% else %}{{ bos_token }}<<SYS>>{{ m.content }}<</SYS>>{% endif %}{% endfor %}"
)
_LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|header|>{{ m.role }}<|/header|>\n\n{{ m.content.strip() }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|header|>assistant<|/header|>\n\n{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content.strip() }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "


@dataclass(frozen=True)
class Family:
    """``bos``: text of the token that the tokenizer puts before a text, if it does. ``starts``: what stands for nothing before a text.
    ``spelling``: a text and its tokens' names to how many characters are spelled when each token ends."""

    make: Callable[[], Any]
    spelling: Callable[[str, list[str]], list[int]]
    bos: str
    starts: str


def _trained(model: Any, trainer: Any, normalizer: Any = None, pre: Any = None) -> Tokenizer:
    made = Tokenizer(model)
    if normalizer is not None:
        made.normalizer = normalizer
    if pre is not None:
        made.pre_tokenizer = pre
    made.train_from_iterator(CORPUS, trainer)
    return made


def _fast(made: Tokenizer, template: str, special: list[str], **names: str) -> Any:
    made.add_special_tokens(special)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "attention_mask"], **names)
    fast.chat_template = template
    return fast


def _before(made: Tokenizer, bos: str, *others: Any, after: str = "") -> None:
    pieces = [(name, made.token_to_id(name)) for name in (bos, after) if name]
    template = processors.TemplateProcessing(single=f"{bos} $A {after}".strip(), special_tokens=pieces)
    made.post_processor = processors.Sequence([*others, template]) if others else template


def _byte_bpe(special: list[str], pre: Any = None, normalizer: Any = None) -> Tokenizer:
    pre = pre or pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made = _trained(models.BPE(), trainer, normalizer, pre)
    made.decoder = decoders.ByteLevel()
    return made


def _gpt2() -> Any:
    made = _byte_bpe(["<|endoftext|>"])
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    return _fast(made, _PLAIN, [], bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def _neox() -> Any:
    """Places without the space before a word."""
    made = _byte_bpe(["<|endoftext|>"])
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    return _fast(made, _PLAIN, [], bos_token="<|endoftext|>", eos_token="<|endoftext|>")


_DIGITS = Regex(r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def _llama3() -> Any:
    """A digit is a token of its own, and so the space before it."""
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(_DIGITS, "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    made = _byte_bpe(["<bos>", "<eos>", "<|header|>", "<|/header|>", "<|eot|>"], pre)
    _before(made, "<bos>", processors.ByteLevel(trim_offsets=True))
    return _fast(made, _LLAMA3, [], bos_token="<bos>", eos_token="<eos>")


def _qwen() -> Any:
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(_DIGITS, "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    made = _byte_bpe(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], pre, normalizers.NFC())
    return _fast(made, _CHATML, [], eos_token="<|im_end|>", pad_token="<|endoftext|>")


_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _sentencepiece(normalizer: Any, special: list[str], pre: Any = None) -> Tokenizer:
    """Learned word by word, so that a space begins a token; used on the whole text."""
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=[*special, *_BYTES], show_progress=False)
    learned = _trained(models.BPE(), trainer, None, pre_tokenizers.Metaspace("▁", "first"))
    facts = json.loads(learned.to_str())["model"]
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in facts["merges"]]
    made = Tokenizer(models.BPE(facts["vocab"], merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    made.normalizer = normalizer
    if pre is not None:
        made.pre_tokenizer = pre
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return made


def _llama2() -> Any:
    """A space before every text, also before what follows a special token."""
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made = _sentencepiece(normalizer, ["<unk>", "<s>", "</s>"])
    _before(made, "<s>")
    return _fast(made, _LLAMA2, ["<s>", "</s>"], bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _mistral() -> Any:
    """A space before the first word of a text, and of no other."""
    made = _sentencepiece(normalizers.Sequence([]), ["<unk>", "<s>", "</s>"], pre_tokenizers.Metaspace("▁", "first", split=False))
    _before(made, "<s>")
    return _fast(made, _LLAMA2, ["<s>", "</s>"], bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _gemma() -> Any:
    """No space of its own."""
    made = _sentencepiece(normalizers.Replace(" ", "▁"), ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"])
    _before(made, "<bos>")
    special = ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]
    return _fast(made, _GEMMA, special, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


def _unigram() -> Any:
    """T5's kind: a token ends each text, none begins it."""
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    made = _trained(models.Unigram(), trainer, None, pre_tokenizers.Metaspace("▁", "always"))
    made.decoder = decoders.Metaspace()
    _before(made, "", after="</s>")
    return _fast(made, _PLAIN, ["</s>"], eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def _wordpiece() -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    made = _trained(models.WordPiece(unk_token="[UNK]"), trainer, normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer())
    made.decoder = decoders.WordPiece()
    _before(made, "[CLS]", after="[SEP]")
    return _fast(made, _PLAIN, special, cls_token="[CLS]", sep_token="[SEP]", eos_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]")


def _spell_bytes(text: str, names: list[str]) -> list[int]:
    """Each character of a byte-level token's name is a byte, a special token's name is itself."""
    special = {"<|endoftext|>", "<bos>", "<eos>", "<|header|>", "<|/header|>", "<|eot|>", "<|im_start|>", "<|im_end|>"}
    ends, done, data = [], 0, text.encode()
    for name in names:
        done += len(name)
        # A character ends with its last byte; one that has begun counts, as it stands in the token.
        ends.append(len(data[:done].decode("utf-8", "ignore")) + (name not in special and _cut_short(data[:done])))
    return ends


def _cut_short(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _spell_pieces(text: str, names: list[str], puts: str, again: bool = False) -> list[int]:
    """▁ is a space, but for the one that is put before a text: ``always``, where the text has ``none`` of its own, or ``never``.
    ``again``: also before what follows a special token."""
    special = ("<s>", "</s>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
    data, done, ends = text.encode(), 0, []

    def puts_one() -> bool:
        return puts == "always" or (puts == "none" and not data[done:].startswith(b" "))

    owed = puts_one()
    for name in names:
        if name in special:
            done += len(name)
            owed = again and puts_one()
        else:
            own = name[1:] if owed and name.startswith("▁") else name
            owed = False
            done += 1 if name in _BYTES else len(own.replace("▁", " ").encode())
            if not own:
                # What was put there has no place but that of the character that follows.
                ends.append(len(data[:done].decode()) + 1)
                continue
        ends.append(len(data[:done].decode("utf-8", "ignore")) + _cut_short(data[:done]))
    return ends


def _spell_words(text: str, names: list[str]) -> list[int]:
    """The tokens' letters in the lower-cased text, one after another, whatever stands between."""
    ends, at, low = [], 0, text.lower()
    for name in names:
        piece = name.removeprefix("##") if not name.startswith("[") else name.lower()
        at = low.index(piece, at) + len(piece)
        ends.append(at)
    return ends


FAMILIES: dict[str, Family] = {
    "gpt2": Family(_gpt2, _spell_bytes, "", "<|endoftext|>"),
    "neox": Family(_neox, _spell_bytes, "", "<|endoftext|>"),
    "llama3": Family(_llama3, _spell_bytes, "<bos>", "<bos>"),
    "qwen": Family(_qwen, _spell_bytes, "", "<|im_end|>"),
    "llama2": Family(_llama2, functools.partial(_spell_pieces, puts="always", again=True), "<s>", "<s>"),
    "mistral": Family(_mistral, functools.partial(_spell_pieces, puts="none"), "<s>", "<s>"),
    "gemma": Family(_gemma, functools.partial(_spell_pieces, puts="never"), "<bos>", "<bos>"),
    "unigram": Family(_unigram, functools.partial(_spell_pieces, puts="none", again=True), "", "</s>"),
    "wordpiece": Family(_wordpiece, _spell_words, "[CLS]", "[CLS]"),
}


@functools.cache
def folder_of(name: str) -> str:
    """A checkpoint: a random Llama of one layer with that family's tokenizer."""
    tokenizer = FAMILIES[name].make()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = transformers.LlamaForCausalLM(config)
        for parameter in module.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.4)
    folder = Path(tempfile.mkdtemp(prefix="windtunnel-seams-"))
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
