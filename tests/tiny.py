"""Random tiny transformers, saved as checkpoints: a few thousand weights each, seeded, made in well under a second."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.cache import AnswerCache
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.models.hf.source import HuggingFace

# More threads than one only wait for each other over matrices this small: on a busy 2-core machine 5 times as long.
torch.set_num_threads(1)

_SENTENCES = (
    "the cat sat on a table and was able to read good",
    "bad films that were great awful fine with her young dog in paris",
)
WORDS = [word for sentence in _SENTENCES for word in sentence.split()]
CORPUS = [
    "the cat sat on the table and was able to read the good films that were great",
    "a table, a cable and an able dog in Paris: good, bad, awful, fine.\nThe end. Stop here!",
    "unable to enable the stable; the young dog read with her in the station 1 2 3 4",
] * 8
LABELS = ["negative", "neutral", "positive"]
MAX_LENGTH = 48
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def _wordpiece() -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?':;-"
    tokens = dict.fromkeys([*special, *letters, *(f"##{c}" for c in letters), *WORDS, "##ing", "##ed", "##s"])
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"], model_max_length=MAX_LENGTH,
    )  # fmt: skip


def _bytes(special: Sequence[str], **names: Any) -> tuple[Tokenizer, dict[str, Any]]:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=360, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False)
    )
    return made, names


def _gpt2_tokenizer() -> Any:
    made, names = _bytes(["<|endoftext|>"], eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "attention_mask"], **names)


def _llama_tokenizer() -> Any:
    made, names = _bytes(["<s>", "</s>"], bos_token="<s>", eos_token="</s>")
    made.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "attention_mask"], **names)
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]"
    return tokenizer


def _roberta_tokenizer() -> Any:
    made, names = _bytes(
        ["<s>", "<pad>", "</s>", "<unk>"], bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", cls_token="<s>",
        sep_token="</s>",
    )  # fmt: skip
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "attention_mask"], **names)


def _labels() -> dict[str, Any]:
    return {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}


def _bert() -> tuple[Any, Any]:
    tokenizer = _wordpiece()
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, initializer_range=0.3, **_SIZES, **_labels()
    )
    return transformers.BertForSequenceClassification(config), tokenizer


def _gpt2_config(tokenizer: Any, **more: Any) -> Any:
    return transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=MAX_LENGTH, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, **more,
    )  # fmt: skip


def _gpt2() -> tuple[Any, Any]:
    tokenizer = _gpt2_tokenizer()
    return transformers.GPT2LMHeadModel(_gpt2_config(tokenizer)), tokenizer


def _gpt2_classifier() -> tuple[Any, Any]:
    tokenizer = _gpt2_tokenizer()
    return transformers.GPT2ForSequenceClassification(_gpt2_config(tokenizer, **_labels())), tokenizer


def _llama() -> tuple[Any, Any]:
    tokenizer = _llama_tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, num_key_value_heads=2, initializer_range=0.3, bos_token_id=0,
        eos_token_id=1, **_SIZES,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config), tokenizer


def _roberta() -> tuple[Any, Any]:
    tokenizer = _roberta_tokenizer()
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH + 2, type_vocab_size=1, initializer_range=0.3, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, **_SIZES, **_labels(),
    )  # fmt: skip
    return transformers.RobertaForSequenceClassification(config), tokenizer


def _bert_masked() -> tuple[Any, Any]:
    tokenizer = _wordpiece()
    config = transformers.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, initializer_range=0.3, **_SIZES)
    return transformers.BertForMaskedLM(config), tokenizer


def _roberta_masked() -> tuple[Any, Any]:
    tokenizer = _roberta_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH + 2, type_vocab_size=1, initializer_range=0.3, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, **_SIZES,
    )  # fmt: skip
    return transformers.RobertaForMaskedLM(config), tokenizer


def _unigram() -> Any:
    """As a sentencepiece model has it: a word's first piece carries the space before it."""
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    letters = [(letter, -12.0) for letter in "▁abcdefghijklmnopqrstuvwxyz.,!?':;-"]
    words = [("▁" + word, -3.0) for word in dict.fromkeys(WORDS) if len(word) > 1]
    made = Tokenizer(models.Unigram([*((name, 0.0) for name in special), *letters, *words], unk_id=1))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"], model_max_length=MAX_LENGTH,
    )  # fmt: skip


