"""One small BERT, written again: for torch, JAX, Keras and plain numpy. `make` writes the weights that all of them read."""

from functools import cache
from math import sqrt
from pathlib import Path

import numpy as np

MADE = Path(__file__).parent / "made"
WEIGHTS = MADE / "bert" / "model.safetensors"
LAYERS, HEADS = 2, 4


# ── texts to token ids ───────────────────────────────────────────────────────────────────────────


@cache
def load_tokenizer():
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(MADE / "bert" / "tokenizer.json"))


def encode(texts):
    """Return the token ids of a text, and the place of each token in it, by which gradients find words."""
    read = load_tokenizer().encode_batch(texts)
    return {"input_ids": np.array([one.ids for one in read]), "offset_mapping": np.array([one.offsets for one in read])}


def encode_with_positions(texts):
    """Return what the Keras model takes."""
    encoded = encode(texts)
    return {**encoded, "positions": np.arange(encoded["input_ids"].shape[1])[None]}


def list_words():
    """Return words that attacks may insert: those of the tokenizer's vocabulary."""
    return sorted(token for token in load_tokenizer().get_vocab() if token.isalpha())


# ── torch: a module ──────────────────────────────────────────────────────────────────────────────


def make_torch():
    from torch import nn
    from transformers import BertForSequenceClassification

    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = BertForSequenceClassification.from_pretrained(MADE / "bert")

        def forward(self, input_ids, attention_mask=None):
            return self.bert(input_ids, attention_mask).logits

    return Scores()


# ── numpy and JAX: a function of the weights and the embedded tokens ─────────────────────────────


def compute_scores(xp, erf, weights, words_BLD):
    """Return the class scores [B, K]. xp: numpy, or jax.numpy. weights: by the names of the checkpoint."""

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalise(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / xp.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attend(x, name):
        parts = (linear(x, f"{name}.self.{part}") for part in ("query", "key", "value"))
        query, key, value = (p.reshape(*p.shape[:2], HEADS, -1).swapaxes(1, 2) for p in parts)
        scores = query @ key.swapaxes(2, 3) / sqrt(query.shape[-1])
        scores = xp.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        return linear(mixed.swapaxes(1, 2).reshape(x.shape), f"{name}.output.dense")

    first = "bert.embeddings"
    places = weights[f"{first}.position_embeddings.weight"][: words_BLD.shape[1]]
    x = normalise(words_BLD + places + weights[f"{first}.token_type_embeddings.weight"][0], f"{first}.LayerNorm")
    for layer in range(LAYERS):
        at = f"bert.encoder.layer.{layer}"
        x = normalise(x + attend(x, f"{at}.attention"), f"{at}.attention.output.LayerNorm")
        inner = linear(x, f"{at}.intermediate.dense")
        inner = inner * (1 + erf(inner / sqrt(2))) / 2
        x = normalise(x + linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return linear(xp.tanh(linear(x[:, 0], "bert.pooler.dense")), "classifier")


def make_jax():
    import jax
    from safetensors.numpy import load_file

    def apply(weights, input_ids):  # the harness gives the embeddings in place of the ids
        return compute_scores(jax.numpy, jax.scipy.special.erf, weights, input_ids)

    return apply, load_file(WEIGHTS)


@cache
def load_weights():
    from safetensors.numpy import load_file

    return load_file(WEIGHTS)


def score(texts):
    """Return the class scores of a list of texts, as numpy computes them."""
    from scipy.special import erf

    table = load_weights()["bert.embeddings.word_embeddings.weight"]
    ids = [encode([text])["input_ids"] for text in texts]
    return np.concatenate([compute_scores(np, erf, load_weights(), table[row]) for row in ids])


# ── Keras: layers ────────────────────────────────────────────────────────────────────────────────


def build_keras():
    """Return the model with the weights of the checkpoint. It takes token ids and their positions."""
    from keras import Input, Model, layers

    weights = load_weights()
    table, size = weights["bert.embeddings.word_embeddings.weight"], weights["bert.pooler.dense.bias"].size
    places = weights["bert.embeddings.position_embeddings.weight"] + weights["bert.embeddings.token_type_embeddings.weight"][0]
    values = {"words": [table], "places": [places]}

    def dense(x, name, activation=None):
        kernel, bias = weights[f"{name}.weight"].T, weights[f"{name}.bias"]
        values[name.replace(".", "_")] = [kernel, bias]
        return layers.Dense(bias.size, activation=activation, name=name.replace(".", "_"))(x)

    def normalise(x, name):
        values[name.replace(".", "_")] = [weights[f"{name}.weight"], weights[f"{name}.bias"]]
        return layers.LayerNormalization(epsilon=1e-12, name=name.replace(".", "_"))(x)

    def attend(x, name):
        parts = []
        for part in ("query", "key", "value"):
            kernel, bias = weights[f"{name}.self.{part}.weight"].T, weights[f"{name}.self.{part}.bias"]
            parts += [kernel.reshape(size, HEADS, -1), bias.reshape(HEADS, -1)]
        last = weights[f"{name}.output.dense.weight"].T.reshape(HEADS, -1, size)
        values[name.replace(".", "_")] = [*parts, last, weights[f"{name}.output.dense.bias"]]
        return layers.MultiHeadAttention(HEADS, size // HEADS, name=name.replace(".", "_"))(x, x)

    ids, positions = (Input((None,), dtype="int32", name=name) for name in ("input_ids", "positions"))
    words, at = layers.Embedding(*table.shape, name="words")(ids), layers.Embedding(*places.shape, name="places")(positions)
    x = normalise(layers.Add()([words, at]), "bert.embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"bert.encoder.layer.{layer}"
        x = normalise(layers.Add()([x, attend(x, f"{name}.attention")]), f"{name}.attention.output.LayerNorm")
        inner = dense(dense(x, f"{name}.intermediate.dense", "gelu"), f"{name}.output.dense")
        x = normalise(layers.Add()([x, inner]), f"{name}.output.LayerNorm")
    model = Model([ids, positions], dense(dense(x[:, 0], "bert.pooler.dense", "tanh"), "classifier"))
    for name, arrays in values.items():
        model.get_layer(name).set_weights(arrays)
    return model
