"""Train the demo's three models on the data in this folder, with fixed seeds, in about four minutes on one core.

    python -m windtunnel.examples.demo.train [FOLDER]

writes FOLDER/reviews-bert, FOLDER/digits-vit and FOLDER/prose-gpt (default: the ``models`` folder here). Random words of
the reviews are masked in training, so that the model does not memorise the 570 sentences.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from . import digits, prose, reviews

HERE = Path(__file__).parent
SEED = 20


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    for name, train in (("reviews-bert", train_reviews_bert), ("digits-vit", train_digits_vit), ("prose-gpt", train_prose_gpt)):
        torch.manual_seed(SEED)
        train(folder / name)
        size = sum(p.stat().st_size for p in (folder / name).glob("*.safetensors"))
        print(f"{name}: {size / 1e6:.2f} MB of weights")


# ── sentiment of reviews ──────────────────────────────────────────────────────────────────────────────────────────────


def train_reviews_bert(folder: Path) -> None:
    train, test = list(reviews.training()), list(reviews.held_out())
    tokenizer = _train_word_pieces([r["text"] for r in train], vocab_size=1200)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1, pad_token_id=tokenizer.pad_token_id,
        id2label={0: "negative", 1: "positive"}, label2id={"negative": 0, "positive": 1},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    labels = torch.tensor([r["label"] == "positive" for r in train]).long()
    encoded = tokenizer([r["text"] for r in train], padding=True, return_tensors="pt")

    def loss(rows_B: torch.Tensor) -> torch.Tensor:
        ids, mask = encoded["input_ids"][rows_B], encoded["attention_mask"][rows_B]
        masked = (torch.rand(ids.shape) < 0.15) & (ids > 4)
        ids = torch.where(masked, torch.full_like(ids, tokenizer.mask_token_id), ids)
        return model(input_ids=ids, attention_mask=mask, labels=labels[rows_B]).loss

    _fit(model, loss, len(train), epochs=40, batch=32, rate=1e-3)
    encoded_test = tokenizer([r["text"] for r in test], padding=True, return_tensors="pt")
    _report("reviews-bert", model(**encoded_test).logits.argmax(1).numpy() == [r["label"] == "positive" for r in test])
    _save(folder, model, tokenizer)


def _train_word_pieces(texts: Sequence[str], vocab_size: int) -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False))
    raw.decoder = decoders.WordPiece()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_max_length=64,
    )  # fmt: skip


# ── handwritten digits ────────────────────────────────────────────────────────────────────────────────────────────────


def train_digits_vit(folder: Path) -> None:
    train, test = list(digits.training()), list(digits.held_out())
    config = ViTConfig(
        image_size=8, patch_size=2, num_channels=1, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
        hidden_dropout_prob=0.1, id2label=dict(enumerate(digits.NAMES)), label2id={name: i for i, name in enumerate(digits.NAMES)},
    )  # fmt: skip
    model = ViTForImageClassification(config)
    pixels, labels = _stack_pixels(train), torch.tensor([row["label"] for row in train])

    def loss(rows_B: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(pixel_values=pixels[rows_B]).logits, labels[rows_B])

    _fit(model, loss, len(train), epochs=30, batch=64, rate=2e-3)
    _report("digits-vit", model(pixel_values=_stack_pixels(test)).logits.argmax(1).numpy() == [row["label"] for row in test])
    _save(folder, model, ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=[0.5], image_std=[0.5]))


def _stack_pixels(rows: Sequence[dict[str, Any]]) -> torch.Tensor:
    """Stack the images as float32 [B, 1, 8, 8] in [-1, 1]."""
    return (torch.from_numpy(np.stack([row["image"] for row in rows])).float()[:, None] / 255 - 0.5) / 0.5


# ── prose ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def train_prose_gpt(folder: Path) -> None:
    texts = prose.read_paragraphs("train")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=768, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|end|>", eos_token="<|end|>", pad_token="<|end|>", model_max_length=128
    )
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=96, n_layer=3, n_head=4, resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    # Each paragraph is a document, with the end token before and after it.
    stream: list[int] = [0]
    for text in texts:
        stream += [*tokenizer(text)["input_ids"], 0]
    ids = torch.tensor(stream)
    width = 65

    def loss(rows_B: torch.Tensor) -> torch.Tensor:
        starts = torch.randint(0, len(ids) - width, (len(rows_B),))
        window = torch.stack([ids[s : s + width] for s in starts.tolist()])
        logits = model(input_ids=window[:, :-1]).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())

    _fit(model, loss, len(ids) // 32, epochs=60, batch=32, rate=2e-3)
    _save(folder, model, tokenizer)


# ── shared ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fit(model: torch.nn.Module, loss: Any, num_rows: int, *, epochs: int, batch: int, rate: float) -> None:
    """Train with AdamW and a one-cycle schedule, and leave the model in evaluation mode."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05)
    steps = epochs * -(-num_rows // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for rows_B in torch.randperm(num_rows).split(batch):
            optimiser.zero_grad()
            value = loss(rows_B)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    print(f"{type(model).__name__}: last training loss {value.item():.3f}")
    model.eval()


def _report(name: str, correct: np.ndarray[Any, Any]) -> None:
    print(f"{name}: {correct.mean():.3f} of {len(correct)} held-out samples right")


def _save(folder: Path, model: Any, preprocessor: Any) -> None:
    model.save_pretrained(folder)
    preprocessor.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "models")