def _albert() -> tuple[Any, Any]:
    tokenizer = _unigram()
    config = transformers.AlbertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, embedding_size=16, initializer_range=0.3, pad_token_id=0,
        bos_token_id=2, eos_token_id=3, **_SIZES, **_labels(),
    )  # fmt: skip
    return transformers.AlbertForSequenceClassification(config), tokenizer


def _longformer() -> tuple[Any, Any]:
    tokenizer = _roberta_tokenizer()
    config = transformers.LongformerConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH + 2, type_vocab_size=1, attention_window=16, initializer_range=0.3,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, sep_token_id=2, **_SIZES, **_labels(),
    )  # fmt: skip
    return transformers.LongformerForSequenceClassification(config), tokenizer


def _fnet() -> tuple[Any, Any]:
    tokenizer = _wordpiece()
    sizes = {name: size for name, size in _SIZES.items() if name != "num_attention_heads"}
    config = transformers.FNetConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, type_vocab_size=2, initializer_range=0.3, pad_token_id=0,
        bos_token_id=2, eos_token_id=3, **sizes, **_labels(),
    )  # fmt: skip
    return transformers.FNetForSequenceClassification(config), tokenizer


def _convbert() -> tuple[Any, Any]:
    tokenizer = _wordpiece()
    config = transformers.ConvBertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, initializer_range=0.3, embedding_size=_SIZES["hidden_size"],
        head_ratio=2, conv_kernel_size=3, **_SIZES, **_labels(),
    )  # fmt: skip
    return transformers.ConvBertForSequenceClassification(config), tokenizer


def _vit() -> tuple[Any, Any]:
    config = transformers.ViTConfig(image_size=32, patch_size=8, num_channels=3, initializer_range=0.3, **_SIZES, **_labels())
    processor = transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3], resample=2
    )
    return transformers.ViTForImageClassification(config), processor


_MAKERS = {
    "albert": _albert, "bert": _bert, "bert_masked": _bert_masked, "convbert": _convbert, "fnet": _fnet, "gpt2": _gpt2,
    "gpt2_classifier": _gpt2_classifier, "llama": _llama, "longformer": _longformer, "roberta": _roberta,
    "roberta_masked": _roberta_masked, "vit": _vit,
}  # fmt: skip


def save(name: str, folder: Path, seed: int = 7) -> Path:
    """A fresh checkpoint in the folder, for tests that spoil it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module, side = _MAKERS[name]()
        for key, parameter in module.named_parameters():
            if key.endswith("bias"):  # zeros at the start, which would hide a bias that is forgotten
                torch.nn.init.normal_(parameter, std=0.1)
    module.save_pretrained(folder)
    side.save_pretrained(folder)
    return folder


@functools.cache
def checkpoint(name: str) -> Path:
    """The checkpoint of that name, made once in a process. Not to be written to."""
    folder = Path(tempfile.mkdtemp(prefix="windtunnel-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return save(name, folder)


def load(name: str, device: str = "cpu", dtype: str = "float32", **settings: Any) -> Any:
    """The adapter on the checkpoint, ready for requests."""
    if name == "gpt2_classifier":
        settings = {"pad_token": "<|endoftext|>", **settings}
    return HuggingFace(str(checkpoint(name)), **settings).load(device, dtype)


@functools.cache
def shared(name: str) -> Any:
    """One adapter for all tests that only ask it."""
    return load(name)


def engine(name_or_model: Any, *, rows: int = 64, tokens: int = 4096, pack: int = 1024, cache: AnswerCache | None = None) -> Engine:
    from windtunnel.harness.api.model import ModelInfo

    model = shared(name_or_model) if isinstance(name_or_model, str) else name_or_model
    return Engine(model, ModelInfo({}), budget=Budget(tokens, rows, pack=pack), cache=cache)
