"""A text classifier whose attributions are known in closed form."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from windtunnel.harness.api.model import Encoded, ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import SampleRng

LABELS = ("negative", "positive")


class Bag:
    """Text in closed form: each token of three letters has an embedding e_t in R^4; logits = f(sum of tokens e_t W), [CLS] in front.

    Padding and the neutral token are 0. Linear f: token t's attribution is exactly e_t W.
    """

    info = ModelInfo({"classify": {"text"}}, {"gradients"}, LABELS)
    name = fingerprint = "bag"

    def __init__(self, shape: str = "linear", labels: Sequence[str] = LABELS) -> None:
        self.module = torch.nn.Linear(4, 2, bias=False)
        torch.manual_seed(0)
        torch.nn.init.normal_(self.module.weight)
        self.shape, self.labels = shape, labels
        self.break_at = 0

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return [(m.start() + i, min(m.start() + i + 3, m.end())) for m in re.finditer(r"\S+", text) for i in range(0, len(m.group()), 3)]

    def embedding(self, token: str) -> torch.Tensor:
        return torch.from_numpy(SampleRng("token")(token).standard_normal(4)).float()

    def shaped(self, logits: torch.Tensor) -> torch.Tensor:
        return {"linear": lambda x: x, "tanh": lambda x: torch.tanh(x / 4), "saturated": lambda x: 20 * torch.tanh(40 * x)}[self.shape](
            logits
        )

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        encoded = self.encode(batch)
        with torch.no_grad():
            return [Logits(tuple(row)) for row in self.logits(encoded.features, encoded).tolist()]

    def differentiable(self) -> Bag:
        return self

    def encode(self, requests: Sequence[Classify], /) -> Encoded:
        texts = [str(r.input) for r in requests]
        spans = [[(0, 0), *self.tokens(text)] for text in texts]
        width = max(map(len, spans))
        special = self.embedding("[CLS]")
        features, baseline = torch.zeros(len(texts), width, 4), torch.zeros(len(texts), width, 4)
        mask = torch.zeros(len(texts), width, dtype=torch.long)
        for i, (text, places) in enumerate(zip(texts, spans, strict=True)):
            features[i, : len(places)] = torch.stack([special, *(self.embedding(text[a:b]) for a, b in places[1:])])
            baseline[i, 0], mask[i, : len(places)] = special, 1
            places += [(0, 0)] * (width - len(places))
        columns = torch.tensor([[self.labels.index(name) for name in r.labels or self.labels] for r in requests])
        return Encoded(features, baseline, mask, spans, {"columns": columns})

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        assert encoded.mask_BL is not None
        self.break_at -= 1
        if self.break_at == 0:
            self.module.register_forward_hook(lambda *a: None)
            raise RuntimeError("power cut")
        mask, columns = encoded.mask_BL, encoded.extra["columns"]
        if rows is not None:
            mask, columns = mask[rows], columns[rows]
        return self.shaped(self.module((features * mask[:, :, None]).sum(1))).gather(1, columns)
