"""``toy``: models with closed-form answers, for tests and for trying out the harness. They do not need torch.

``toy:words``     text classifier: s = number of good words - number of bad words; logits (-s, s) for negative, positive
``toy:bright``    image classifier: m = mean pixel in [0, 1]; logits (0, 8 (m - 0.5)) for dark, bright
``toy:bytes``     language model, uniform over 256 bytes: log p = -n ln 256 for n bytes; it generates the prompt backwards
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ...api.errors import ModelError, SampleError, suggest_name
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ...api.requests import Classify, Generate, LogLikelihood, RollingLogLikelihood
from ...api.responses import Completion, Logits, LogProb
from ...identity.digests import digest_parts
from ...identity.libraries import answer_code
from ...modalities.image import as_image
from ...modalities.inputs import name_modality
from ..common.stop_strings import cut

GOOD = frozenset(["good", "great", "excellent", "love", "lovely", "perfect", "wonderful", "best", "happy"])
BAD = frozenset(["bad", "awful", "terrible", "hate", "broken", "worst", "poor", "sad", "boring"])


class Toy(ModelSource):
    """A closed-form model by name: words, bright or bytes."""

    def __init__(self, target: str) -> None:
        if target not in _TOYS:
            raise ModelError(f"there is no toy {target!r}.{suggest_name(target, _TOYS)} The toys are {', '.join(_TOYS)}.")
        self.target = target

    def inspect(self) -> ModelInfo:
        return _TOYS[self.target].info

    def load(self, device: str, dtype: str, /) -> Model:
        model = _TOYS[self.target]()
        model.fingerprint = digest_parts((model.fingerprint, answer_code()))
        return model


class ToyModel(Model):
    """Base class of the toys. ``info``: the result of `Toy.inspect`."""

    info: ClassVar[ModelInfo]


class Words(ToyModel):
    name = "toy:words"
    fingerprint = "toy:words:1"
    info = ModelInfo({"classify": {"text"}}, labels=("negative", "positive"))

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        return [Logits((-s, s)) for s in (self.balance(str(request.input)) for request in batch)]

    @staticmethod
    def balance(text: str) -> float:
        words = re.findall(r"\w+", text.lower())
        return float(sum(w in GOOD for w in words) - sum(w in BAD for w in words))


class Bright(ToyModel):
    name = "toy:bright"
    fingerprint = "toy:bright:1"
    info = ModelInfo({"classify": {"image"}}, labels=("dark", "bright"))

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        answers = []
        for request in batch:
            image = as_image(request.input)
            if image is None:
                raise SampleError(f"toy:bright takes images, not {name_modality(request.input)}")
            mean = float(image.pixels.astype(np.float64).mean()) / (255 if image.pixels.dtype == np.uint8 else 1)
            answers.append(Logits((0.0, 8 * (mean - 0.5))))
        return answers


class Bytes(ToyModel):
    name = "toy:bytes"
    fingerprint = "toy:bytes:1"
    info = ModelInfo({"loglikelihood": {"text"}, "rolling_loglikelihood": {"text"}, "generate": {"text"}})

    def loglikelihood(self, batch: Sequence[LogLikelihood]) -> list[LogProb]:
        return [_make_uniform(request.written()) for request in batch]

    def rolling_loglikelihood(self, batch: Sequence[RollingLogLikelihood]) -> list[LogProb]:
        return [_make_uniform(request.text) for request in batch]

    def generate(self, batch: Sequence[Generate]) -> list[Completion]:
        texts = [cut(str(request.prompt)[::-1][: request.max_tokens], request.stop) for request in batch]
        return [Completion(text, len(text), "length", len(str(r.prompt))) for text, r in zip(texts, batch, strict=True)]


def _make_uniform(text: str) -> LogProb:
    n = len(text.encode("utf-8", "surrogatepass"))
    return LogProb(-n * math.log(256), n)


_TOYS: dict[str, type[ToyModel]] = {"words": Words, "bright": Bright, "bytes": Bytes}
